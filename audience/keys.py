"""Making, rotating and revoking API keys."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction

from audience import clock
from audience.intake import auth
from audience.models import ApiKey, Dialect, Environment, Game, KeyKind
from audience.models.keys import digest_of

# Enough of a key to tell it from its siblings, too little to use it.
PREFIX_LENGTH = 24
# How long an old key may go on beside its successor.
LONGEST_OVERLAP = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `value` is the only time a secret one is seen whole."""

    key: ApiKey
    value: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.prefix}…)"


def key_value(kind: KeyKind, environment: Environment, entropy: str) -> str:
    """The one form that all four dialects take: pk_imapik-…, sk_imapik-…, with `test-` for the sandbox."""
    start = "pk_imapik-" if kind == KeyKind.PUBLISHABLE else "sk_imapik-"
    return f"{start}test-{entropy}" if environment == Environment.SANDBOX else start + entropy


def create_key(
    *,
    game: Game,
    name: str,
    kind: KeyKind = KeyKind.PUBLISHABLE,
    environment: Environment = Environment.PRODUCTION,
    dialect: Dialect = Dialect.IMMUTABLE,
    created_by: Any = None,
    rate_limit: int | None = None,
    entropy: str | None = None,
) -> NewKey:
    """Make a key; `entropy` is for a caller that must be able to tell it again (the demo), else it is random."""
    value = key_value(kind, environment, entropy or secrets.token_hex(20))
    key = ApiKey.objects.create(
        game=game,
        name=name,
        kind=kind,
        environment=environment,
        dialect=dialect,
        digest=digest_of(value),
        prefix=value[:PREFIX_LENGTH],
        value=value if kind == KeyKind.PUBLISHABLE else "",
        created_by=created_by,
        rate_limit=rate_limit,
    )
    return NewKey(key=key, value=value)


@transaction.atomic
def rotate_key(*, key: ApiKey, overlap: timedelta, rotated_by: Any = None) -> NewKey:
    """Make the key's successor; the old one goes on for `overlap` (0 to 7 days, else ValueError)."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise ValueError("A key's overlap is 0 to 7 days.")
    successor = create_key(
        game=key.game,
        name=key.name,
        kind=KeyKind(key.kind),
        environment=Environment(key.environment),
        dialect=Dialect(key.dialect),
        created_by=rotated_by,
        rate_limit=key.rate_limit,
    )
    key.replaced_by = successor.key
    key.expires_at = clock.now() + overlap
    key.save(update_fields=["replaced_by", "expires_at"])
    auth.forget_keys()
    return successor


def revoke_key(*, key: ApiKey) -> None:
    """Shut the door at once. Revoking twice keeps the first moment."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        auth.forget_keys()
