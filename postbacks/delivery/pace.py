"""The rate limiter: when the next calls to one pixel may start, for all workers together.

Each call gets its own time slot, an even interval after the one before, stored on the pixel's locked Flow row. Without
bursts no window of a second holds more than the rate. A process that stalled does not catch up: `CallSpacing` keeps the
interval between its calls.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from postbacks.models import Flow

# Calls are planned this far ahead: longer than a slow transaction takes, short enough to stop soon.
AHEAD = timedelta(milliseconds=250)
# The share of the allowed rate that is used. Calls that leave evenly may arrive in a bunch: at 0.95 a second of 50 held
# 51 on a busy machine; at 0.85 an arrival may be 0.15 s off its plan.
SHARE = 0.85
# How long a pixel rests after "too many requests" without a Retry-After.
REST = timedelta(seconds=5)


def interval(network: str) -> timedelta:
    """Return the time between two calls to one pixel, by settings.NETWORK_RATES (requests per second)."""
    return timedelta(seconds=1 / (settings.NETWORK_RATES[network] * SHARE))


def free_slots(flow: Flow, now: datetime) -> int:
    """Return how many calls may be planned now."""
    start = max(flow.next_slot_at or now, now)
    return max(0, (now + AHEAD - start) // interval(flow.network) + 1)


def reserve_slots(flow: Flow, count: int, now: datetime) -> list[datetime]:
    """Reserve the next `count` time slots on the locked `flow`, which the caller saves."""
    step, start = interval(flow.network), max(flow.next_slot_at or now, now)
    flow.next_slot_at = start + count * step
    return [start + number * step for number in range(count)]


class CallSpacing:
    """Keeps the interval between the calls of this process when a stall has made several of them late."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep):
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next: dict[tuple[str, str], float] = defaultdict(float)

    def wait(self, network: str, pixel_id: str, seconds: float) -> None:
        """Sleep `seconds`, and then until an interval has passed since this pixel's last call."""
        if seconds > 0:
            self._sleep(seconds)
        step = interval(network).total_seconds()
        with self._lock:
            now = self._clock()
            turn = max(self._next[network, pixel_id], now)
            self._next[network, pixel_id] = turn + step
        if turn > now:
            self._sleep(turn - now)
