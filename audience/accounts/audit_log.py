"""Who changed what in a game, when and from where: written by auditlog on its own, and here where it cannot see.

auditlog hears of every `save()` and `delete()` of the models in audience/apps.py and postbacks/apps.py; an UPDATE that
goes past the model, and somebody reading, are told by `record`. Actor and address are those of the request in hand.
"""

from collections.abc import Mapping
from typing import Any

from auditlog.context import auditlog_value
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.db.models import Model, QuerySet
from django.db.models.fields.json import KT

from audience.models import Game

# {"<field>": ["<before>", "<after>"]}, both as text; "None" for none, as auditlog writes it.
Changes = Mapping[str, tuple[str, str]]


def record(*, game: Game, subject: Model, action: int, changes: Changes) -> LogEntry:
    """Write down what happened to `subject`, a stored row; `action` is one of LogEntry.Action.

    Nothing of a player but the id of their row may be in it, since entries outlive an erasure.
    """
    entry: LogEntry = LogEntry.objects.log_create(
        subject,
        force_log=True,
        action=action,
        changes={name: list(pair) for name, pair in changes.items()},
        additional_data={"game": game.pk},
    )
    return entry


def entries(game: Game) -> QuerySet[Any]:
    """The entries of a game. In the words of the index audit_entries_by_game, to be read by it."""
    rows: QuerySet[Any] = LogEntry.objects.alias(of_game=KT("additional_data__game")).filter(of_game=str(game.pk))
    return rows


def set_actor(user: Any = None, *, email: str = "") -> None:
    """Name the actor of what this request changes from now on: whoever followed the link in their mail.

    By `email` alone while there is no account yet.
    """
    context = auditlog_value.get(None)
    if context is not None:
        context["actor"], context["actor_email"] = user, email or user.email


def password_state(value: str) -> str:
    """What an entry says of a password: whether there is one. "!" begins what Django keeps for none."""
    return "" if not value or value == "None" else "none" if value.startswith("!") else "set"


def account_name(pk: str) -> str:
    """What an entry calls the account of a second factor; its number once there is no such account."""
    if not pk.isdigit():
        return ""
    account = get_user_model().objects.filter(pk=pk).first()
    return (account.email or account.get_username()) if account else pk
