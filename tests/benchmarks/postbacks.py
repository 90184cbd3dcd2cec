"""The speed of sending: postbacks per second from a full queue, and the time from an event's answer to its postback.

The queue is for Reddit, whose imitation has no limit; TikTok's refuses the 1,001st request of a second. The limiter is
set to 10,000 per second, so that it has no effect.
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
# Length of the queue by the latency of the network in ms.
QUEUES = {0: int(os.environ.get("BENCH_QUEUE", "5000")), 300: int(os.environ.get("BENCH_SLOW_QUEUE", "1500"))}
BARE = 3000
TURNS = 3
STEADY_RATE = float(os.environ.get("BENCH_STEADY_RATE", "500"))  # events a second
STEADY_SECONDS = float(os.environ.get("BENCH_STEADY_SECONDS", "20"))
# One event in ten is a purchase, in a separate request. The others are level-ups, ten per request as an SDK sends them.
PURCHASES = 0.1
BATCH_SIZE = 10
PLAYERS = 250  # of each sender
# The digest creates conversions in groups; at the default rate of 100 per second a group of fifty would wait half a
# second for the limiter. TikTok's own limit is 1,000.
HIGH_RATE = {"TIKTOK_RATE": "500"}
SENDERS = 4

Say = Callable[..., None]


def event_to_request(product: Product, say: Say) -> None:
    """Measure the milliseconds from the answer 200 to a purchase until the network receives it, under a steady load."""
    # The load of all clients of a game uses one key here, whose rate limit would be reached.
    product.manage("shell", "-c", "from audience.models import ApiKey; ApiKey.objects.update(rate_limit=1_000_000)")
    product.kill_workers()
    product.start_workers(env=HIGH_RATE)
    first = load.all_at_once(product, network="tiktok", count=1, prefix="first")
    product.wait_for(lambda: _delivered(product, "tiktok", first) == 1)  # the worker has started
    purchases = STEADY_RATE * PURCHASES
    count = round(purchases * STEADY_SECONDS)
    buyers = load.start(product, network="tiktok", count=count, rate=purchases, prefix="steady")
    pool = ThreadPoolExecutor(SENDERS)
    futures = [pool.submit(_play, product, (STEADY_RATE - purchases) / SENDERS, part) for part in range(SENDERS)]
    buyers.finish()
    reached = purchases + sum(future.result() for future in futures)
    product.wait_for(lambda: _delivered(product, "tiktok", buyers.prefix) == count, seconds=60)
    waits = load.waits_ms(product, buyers, "tiktok")
    p50, p95, p99 = (load.percentile(waits, part) for part in (0.5, 0.95, 0.99))
    figures = {"p50": p50, "p95": p95, "p99": p99, "purchases_per_second": purchases}
    say("event_to_request_ms", p50, **figures, events_per_second=round(reached, 1))


def _play(product: Product, rate: float, part: int) -> float:
    """Send `rate` level-ups per second for STEADY_SECONDS; return the number accepted per second."""
    http = urllib3.PoolManager(retries=False, timeout=20)
    began, sent = time.monotonic(), 0
    while sent < rate * STEADY_SECONDS:
        time.sleep(max(0.0, began + sent / rate - time.monotonic()))
        load.post(product, http, [load.dated(_level(part, sent + number)) for number in range(BATCH_SIZE)])
        sent += BATCH_SIZE
    return sent / (time.monotonic() - began)


def _level(part: int, number: int) -> dict[str, Any]:
    player = {"type": "track", "eventName": "progression", "userId": f"player-{part}-{number % PLAYERS}"}
    return {**player, "properties": {"level": number // PLAYERS, "world": "forest"}}


def per_second(product: Product, say: Say) -> None:
    """Measure deliveries per second of one worker, and in turns those of a bare client with as many threads."""
    threads = _threads(product)
    for latency, count in QUEUES.items():
        drained, bare = [], []
        for _ in range(TURNS):
            drained.append(_drain(product, latency, count))
            bare.append(_bare(product, latency, BARE if latency == 0 else count, threads))
        value = median(drained)
        ratio = round(value / median(bare), 3)
        turns = {"drained": [round(rate) for rate in drained], "bare": [round(rate) for rate in bare]}
        say("postbacks_per_second", value, latency_ms=latency, bare_client_ratio=ratio, threads=threads, **turns)
    _latency(product, 0)


def _drain(product: Product, latency: int, count: int) -> float:
    """Fill the queue, start one worker, and return the requests per second that the network receives."""
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
    # The sandbox is polled, since counting rows ten times a second would slow the database.
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
    """Return the maximum number of calls that a worker has in flight."""
    program = "import django; django.setup(); from postbacks.delivery import sending; print(sending.MAX_IN_FLIGHT)"
    env = {**product.env, "DJANGO_SETTINGS_MODULE": "config.settings"}
    result = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    return int(result.stdout)


def _pause(product: Product, until: str) -> None:
    """Pause sending, but not fan-out, as a rotation does. `until` is an SQL expression."""
    with psycopg.connect(product.env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"UPDATE postbacks_postbackconfig SET paused_until = {until}")  # type: ignore[arg-type]


def _latency(product: Product, ms: int) -> None:
    body: dict[str, Any] = {"network": NETWORK, "ms": ms}
    product.http.request("POST", f"{product.sandbox_url}/sandbox/latency", json=body)
    time.sleep(0.1)


def _delivered(product: Product, network: str, prefix: str) -> int:
    rows = product.rows(
        "SELECT count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
        "WHERE d.network = %s AND d.state = 'delivered' AND c.user_id LIKE %s",
        network,
        f"{prefix}-%",
    )
    return int(rows[0][0])
