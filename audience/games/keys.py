"""Creating, rotating, changing and revoking API keys."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from django.db import transaction

from audience.database import clock
from audience.intake.requests import auth
from audience.models import ApiKey, Dialect, Environment, Game, KeyKind
from audience.models.keys import SERVER_KEY_MARK, sha256_hex

# Stored characters of a key, to identify it in lists; of these at least MIN_RANDOM_LENGTH are random.
PREFIX_LENGTH = 24
MIN_RANDOM_LENGTH = 8
# How long a rotated key may work beside its successor.
MAX_OVERLAP = timedelta(days=7)
# Admins are reminded this long before a key's end; the first that is still in the future applies.
REMINDER_LEAD_TIMES = (timedelta(days=7), timedelta(days=1))


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key and its value, which is not stored for secret and server keys."""

    key: ApiKey
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """What a key may be used for (audience/intake/requests/restrictions.py) and until when; empty means anything."""

    events: Sequence[str] = ()
    origins: Sequence[str] = ()
    addresses: Sequence[str] = ()
    expires_at: datetime | None = None

    @classmethod
    def of(cls, key: ApiKey) -> "Restrictions":
        return cls(
            events=key.allowed_events,
            origins=key.allowed_origins,
            addresses=key.allowed_addresses,
            expires_at=key.expires_at,
        )

    def as_columns(self, now: datetime) -> dict[str, Any]:
        """Return {column of ApiKey: value}."""
        return {
            "allowed_events": list(self.events),
            "allowed_origins": list(self.origins),
            "allowed_addresses": list(self.addresses),
            "expires_at": self.expires_at,
            "remind_at": _remind_at(self.expires_at, now) if self.expires_at else None,
        }


NO_RESTRICTIONS = Restrictions()


class RestrictionChanges(TypedDict, total=False):
    """The restrictions to change; those that are left out stay."""

    events: Sequence[str]
    origins: Sequence[str]
    addresses: Sequence[str]
    expires_at: datetime | None


def _remind_at(expires_at: datetime, now: datetime) -> datetime | None:
    """Return when to send the reminder, or None if it is too late for one."""
    return next((expires_at - lead_time for lead_time in REMINDER_LEAD_TIMES if expires_at - lead_time > now), None)


def key_value(kind: KeyKind, environment: Environment, entropy: str) -> str:
    """Return a key's value: pk_imapik-… or sk_imapik-…, then `test-` for the sandbox and `server-` for a server key.

    All dialects accept this form.
    """
    return value_prefix(kind, environment) + entropy


def value_prefix(kind: KeyKind, environment: Environment) -> str:
    """Return the part before the entropy."""
    prefix = "pk_imapik-" if kind == KeyKind.PUBLISHABLE else "sk_imapik-"
    prefix += "test-" if environment == Environment.SANDBOX else ""
    return prefix + SERVER_KEY_MARK if kind == KeyKind.SERVER else prefix


def create_key(
    *,
    game: Game,
    name: str,
    kind: KeyKind = KeyKind.PUBLISHABLE,
    environment: Environment = Environment.PRODUCTION,
    dialect: Dialect = Dialect.IMMUTABLE,
    created_by: Any = None,
    rate_limit: int | None = None,
    restrictions: Restrictions = NO_RESTRICTIONS,
    entropy: str | None = None,
) -> NewKey:
    """Create a key. `entropy` is random by default; the demo passes its own, derived from SECRET_KEY."""
    value = key_value(kind, environment, entropy or secrets.token_hex(20))
    key = ApiKey.objects.create(
        game=game,
        name=name,
        kind=kind,
        environment=environment,
        dialect=dialect,
        digest=sha256_hex(value),
        prefix=value[: max(PREFIX_LENGTH, len(value_prefix(kind, environment)) + MIN_RANDOM_LENGTH)],
        value=value if kind == KeyKind.PUBLISHABLE else "",
        created_by=created_by,
        rate_limit=rate_limit,
        **restrictions.as_columns(clock.now()),
    )
    return NewKey(key=key, value=value)


class KeyRefused(Exception):
    """Why a key cannot be changed, as a sentence for the user. Nothing was changed."""


@transaction.atomic
def rotate_key(*, key: ApiKey, overlap: timedelta, rotated_by: Any = None) -> NewKey:
    """Create the key's successor with the same restrictions. The old key works for `overlap`, but not after its end.

    Raises KeyRefused for a key that has ended or has a successor, and ValueError unless `overlap` is 0 to 7 days.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValueError("A key's overlap is 0 to 7 days.")
    lock(key)
    if not key.is_live:
        raise KeyRefused("The key no longer works, so it cannot be rotated. Create a new key.")
    if key.replaced_by_id is not None:
        raise KeyRefused("The key was rotated already. Rotate its successor.")
    successor = create_key(
        game=key.game,
        name=key.name,
        kind=KeyKind(key.kind),
        environment=Environment(key.environment),
        dialect=Dialect(key.dialect),
        created_by=rotated_by,
        rate_limit=key.rate_limit,
        restrictions=Restrictions.of(key),
    )
    expires_at = clock.now() + overlap
    key.replaced_by = successor.key
    key.expires_at, key.remind_at = min(expires_at, key.expires_at or expires_at), None
    key.save(update_fields=["replaced_by", "expires_at", "remind_at"])
    auth.clear_key_cache()
    return successor


@transaction.atomic
def change_key(
    *,
    key: ApiKey,
    name: str | None = None,
    restrictions: Restrictions | RestrictionChanges,
    rate_limit: int | None | Literal["kept"] = "kept",
) -> None:
    """Rename and restrict a key, effective in every process within a second. The end of an overlap is not changed.

    `name` is None to keep it. `rate_limit` is in requests per second, None for the default.
    """
    lock(key)
    if not isinstance(restrictions, Restrictions):
        restrictions = replace(Restrictions.of(key), **restrictions)
    columns = restrictions.as_columns(clock.now())
    if rate_limit != "kept":
        columns["rate_limit"] = rate_limit
    if key.replaced_by_id is not None:
        columns |= {"expires_at": key.expires_at, "remind_at": None}
    key.name = key.name if name is None else name
    for column, value in columns.items():
        setattr(key, column, value)
    key.save(update_fields=["name", *columns])
    auth.clear_key_cache()


class KeyChanged(Exception):
    """Somebody else renamed the key since the editor saw its name. Nothing was saved; the message has the new name."""


@transaction.atomic
def rename_key(*, key: ApiKey, name: str, seen: str = "") -> None:
    """Rename a key, also one that has ended. `seen` is the name that the editor saw; '' skips this check.

    Raises KeyChanged, and ValueError for a name that is blank or longer than 80 characters.
    """
    name = name.strip()
    if not name or len(name) > 80:
        raise ValueError("A key's name has 1 to 80 characters.")
    lock(key)
    if seen and seen != key.name:
        raise KeyChanged(f"Someone else renamed this key while you were editing: it is now “{key.name}”.")
    key.name = name
    key.save(update_fields=["name"])
    auth.clear_key_cache()


def revoke_key(*, key: ApiKey) -> None:
    """Revoke a key. A second call does not change `revoked_at`."""
    if key.revoked_at is None:
        key.revoked_at = clock.now()
        key.save(update_fields=["revoked_at"])
        auth.clear_key_cache()


def lock(key: ApiKey) -> None:
    """Lock the row in a transaction and reload it: a concurrent change and rotation must not overwrite each other."""
    key.refresh_from_db(from_queryset=ApiKey.objects.select_for_update(of=("self",)))
