"""One key lookup for every dialect, wherever the key was put: header, Basic, Bearer or query."""

from audience.models import ApiKey, KeyKind
from audience.models.keys import digest_of


def find_key(value: str, *, kind: KeyKind) -> ApiKey | None:
    """The live key with this value, with its game; None when unknown, revoked, expired or of the other kind."""
    return ApiKey.objects.live().select_related("game").filter(digest=digest_of(value), kind=kind).first()
