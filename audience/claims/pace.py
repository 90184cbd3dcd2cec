"""Limits how often one address may use a form of the claim page, and how often a game may try unknown codes."""

from django.core.cache import cache

from audience.models.keys import sha256_hex


def take(what: str, subject: str, *, limit: int, seconds: int) -> bool:
    """Count one use; whether it is at most the `limit` since the first of the last `seconds`."""
    key = _key(what, subject)
    if cache.add(key, 1, seconds):
        return True
    try:
        return int(cache.incr(key)) <= limit
    except ValueError:  # it has expired since
        return True


def is_used_up(what: str, subject: str, *, limit: int) -> bool:
    """Whether the limit is reached, without counting."""
    return int(cache.get(_key(what, subject)) or 0) >= limit


def _key(what: str, subject: str) -> str:
    return f"claims:{what}:{sha256_hex(subject)[:32]}"
