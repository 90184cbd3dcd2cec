"""How fast conversions leave: so many a second from a full queue, and how long one takes from its event's answer.

The queue is Reddit's: its sandbox imitates no limit, where TikTok's refuses the 1,001st request of a second. The
limiter is set to 10,000 a second, so that it is not the measure.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from statistics import median
from typing import Any

import psycopg
import urllib3

from postbacks.networks import NETWORKS
from tests.faults import load
from tests.journeys.product import Product

NETWORK = "reddit"
UNLIMITED = {network.rate_variable: "10000" for network in NETWORKS.values()}
# How many wait, by the latency of the network in ms.
QUEUES = {0: int(os.environ.get("BENCH_QUEUE", "5000")), 300: int(os.environ.get("BENCH_SLOW_QUEUE", "1500"))}
BARE = 3000
TURNS = 3
STEADY_RATE = float(os.environ.get("BENCH_STEADY_RATE", "500"))  # events a second
STEADY_SECONDS = float(os.environ.get("BENCH_STEADY_SECONDS", "20"))
# One event in ten is a purchase, in a request of its own: more than any game sells. The others say how far players are,
# ten in a request as an SDK sends them.
BUYING = 0.1
TOGETHER = 10
PLAYERS = 250  # of each sender
# Conversions come out of the digest in bunches, and at the usual 100 a second a bunch of fifty waits for half a second
# at the limiter. TikTok's own limit is 1,000.
QUICK = {"TIKTOK_RATE": "500"}
SENDERS = 4

Say = Callable[..., None]


def event_to_request(product: Product, say: Say) -> None:
    """Milliseconds from the 200 for a purchase to the moment its request is received, under a steady load."""
    # One person's requests a second are limited; a whole game's are meant here.
    product.manage("shell", "-c", "from audience.models import ApiKey; ApiKey.objects.update(rate_limit=1_000_000)")
    product.kill_workers()
    product.start_workers(env=QUICK)
    first = load.all_at_once(product, network="tiktok", count=1, prefix="first")
    product.wait_for(lambda: _delivered(product, "tiktok", first) == 1)  # the worker has started
    buying = STEADY_RATE * BUYING
    count = round(buying * STEADY_SECONDS)
    buyers = load.start(product, network="tiktok", count=count, rate=buying, prefix="steady")
    pool = ThreadPoolExecutor(SENDERS)
    progress = [pool.submit(_play, product, (STEADY_RATE - buying) / SENDERS, part) for part in range(SENDERS)]
    buyers.finish()
    reached = buying + sum(each.result() for each in progress)
    product.wait_for(lambda: _delivered(product, "tiktok", buyers.prefix) == count, seconds=60)
    waits = load.waits_ms(product, buyers, "tiktok")
    p50, p95, p99 = (load.percentile(waits, part) for part in (0.5, 0.95, 0.99))
    figures = {"p50": p50, "p95": p95, "p99": p99, "purchases_per_second": buying}
    say("event_to_request_ms", p50, **figures, events_per_second=round(reached, 1))


def _play(product: Product, rate: float, part: int) -> float:
    """Players getting on, `rate` events a second for as long as the load lasts; how many a second were accepted."""
    http = urllib3.PoolManager(retries=False, timeout=20)
    began, sent = time.monotonic(), 0
    while sent < rate * STEADY_SECONDS:
        time.sleep(max(0.0, began + sent / rate - time.monotonic()))
        load.post(product, http, [load.dated(_level(part, sent + number)) for number in range(TOGETHER)])
        sent += TOGETHER
    return sent / (time.monotonic() - began)


def _level(part: int, number: int) -> dict[str, Any]:
    player = {"type": "track", "eventName": "progression", "userId": f"player-{part}-{number % PLAYERS}"}
    return {**player, "properties": {"level": number // PLAYERS, "world": "forest"}}


def per_second(product: Product, say: Say) -> None:
    """Deliveries a second by one worker, and the same requests by a bare loop in as many threads, in turns."""
    threads = _threads(product)
    for latency, count in QUEUES.items():
        drained, bare = [], []
        for _ in range(TURNS):
            drained.append(_drain(product, latency, count))
            bare.append(_bare(product, latency, BARE if latency == 0 else count, threads))
        value, beside = median(drained), median(bare)
        ratio = round(value / beside, 3)
        turns = {"drained": [round(each) for each in drained], "bare": [round(each) for each in bare]}
        say("postbacks_per_second", value, latency_ms=latency, bare_client_ratio=ratio, threads=threads, **turns)
    _latency(product, 0)


def _drain(product: Product, latency: int, count: int) -> float:
    """Fill the queue, start one worker, and read at the network how fast it empties."""
    _pause(product, "now() + interval '1 hour'")
    product.start_workers(env=UNLIMITED)
    prefix = load.all_at_once(product, network=NETWORK, count=count, prefix="queue")
    waiting = "SELECT count(*) FROM postbacks_delivery WHERE network = %s AND state = 'waiting'"
    product.wait_for(lambda: product.rows(waiting, NETWORK) == [(count,)], seconds=120)
    product.kill_workers()
    _latency(product, latency)
    product.http.request("DELETE", f"{product.sandbox_url}/sandbox/requests?network={NETWORK}")
    _pause(product, "NULL")
    product.start_workers(env=UNLIMITED)
    # Asked of the network: counting rows ten times a second would be a load of its own.
    product.wait_for(lambda: product.summary(NETWORK)["accepted_as_new"] == count, seconds=300)
    product.wait_for(lambda: _delivered(product, NETWORK, prefix) == count)
    product.kill_workers()
    counts = product.summary(NETWORK)
    assert (counts["requests"], counts["accepted_as_new"]) == (count, count), counts
    first, last = (datetime.fromisoformat(counts[f"{end}_received_at"]) for end in ("first", "last"))
    return count / (last - first).total_seconds()


def _bare(product: Product, latency: int, count: int, threads: int) -> float:
    _latency(product, latency)
    command = [sys.executable, "-m", "tests.benchmarks.bare", product.sandbox_url, str(count), str(threads)]
    env = {**product.env, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def _threads(product: Product) -> int:
    """How many calls a worker has in flight at most."""
    program = "import django; django.setup(); from postbacks.delivery import sending; print(sending.MAX_IN_FLIGHT)"
    env = {**product.env, "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    return int(done.stdout)


def _pause(product: Product, until: str) -> None:
    """As a rotation does while it waits: nothing is sent, everything is decided."""
    with psycopg.connect(product.env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"UPDATE postbacks_postbackconfig SET paused_until = {until}")  # type: ignore[arg-type]


def _latency(product: Product, ms: int) -> None:
    order: dict[str, Any] = {"network": NETWORK, "ms": ms}
    product.http.request("POST", f"{product.sandbox_url}/sandbox/latency", json=order)
    time.sleep(0.1)


def _delivered(product: Product, network: str, prefix: str) -> int:
    rows = product.rows(
        "SELECT count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
        "WHERE d.network = %s AND d.state = 'delivered' AND c.user_id LIKE %s",
        network,
        f"{prefix}-%",
    )
    return int(rows[0][0])
