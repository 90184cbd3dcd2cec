"""Tokens of the management API: creating, finding, rotating and revoking them.

A token of a user acts with the user's role in each game; a token of a game has a role of its own, and stays when its
creator leaves. `scopes` limit both. A token that creates or rotates another one (`made_with`) passes on only scopes
that it has, and no later end than its own.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q

from audience.accounts import audit_log
from audience.database import clock
from audience.models import ApiToken, Game, Role, Scope, TokenState
from audience.models.keys import sha256_hex
from audience.models.tokens import TOKEN_MARK

PREFIX_LENGTH = 12
MAX_OVERLAP = timedelta(days=7)
MAX_NAME = 80
# The most live tokens of one user or game, without those that have a successor; and the most of these.
MAX_TOKENS = 50
# `last_used_at` is written at most this often.
USE_INTERVAL = timedelta(minutes=1)
OUTLIVES = "A token cannot create a token that ends later than itself. State an end that is no later."


class TokenRefused(Exception):
    """The request is refused and nothing was changed. The message is shown; `field` names the value."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class NewToken:
    """A stored token, and its value, which is not stored."""

    token: ApiToken
    value: str = field(repr=False)


def create_user_token(
    *, user: Any, name: str, scopes: Collection[Scope], expires_at: datetime | None = None
) -> NewToken:
    """Create a token that acts as `user`. Raises TokenRefused."""
    return _create(user=user, name=name, scopes=scopes, expires_at=expires_at, created_by=user)


def create_game_token(
    *,
    game: Game,
    name: str,
    role: Role,
    scopes: Collection[Scope],
    expires_at: datetime | None = None,
    created_by: Any = None,
    made_with: ApiToken | None = None,
) -> NewToken:
    """Create a token of a game with a role of its own. Raises TokenRefused."""
    _require_scopes(scopes, made_with)
    if expires_at != _no_later(expires_at, made_with):
        raise TokenRefused(OUTLIVES, "expires_at")
    return _create(game=game, role=role, name=name, scopes=scopes, expires_at=expires_at, created_by=created_by)


@transaction.atomic
def rotate_token(
    *, token: ApiToken, overlap: timedelta, rotated_by: Any = None, made_with: ApiToken | None = None
) -> NewToken:
    """Create the token's successor with the same name, role and scopes; the old one works for `overlap`.

    The successor has the same length of life as the token had, and ends with `made_with` at the latest. Raises
    TokenRefused if the token no longer works or has a successor, or unless `overlap` is 0 to 7 days.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise TokenRefused("A token's overlap is 0 to 7 days.", "overlap_hours")
    _lock_owner(token.user, token.game)
    row = ApiToken.objects.select_for_update(of=("self",)).get(pk=token.pk)
    if row.state != TokenState.LIVE:
        raise TokenRefused("This token was revoked, has expired, or was rotated before.")
    _require_scopes(row.scopes, made_with)
    rotating = ApiToken.objects.live().filter(user=row.user, game=row.game, replaced_by__isnull=False)
    if rotating.count() >= MAX_TOKENS:
        raise TokenRefused(f"{MAX_TOKENS} tokens that were rotated still work. Revoke one of them first.")
    now = clock.now()
    end = now + (row.expires_at - row.created_at) if row.expires_at else None
    successor = _store(
        user=row.user,
        game=row.game,
        role=row.role,
        name=row.name,
        scopes=[Scope(scope) for scope in row.scopes],
        expires_at=_no_later(end, made_with),
        created_by=rotated_by,
    )
    row.replaced_by = successor.token
    row.expires_at = min(now + overlap, row.expires_at or now + overlap)
    row.save(update_fields=["replaced_by", "expires_at"])
    token.refresh_from_db(fields=["replaced_by", "expires_at"])
    return successor


def revoke_token(*, token: ApiToken) -> None:
    """Revoke a token, effective at once. A second call does not change `revoked_at`."""
    if token.revoked_at is None:
        token.revoked_at = clock.now()
        token.save(update_fields=["revoked_at"])


def find_token(value: str) -> ApiToken | None:
    """Return the token with this value, with its user and game; also if it was revoked or has expired."""
    rows = ApiToken.objects.select_related("user", "game")
    return rows.filter(digest=sha256_hex(value)).first() if value.startswith(TOKEN_MARK) else None


def record_use(token: ApiToken) -> None:
    """Store that the token was used, once in USE_INTERVAL."""
    now = clock.now()
    if token.last_used_at is None or now - token.last_used_at >= USE_INTERVAL:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def record_expired() -> int:
    """Add an entry to the audit log for each token that has expired since; return how many."""
    due = Q(expiry_recorded=False, revoked_at=None, expires_at__lte=clock.now())
    with transaction.atomic():
        rows = list(ApiToken.objects.select_for_update(skip_locked=True, of=("self",)).filter(due)[:100])
        ApiToken.objects.filter(pk__in=[row.pk for row in rows]).update(expiry_recorded=True)
        for row in rows:
            changes = {"state": ("live", "replaced" if row.replaced_by_id else "expired")}
            audit_log.record(game=row.game, subject=row, action=LogEntry.Action.UPDATE, changes=changes)
    return len(rows)


def _require_scopes(scopes: Collection[str], made_with: ApiToken | None) -> None:
    """Raise TokenRefused if `made_with` lacks one of the scopes."""
    missing = [scope.value for scope in Scope if scope in scopes and made_with and scope not in made_with.scopes]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise TokenRefused(f"A token cannot pass on scopes that it does not have: {names}.", "scopes")


def _no_later(end: datetime | None, made_with: ApiToken | None) -> datetime | None:
    """Return the end, or that of `made_with` if that is earlier. None is no end."""
    limit = made_with.expires_at if made_with else None
    return min(end or limit, limit) if limit else end


def _lock_owner(user: Any, game: Game | None) -> None:
    """Serialize what adds tokens to a user or game, since their number is limited."""
    rows: Any = Game.objects.filter(pk=game.pk) if game else get_user_model().objects.filter(pk=user.pk)
    list(rows.select_for_update(no_key=True))


@transaction.atomic
def _create(
    *,
    name: str,
    scopes: Collection[Scope],
    expires_at: datetime | None,
    created_by: Any,
    user: Any = None,
    game: Game | None = None,
    role: str = "",
) -> NewToken:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME:
        raise TokenRefused(f"A token's name has 1 to {MAX_NAME} characters.", "name")
    if not scopes:
        raise TokenRefused("Select at least one scope.", "scopes")
    if expires_at and expires_at <= clock.now():
        raise TokenRefused("The end is in the past.", "expires_at")
    _lock_owner(user, game)
    if ApiToken.objects.live().filter(user=user, game=game, replaced_by=None).count() >= MAX_TOKENS:
        raise TokenRefused(f"There are already {MAX_TOKENS} tokens. Revoke one first.")
    return _store(
        user=user, game=game, role=role, name=name, scopes=scopes, expires_at=expires_at, created_by=created_by
    )


def _store(*, scopes: Collection[Scope], **columns: Any) -> NewToken:
    """Store a token with a new value."""
    value = TOKEN_MARK + secrets.token_hex(20)
    token = ApiToken.objects.create(
        scopes=[scope.value for scope in Scope if scope in scopes],
        digest=sha256_hex(value),
        prefix=value[:PREFIX_LENGTH],
        **columns,
    )
    return NewToken(token=token, value=value)
