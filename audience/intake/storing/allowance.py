"""How many refused messages are kept, so that a sender of refused ones cannot fill the disk between two prunings.

A process keeps as many of a game as may be kept at all (audience/storage/prune.py) and goes on with as many every ten
minutes, which is how often they are pruned. Each key has some of its own besides: a flood with a public key must not
hide what is refused of a server. What is refused beyond is answered and counted like any other, and not kept.
"""

import threading
import time
from dataclasses import dataclass

# Rejections of a game that are kept, those of each key besides, and how long a process takes to be allowed as many
# again, in seconds.
MAX_KEPT = 10_000
MAX_KEPT_OF_KEY = 1_000
REFILL_SECONDS = 600.0


@dataclass(slots=True)
class _Left:
    """How many more may be kept as of a moment (time.monotonic())."""

    number: float
    at: float


_lock = threading.Lock()
_left: dict[tuple[str, int], _Left] = {}


def take(game_id: int, key_id: int, wanted: int) -> int:
    """How many of `wanted` more rejections of a key may be kept."""
    if not wanted:
        return 0
    now = time.monotonic()
    with _lock:
        own = _take(("key", key_id), wanted, MAX_KEPT_OF_KEY, now)
        return own + _take(("game", game_id), wanted - own, MAX_KEPT, now)


def _take(whose: tuple[str, int], wanted: int, most: int, now: float) -> int:
    left = _left.setdefault(whose, _Left(most, now))
    left.number = min(most, left.number + (now - left.at) * most / REFILL_SECONDS)
    left.at = now
    given = min(wanted, int(left.number))
    left.number -= given
    return given
