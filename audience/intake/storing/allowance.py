"""Limits the number of stored rejections and logged errors, so that a client cannot fill the disk.

A process stores as many per game as pruning keeps (audience/storage/prune.py), and regains that allowance within ten
minutes, the interval of pruning. Each key also has its own allowance, used first, so that a flood with a public key
does not hide the rejections of a server. Rejections beyond both are answered and counted, but not stored.

Requests that are refused as a whole have a smaller allowance for each key. Beyond it they are answered without writing
anything, so that sending broken requests costs the server less than sending good ones.
"""

import threading
import time
from dataclasses import dataclass

# The allowances of a game and of each of its keys, and the time in which they are refilled.
MAX_PER_GAME = 10_000
MAX_PER_KEY = 1_000
REFILL_SECONDS = 600.0
# The same for requests of a key that are refused as a whole, and for log lines of a process.
MAX_REQUESTS_PER_KEY = 100
MAX_LOG_LINES = 1_000


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


def take_request(key_id: int) -> bool:
    """Whether the rejection of a whole request of this key may be stored; reduces the allowance by it."""
    with _lock:
        return _take(("request", key_id), 1, MAX_REQUESTS_PER_KEY, time.monotonic()) == 1


def take_log_line() -> bool:
    """Whether an error of a client may be logged; reduces the allowance by it."""
    with _lock:
        return _take(("log", 0), 1, MAX_LOG_LINES, time.monotonic()) == 1


def _take(owner: tuple[str, int], number: int, limit: int, now: float) -> int:
    allowance = _allowances.setdefault(owner, _Allowance(limit, now))
    allowance.remaining = min(limit, allowance.remaining + (now - allowance.updated_at) * limit / REFILL_SECONDS)
    allowance.updated_at = now
    taken = min(number, int(allowance.remaining))
    allowance.remaining -= taken
    return taken
