"""The rate limiter: when the next calls to one pixel may start, for all workers together.

Each call has its own time slot, one interval after the previous slot, stored on the pixel's locked Flow row. Without
bursts no window of a second has more calls than the rate. A process that stalled does not send a burst afterward:
`CallSpacing` keeps the interval between its calls.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from postbacks.models import Flow

# Calls are planned this far ahead: longer than a slow transaction, short enough to stop sending soon.
AHEAD = timedelta(milliseconds=250)
# The share of the allowed rate that is used, since evenly spaced calls may arrive in bursts: at 0.95 and 50 calls/s, 51
# arrived in one second on a busy machine. At 0.85 an arrival may be 0.15 s late.
RATE_SHARE = 0.85
# How long sending to a pixel pauses after a 429 without a Retry-After.
DEFAULT_PAUSE = timedelta(seconds=5)


def interval(network: str) -> timedelta:
    """Return the time between two calls to one pixel, by settings.NETWORK_RATES (requests per second)."""
    return timedelta(seconds=1 / (settings.NETWORK_RATES[network] * RATE_SHARE))


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
    """Keeps the interval between the calls of this process after a stall has delayed several of them."""

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
            start = max(self._next[network, pixel_id], now)
            self._next[network, pixel_id] = start + step
        if start > now:
            self._sleep(start - now)
