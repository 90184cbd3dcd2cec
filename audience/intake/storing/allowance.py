"""Limits the number of stored rejections, so that a client cannot fill the disk between two runs of pruning.

A process stores as many per game as pruning keeps (audience/storage/prune.py), and regains that allowance within ten
minutes, the interval of pruning. Each key also has its own allowance, used first, so that a flood with a public key
does not hide the rejections of a server. Rejections beyond both are answered and counted, but not stored.
"""

import threading
import time
from dataclasses import dataclass

# The allowances of a game and of each of its keys, and the time in which they are refilled.
MAX_PER_GAME = 10_000
MAX_PER_KEY = 1_000
REFILL_SECONDS = 600.0


@dataclass(slots=True)
class _Allowance:
    """The number of rejections that may still be stored, as of `updated_at` (time.monotonic())."""

    remaining: float
    updated_at: float


_lock = threading.Lock()
_allowances: dict[tuple[str, int], _Allowance] = {}


def take(game_id: int, key_id: int, number: int) -> int:
    """How many of this number of rejections of a key may be stored; reduces the allowances by them."""
    if not number:
        return 0
    now = time.monotonic()
    with _lock:
        taken = _take(("key", key_id), number, MAX_PER_KEY, now)
        return taken + _take(("game", game_id), number - taken, MAX_PER_GAME, now)


def _take(owner: tuple[str, int], number: int, limit: int, now: float) -> int:
    allowance = _allowances.setdefault(owner, _Allowance(limit, now))
    allowance.remaining = min(limit, allowance.remaining + (now - allowance.updated_at) * limit / REFILL_SECONDS)
    allowance.updated_at = now
    taken = min(number, int(allowance.remaining))
    allowance.remaining -= taken
    return taken
