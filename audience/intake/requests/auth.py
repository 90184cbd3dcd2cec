"""The key lookup of all dialects, with a cache."""

import time
from base64 import b64decode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

from django.http import HttpRequest
from django.utils.asyncio import async_unsafe

from audience.intake.requests import prefetch, suppressed_ids
from audience.models import ApiKey
from audience.models.keys import SENDER_KINDS, sha256_hex

# A revoked key is accepted for at most this long by a process that has it in its cache.
KEY_CACHE_SECONDS = 1.0
# A studio has a few dozen keys.
MAX_CACHED_KEYS = 1_000


@dataclass(slots=True)
class _CachedKey:
    """`expires_at` is a time of time.monotonic(). `is_refreshing`: a new lookup has been started."""

    key: ApiKey
    expires_at: float
    is_refreshing: bool = False


# By the digest of the key's value.
_cache: dict[str, _CachedKey] = {}


def find_key(value: str, *, kinds: Collection[str] = SENDER_KINDS) -> ApiKey | None:
    """The live key with this value, with its game; None when it is unknown, revoked, expired or of another kind.

    Unknown keys are not cached: a key works from the moment it is created. Raises SynchronousOnlyOperation on the event
    loop when the key is not in the cache.
    """
    key = _find_cached(value)
    return key if key and key.kind in kinds and key.is_live else None


def find_expired_key(value: str) -> ApiKey | None:
    """The key with this value if it has expired; None if it is unknown, live or revoked.

    Reads the cache only: `find_key`, called before, has added the key.
    """
    cached = _cache.get(sha256_hex(value))
    return cached.key if cached and cached.key.has_expired else None


def _find_cached(value: str) -> ApiKey | None:
    """The key with this value, live or not, from the cache or the database."""
    digest, now = sha256_hex(value), time.monotonic()
    cached = _cache.get(digest)
    if cached is None or cached.expires_at <= now:
        return _look_up(digest)
    if not cached.is_refreshing and cached.expires_at - now < KEY_CACHE_SECONDS / 2 and prefetch.on_event_loop():
        cached.is_refreshing = True
        prefetch.prefetch(partial(_look_up, digest))
    return cached.key


def find_keys(values: Iterable[str], *, kinds: Collection[str] = SENDER_KINDS) -> dict[str, ApiKey]:
    """The live keys with these values, by value, in one query."""
    by_digest = {sha256_hex(value): value for value in values}
    keys = ApiKey.objects.live().select_related("game__suppression_version")
    found = list(keys.filter(digest__in=list(by_digest), kind__in=kinds))
    suppressed_ids.attach(found)
    return {by_digest[key.digest]: key for key in found}


def clear_key_cache() -> None:
    """Empty the cache after a key was changed, so that the change takes effect in this process at once."""
    _cache.clear()


def basic_user(request: HttpRequest) -> str:
    """The user name of HTTP Basic, which is the key in requests of Segment's format; '' when there is none."""
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded.strip()).decode().partition(":")[0].strip()
    except ValueError:  # no base64, no ASCII, or no UTF-8 in it
        return ""


@async_unsafe("A query must not block the event loop.")
def _look_up(digest: str) -> ApiKey | None:
    now, cached = time.monotonic(), _cache.get(digest)
    keys = ApiKey.objects.select_related("game__suppression_version", "replaced_by")
    key = keys.filter(digest=digest).first()
    if key:
        suppressed_ids.attach([key])
    if _cache.get(digest) is not cached:
        return key  # another thread has cleared or refreshed the cache since, and this result may be older
    if key is None:
        _cache.pop(digest, None)
        return None
    if len(_cache) >= MAX_CACHED_KEYS:
        _cache.clear()
    _cache[digest] = _CachedKey(key, now + KEY_CACHE_SECONDS)
    return key
