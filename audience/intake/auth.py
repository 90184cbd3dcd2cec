"""One key lookup for every dialect, wherever the key was put: header, Basic, Bearer or query."""

import time
from collections.abc import Iterable

from audience.models import ApiKey, KeyKind
from audience.models.keys import digest_of

# Seconds that a process believes a key it has looked up: the longest that a revoked one may still be used.
BELIEVED_FOR = 1.0
# Keys kept at most; a studio has a few dozen.
MOST_KEPT = 1_000

# The live keys found lately by their digest, each until when it is believed (time.monotonic()).
_kept: dict[str, tuple[ApiKey, float]] = {}


def find_key(value: str, *, kind: KeyKind) -> ApiKey | None:
    """The live key with this value, with its game; None when unknown, revoked, expired or of the other kind.

    Unknown ones are not kept: a key works from the moment it is made.
    """
    digest, now = digest_of(value), time.monotonic()
    key, until = _kept.get(digest, (None, 0.0))
    if key is None or until <= now:
        key = ApiKey.objects.live().select_related("game").filter(digest=digest).first()
        _keep(digest, key, now + BELIEVED_FOR)
    return key if key and key.kind == kind and key.is_live else None


def find_keys(values: Iterable[str], *, kind: KeyKind) -> dict[str, ApiKey]:
    """The same for many values in one query; those that find_key would not find are left out."""
    by_digest = {digest_of(value): value for value in values}
    found = ApiKey.objects.live().select_related("game").filter(digest__in=list(by_digest), kind=kind)
    return {by_digest[key.digest]: key for key in found}


def forget_keys() -> None:
    """Ask the database again from now on: this process has changed a key."""
    _kept.clear()


def _keep(digest: str, key: ApiKey | None, until: float) -> None:
    if key is None:
        _kept.pop(digest, None)
        return
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    _kept[digest] = (key, until)
