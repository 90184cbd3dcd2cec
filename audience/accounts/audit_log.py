"""The audit log: who changed what in a game, when and from where.

auditlog records every `save()` and `delete()` of the models registered in audience/apps.py and postbacks/apps.py.
`record` adds what auditlog does not record: queryset updates, and reading or downloading data. Actor and IP address are
those of the current request.
"""

import re
from collections.abc import Mapping
from typing import Any

from auditlog.context import auditlog_value
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.db.models.fields.json import KT

from audience.models import Game

# The actor of changes with a token of a game is `Token “<name>”`.
TOKEN_ACTOR = "Token “"
# The email address of an entry about a change with a member's token ends with this.
MEMBER_TOKEN = re.compile(r" with token “(.*)”", re.DOTALL)
MAX_ACTOR_LENGTH = 254
# {field: (before, after)} as text, "None" for no value, as auditlog writes it.
Changes = Mapping[str, tuple[str, str]]


def record(*, game: Game | None, subject: Model, action: int, changes: Changes) -> LogEntry:
    """Add an entry about the stored row `subject`; `action` is one of LogEntry.Action, `game` None for an account.

    Entries are kept after an erasure, so `changes` may identify a player by the primary key of the Person only.
    """
    entry: LogEntry = LogEntry.objects.log_create(
        subject,
        force_log=True,
        action=action,
        changes={name: list(pair) for name, pair in changes.items()},
        additional_data={"game": game.pk} if game else None,
    )
    return entry


def entries(game: Game) -> QuerySet[Any]:
    """Return the entries of a game. The expression must equal that of the index audit_entries_by_game."""
    rows: QuerySet[Any] = LogEntry.objects.alias(of_game=KT("additional_data__game")).filter(of_game=str(game.pk))
    return rows


def of_kind(rows: QuerySet[Any], model: str) -> QuerySet[Any]:
    """Return the entries about rows of a model, by its lower-case name.

    With the ids of content types in place of a join, the index audit_entries_by_kind finds the newest.
    """
    kinds = ContentType.objects.filter(model=model).values_list("pk", flat=True)
    return rows.filter(content_type__in=list(kinds))


def set_actor(user: Any = None, *, email: str = "") -> None:
    """Set the actor of the following changes of this request, where nobody is signed in: pages opened by a mailed link,
    and requests with a token.

    Pass only `email` while there is no account yet; of a game's token, pass its name.
    """
    context = auditlog_value.get(None)
    if context is not None:
        context["actor"], context["actor_email"] = user, email or user.email


def stated_actor() -> str:
    """Return the name of the actor that `set_actor` set in this request, for a change that a worker makes later; '' for
    a user who is signed in."""
    context = auditlog_value.get(None) or {}
    return str(context.get("actor_email") or "")


def member_token_actor(user: Any, name: str) -> str:
    """Return the actor of changes with a member's token, for `set_actor`."""
    suffix = f" with token “{name}”"
    return f"{user.email or user.get_username()}"[: MAX_ACTOR_LENGTH - len(suffix)] + suffix


def member_token(actor_email: str | None) -> str:
    """Return the name of the member's token of an entry, '' if it was made in the browser or by a game's token."""
    match = MEMBER_TOKEN.search(actor_email or "")
    return match[1] if match else ""


def token_actor(name: str) -> str:
    """Return the actor of changes with a game's token, for `set_actor`."""
    return f"{TOKEN_ACTOR}{name}”"


def password_state(value: str) -> str:
    """Return the text of an entry for a password: 'set', 'none' (an unusable password begins with "!") or ''."""
    return "" if not value or value == "None" else "none" if value.startswith("!") else "set"


def account_name(pk: str) -> str:
    """Return the email or user name of an account by its primary key; the key itself once the account is deleted."""
    if not pk.isdigit():
        return ""
    account = get_user_model().objects.filter(pk=pk).first()
    return (account.email or account.get_username()) if account else pk
