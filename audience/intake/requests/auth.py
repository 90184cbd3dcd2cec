"""One key lookup for every dialect, wherever the key was put: header, Basic, Bearer or query."""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

from django.utils.asyncio import async_unsafe

from audience.intake.storing import ahead
from audience.models import ApiKey, KeyKind
from audience.models.keys import SENDER_KINDS, sha256_hex

# Seconds that a process believes a key it has looked up: the longest that a revoked one may still be used.
BELIEVED_FOR = 1.0
# Keys kept at most; a studio has a few dozen.
MOST_KEPT = 1_000


@dataclass(slots=True)
class _Kept:
    """A key, until when it is believed (time.monotonic()), and whether somebody is looking it up again."""

    key: ApiKey
    until: float
    is_looked_up: bool = False


# Those found lately, by their digest.
_kept: dict[str, _Kept] = {}


def find_key(value: str, *, kind: KeyKind) -> ApiKey | None:
    """The live key with this value, with its game; None when unknown, revoked, past its end or of another kind.

    Unknown ones are not kept: a key works from the moment it is made. On the event loop SynchronousOnlyOperation, when
    the database has to be asked.
    """
    return find_live_key(value, kinds=(kind,))


def find_live_key(value: str, *, kinds: Collection[str] = SENDER_KINDS) -> ApiKey | None:
    """The same for a key of any of `kinds`, which are those that every dialect takes events with."""
    key = _find(value)
    return key if key and key.kind in kinds and key.is_live else None


def find_ended_key(value: str) -> ApiKey | None:
    """The key with this value if its time is over; None for one that was shut.

    Asks no database: whoever calls has just looked the key up, and found that it does not work.
    """
    kept = _kept.get(sha256_hex(value))
    return kept.key if kept and kept.key.has_expired else None


def _find(value: str) -> ApiKey | None:
    """The key with this value, whether or not it still works."""
    digest, now = sha256_hex(value), time.monotonic()
    kept = _kept.get(digest)
    if kept is None or kept.until <= now:
        return _look_up(digest)
    if not kept.is_looked_up and kept.until - now < BELIEVED_FOR / 2 and ahead.is_worthwhile():
        kept.is_looked_up = True
        ahead.fetch(partial(_look_up, digest))
    return kept.key


def find_keys(values: Iterable[str], *, kinds: Collection[str] = SENDER_KINDS) -> dict[str, ApiKey]:
    """What find_live_key finds for many values, in one query; those that it would not find are left out."""
    by_digest = {sha256_hex(value): value for value in values}
    found = ApiKey.objects.live().select_related("game").filter(digest__in=list(by_digest), kind__in=kinds)
    return {by_digest[key.digest]: key for key in found}


def forget_keys() -> None:
    """Ask the database again from now on: this process has changed a key."""
    _kept.clear()


@async_unsafe("A query keeps a thread waiting, but not the event loop.")
def _look_up(digest: str) -> ApiKey | None:
    now, before = time.monotonic(), _kept.get(digest)
    key = ApiKey.objects.select_related("game", "replaced_by").filter(digest=digest).first()
    if _kept.get(digest) is not before:
        return key  # forgotten meanwhile, or looked up by another thread, which may have seen more
    if key is None:
        _kept.pop(digest, None)
        return None
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    _kept[digest] = _Kept(key, now + BELIEVED_FOR)
    return key
