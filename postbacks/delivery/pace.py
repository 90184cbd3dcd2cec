"""The limiter: when the next calls to one pixel may start, however many workers there are.

Each call gets a moment of its own, an even interval after the one before, written on the pixel's Flow row while that
is locked. An even pace has no bursts, so no window of a second holds more than the rate; what a stalled process missed
is not caught up with, since its turn at the network (`Turns`) keeps the interval again.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from postbacks.models import Flow

# Calls are planned this far ahead: long enough to ride over a slow transaction, short enough to stop soon.
AHEAD = timedelta(milliseconds=250)
# Of the rate that is allowed. The rest is for calls that leave evenly and arrive in a bunch: at 0.95 a second of 50 was
# seen to hold 51 on a busy machine; at 0.85 arrivals may be 0.15 s apart from their plan.
SHARE = 0.85
# How long a pixel rests after "too many requests" without a Retry-After.
REST = timedelta(seconds=5)


def interval(network: str) -> timedelta:
    """The time between two calls to one pixel, by settings.NETWORK_RATES (requests a second)."""
    return timedelta(seconds=1 / (settings.NETWORK_RATES[network] * SHARE))


def room(flow: Flow, now: datetime) -> int:
    """How many calls may be planned now."""
    start = max(flow.next_slot_at or now, now)
    return max(0, (now + AHEAD - start) // interval(flow.network) + 1)


def plan(flow: Flow, count: int, now: datetime) -> list[datetime]:
    """The moments of the next `count` calls, taken off the locked `flow`, which the caller saves."""
    step, start = interval(flow.network), max(flow.next_slot_at or now, now)
    flow.next_slot_at = start + count * step
    return [start + number * step for number in range(count)]


class Turns:
    """Keeps the interval between the calls of this process too, when a stall has made several of them late."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep):
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next: dict[tuple[str, str], float] = defaultdict(float)

    def wait(self, network: str, pixel_id: str, seconds: float) -> None:
        """Sleep `seconds`, and longer until this pixel's turn has come."""
        # A sleep of nothing still hands Python's lock to another thread, and waits to have it back.
        if seconds > 0:
            self._sleep(seconds)
        step = interval(network).total_seconds()
        with self._lock:
            now = self._clock()
            turn = max(self._next[network, pixel_id], now)
            self._next[network, pixel_id] = turn + step
        if turn > now:
            self._sleep(turn - now)
