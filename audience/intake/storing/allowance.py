"""Limits how many rejections are stored, so that a client cannot fill the disk between two prunings.

A process stores as many per game as pruning keeps (audience/storage/prune.py), and regains that allowance within ten
minutes, the interval of pruning. Each key has an allowance of its own too, so that a flood with a public key does not
hide the rejections of a server. Rejections beyond it are answered and counted, and not stored.
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
    """The `number` of rejections that may be stored, as of `at` (time.monotonic())."""

    number: float
    at: float


_lock = threading.Lock()
_allowances: dict[tuple[str, int], _Allowance] = {}


def take(game_id: int, key_id: int, wanted: int) -> int:
    """How many of `wanted` rejections of a key may be stored; reduces the allowances by them."""
    if not wanted:
        return 0
    now = time.monotonic()
    with _lock:
        own = _take(("key", key_id), wanted, MAX_PER_KEY, now)
        return own + _take(("game", game_id), wanted - own, MAX_PER_GAME, now)


def _take(owner: tuple[str, int], wanted: int, limit: int, now: float) -> int:
    allowance = _allowances.setdefault(owner, _Allowance(limit, now))
    allowance.number = min(limit, allowance.number + (now - allowance.at) * limit / REFILL_SECONDS)
    allowance.at = now
    taken = min(wanted, int(allowance.number))
    allowance.number -= taken
    return taken
