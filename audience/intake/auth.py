"""One key lookup for every dialect, wherever the key was put: header, Basic, Bearer or query."""

from collections.abc import Iterable

from audience.models import ApiKey, KeyKind
from audience.models.keys import digest_of


def find_key(value: str, *, kind: KeyKind) -> ApiKey | None:
    """The live key with this value, with its game; None when unknown, revoked, expired or of the other kind."""
    return ApiKey.objects.live().select_related("game").filter(digest=digest_of(value), kind=kind).first()


def find_keys(values: Iterable[str], *, kind: KeyKind) -> dict[str, ApiKey]:
    """The same for many values in one query; those that find_key would not find are left out."""
    by_digest = {digest_of(value): value for value in values}
    found = ApiKey.objects.live().select_related("game").filter(digest__in=list(by_digest), kind=kind)
    return {by_digest[key.digest]: key for key in found}
