"""Long runs: intake and digest together at a steady rate, and twice the capacity of the machine.

Options: BENCH_SUSTAINED_SECONDS, BENCH_SUSTAINED_RATE (events per second), BENCH_OVERLOAD_SECONDS.
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
# Slightly more than the required 8,000, since the measured rate is below the offered one.
SUSTAINED_RATE = float(os.environ.get("BENCH_SUSTAINED_RATE", "8500"))
OVERLOAD_SECONDS = float(os.environ.get("BENCH_OVERLOAD_SECONDS", "600"))
STEADY_CONNECTIONS = 64
# Enough to exceed MAX_WAITING_EVENTS of a process (audience/intake/storing/write_queue.py).
OVERLOAD_CONNECTIONS = 600
MESSAGES = 100
SAMPLE_SECONDS = 2.0
# The share of a run that fills caches and pools, and is not counted.
WARM_UP_SHARE = 0.15

PENDING = """
    SELECT coalesce(extract(epoch FROM now() - min(received_at)), 0), coalesce(sum(accepted), 0)
    FROM audience_batch WHERE state = 'pending'
"""
ACCEPTED = "SELECT coalesce(sum(accepted), 0) FROM audience_batch"

Say = Callable[..., None]
Sample = dict[str, float]


def sustained(product: Product, say: Say) -> None:
    """Measure events per second stored and digested, and the digest's lag in the first and last third."""
    before = _digested(product)
    load = _load(product, connections=STEADY_CONNECTIONS, seconds=SUSTAINED_SECONDS, rate=SUSTAINED_RATE)
    lags = [lag for lag, _ in _sampled(load, lambda: _pending(product))]
    figures = _figures(load)
    digested = _digested(product) - before
    third = max(len(lags) // 3, 1)
    say(
        "sustained_eps",
        min(figures["messages"], digested) / figures["seconds"],
        accepted=round(figures["messages"] / figures["seconds"]),
        digested=round(digested / figures["seconds"]),
        offered=SUSTAINED_RATE,
        seconds=figures["seconds"],
        lag_s_first_third=round(statistics.median(lags[:third]), 2),
        lag_s_last_third=round(statistics.median(lags[-third:]), 2),
        lag_s_max=round(max(lags), 2),
        refused=figures["refused"],
        p99_ms=figures["p99_ms"],
    )


def overload(product: Product, say: Say, *, capacity: float) -> None:
    """Offer twice `capacity` (events per second): memory in MB of each process by half, and the answers."""
    before = _stored(product)
    load = _load(product, connections=OVERLOAD_CONNECTIONS, seconds=OVERLOAD_SECONDS, rate=2 * capacity)
    samples = list(_sampled(load, lambda: _memory(product)))
    figures = _figures(load)
    stored = _stored(product) - before
    warm = samples[round(len(samples) * WARM_UP_SHARE) :] or samples
    half = max(len(warm) // 2, 1)
    for name in samples[-1]:
        first, last = (max(sample.get(name, 0.0) for sample in part) for part in (warm[:half], warm[-half:]))
        say(
            "memory_mb",
            last,
            process=name,
            first_half=round(first, 1),
            growth=round(last / first, 3) if first else None,
        )
    say(
        "overload_eps",
        figures["messages"] / figures["seconds"],
        offered=round(2 * capacity),
        seconds=figures["seconds"],
        answers={"2xx": figures["requests"], **figures["refused"]},
        acknowledged=figures["messages"],
        # More are stored than acknowledged if an answer was in flight at the end.
        lost=max(figures["messages"] - stored, 0),
        p99_ms=figures["p99_ms"],
    )


def _load(product: Product, *, connections: int, seconds: float, rate: float) -> subprocess.Popen[str]:
    key = product.demo["publishable_key"]
    arguments = [product.port, key, connections, seconds, MESSAGES, "immutable", rate]
    command = [sys.executable, "-m", "tests.benchmarks.load", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _sampled(load: subprocess.Popen[str], sample: Callable[[], Any]) -> Iterator[Any]:
    """Yield a sample every SAMPLE_SECONDS while the load lasts."""
    while load.poll() is None:
        time.sleep(SAMPLE_SECONDS)
        yield sample()


def _figures(load: subprocess.Popen[str]) -> dict[str, Any]:
    assert load.stdout is not None
    figures: dict[str, Any] = json.loads(load.stdout.read())
    assert load.returncode == 0
    return figures


def _pending(product: Product) -> tuple[float, int]:
    """Return the age of the oldest pending batch in seconds, and the pending events."""
    [(seconds, events)] = product.rows(PENDING)
    return float(seconds), int(events)


def _digested(product: Product) -> int:
    return _stored(product) - _pending(product)[1]


def _stored(product: Product) -> int:
    with psycopg.connect(product.env["DATABASE_URL"]) as connection:
        return int(connection.execute(ACCEPTED).fetchone()[0])  # type: ignore[index]


def _memory(product: Product) -> Sample:
    """Return the proportional set size in MB by process; `web-1` is the first of the two serving processes."""
    sizes: Sample = {}
    for name, process in product.processes.items():
        children = _children(process.pid)
        for number, pid in enumerate(children or [process.pid], start=1):
            sizes[f"{name}-{number}" if len(children) > 1 else name] = _mb(pid)
    return sizes


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [line] = [line for line in rollup if line.startswith("Pss:")]
    return int(line.split()[1]) / 1024
