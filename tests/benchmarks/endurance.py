"""Minutes on end: intake and digest together at a steady rate, and twice what the machine can do.

BENCH_SUSTAINED_SECONDS, BENCH_SUSTAINED_RATE (events a second) and BENCH_OVERLOAD_SECONDS for other figures.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.journeys.product import Product

SUSTAINED_SECONDS = float(os.environ.get("BENCH_SUSTAINED_SECONDS", "300"))
# A little more than the aim of 8,000, which could not be reached by offering just as much.
SUSTAINED_RATE = float(os.environ.get("BENCH_SUSTAINED_RATE", "8500"))
OVERLOAD_SECONDS = float(os.environ.get("BENCH_OVERLOAD_SECONDS", "600"))
STEADY = 64
# Enough that more waits than a process takes on (audience/intake/storing/write_queue.py: MAX_WAITING_EVENTS).
CROWD = 600
MESSAGES = 100
LOOK_EVERY = 2.0
# Of a run: the first part fills caches and pools.
SETTLING = 0.15

BEHIND = """
    SELECT coalesce(extract(epoch FROM now() - min(received_at)), 0), coalesce(sum(accepted), 0)
    FROM audience_batch WHERE state = 'pending'
"""
LEFT = "SELECT coalesce(sum(accepted), 0) FROM audience_batch"

Say = Callable[..., None]
Sample = dict[str, float]


def sustained(product: Product, say: Say) -> None:
    """Events a second that were taken and digested, and how far the digest was behind at the start and at the end."""
    before = _digested(product)
    load = _load(product, connections=STEADY, seconds=SUSTAINED_SECONDS, rate=SUSTAINED_RATE)
    lags = [lag for lag, _ in _watched(load, lambda: _behind(product))]
    seen = _answer(load)
    done = _digested(product) - before
    third = max(len(lags) // 3, 1)
    say(
        "sustained_eps",
        min(seen["messages"], done) / seen["seconds"],
        taken=round(seen["messages"] / seen["seconds"]),
        digested=round(done / seen["seconds"]),
        wanted=SUSTAINED_RATE,
        seconds=seen["seconds"],
        lag_s_first_third=round(statistics.median(lags[:third]), 2),
        lag_s_last_third=round(statistics.median(lags[-third:]), 2),
        lag_s_max=round(max(lags), 2),
        refused=seen["refused"],
        p99_ms=seen["p99_ms"],
    )


def overload(product: Product, say: Say, *, capacity: float) -> None:
    """Twice `capacity` (events a second): memory in MB of each process early and late, and what became of it all."""
    before = _stored(product)
    load = _load(product, connections=CROWD, seconds=OVERLOAD_SECONDS, rate=2 * capacity)
    samples = list(_watched(load, lambda: _memory(product)))
    seen = _answer(load)
    stored = _stored(product) - before
    late = samples[round(len(samples) * SETTLING) :] or samples
    half = max(len(late) // 2, 1)
    for name in samples[-1]:
        early, last = (max(sample.get(name, 0.0) for sample in part) for part in (late[:half], late[-half:]))
        say(
            "memory_mb",
            last,
            process=name,
            first_half=round(early, 1),
            growth=round(last / early, 3) if early else None,
        )
    say(
        "overload_eps",
        seen["messages"] / seen["seconds"],
        offered=round(2 * capacity),
        seconds=seen["seconds"],
        answers={"2xx": seen["requests"], **seen["refused"]},
        acknowledged=seen["messages"],
        # More are stored than acknowledged when an answer was under way at the end.
        lost=max(seen["messages"] - stored, 0),
        p99_ms=seen["p99_ms"],
    )


def _load(product: Product, *, connections: int, seconds: float, rate: float) -> subprocess.Popen[str]:
    key = product.demo["publishable_key"]
    arguments = [product.port, key, connections, seconds, MESSAGES, "immutable", rate]
    command = [sys.executable, "-m", "tests.benchmarks.load", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _watched(load: subprocess.Popen[str], look: Callable[[], Any]) -> Iterator[Any]:
    """A look every LOOK_EVERY seconds as long as the load lasts."""
    while load.poll() is None:
        time.sleep(LOOK_EVERY)
        yield look()


def _answer(load: subprocess.Popen[str]) -> dict[str, Any]:
    assert load.stdout is not None
    figures: dict[str, Any] = json.loads(load.stdout.read())
    assert load.returncode == 0
    return figures


def _behind(product: Product) -> tuple[float, int]:
    [(seconds, events)] = product.rows(BEHIND)
    return float(seconds), int(events)


def _digested(product: Product) -> int:
    return _stored(product) - _behind(product)[1]


def _stored(product: Product) -> int:
    with psycopg.connect(product.env["DATABASE_URL"]) as connection:
        return int(connection.execute(LEFT).fetchone()[0])  # type: ignore[index]


def _memory(product: Product) -> Sample:
    """Proportional share in MB, by process: `web-1` is the first of the two that answer."""
    found: Sample = {}
    for name, process in product.processes.items():
        children = _children(process.pid)
        for place, pid in enumerate(children or [process.pid], start=1):
            found[f"{name}-{place}" if len(children) > 1 else name] = _mb(pid)
    return found


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [line] = [line for line in rollup if line.startswith("Pss:")]
    return int(line.split()[1]) / 1024
