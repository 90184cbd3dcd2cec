"""How many refused messages are kept, so that a sender of refused ones cannot fill the disk between two prunings.

A process keeps as many of a game as may be kept at all (audience/prune.py) and goes on with as many every ten minutes,
which is how often they are pruned. What is refused beyond is answered and counted like any other, and not kept.
"""

import threading
import time
from dataclasses import dataclass

# Rejections of a game that are kept; and how long a process takes to be allowed as many again, in seconds.
MAX_KEPT = 10_000
REFILL_SECONDS = 600.0


@dataclass(slots=True)
class _Left:
    """How many more may be kept as of a moment (time.monotonic())."""

    number: float
    at: float


_lock = threading.Lock()
_left: dict[int, _Left] = {}


def take(game_id: int, wanted: int) -> int:
    """How many of `wanted` more rejections of a game may be kept."""
    if not wanted:
        return 0
    now = time.monotonic()
    with _lock:
        left = _left.setdefault(game_id, _Left(MAX_KEPT, now))
        left.number = min(MAX_KEPT, left.number + (now - left.at) * MAX_KEPT / REFILL_SECONDS)
        left.at = now
        given = min(wanted, int(left.number))
        left.number -= given
        return given
