"""Limits how often one address may use a form of the claim page, and how often a game may try unknown codes."""

import hashlib

from django.core.cache import cache


def take(what: str, subject: str, *, limit: int, seconds: int) -> bool:
    """Count one use; whether it is at most the `limit` since the first of the last `seconds`."""
    key = f"claims:{what}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
    if cache.add(key, 1, seconds):
        return True
    try:
        return int(cache.incr(key)) <= limit
    except ValueError:  # it has expired since
        return True


def is_used_up(what: str, subject: str, *, limit: int) -> bool:
    """Whether the limit is reached, without counting."""
    key = f"claims:{what}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
    return int(cache.get(key) or 0) >= limit
