"""Who made the changes of an audit log: users, tokens of the game, and the product itself."""

from typing import Any

from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from audience.accounts.audit_log import TOKEN_ACTOR, entries, token_actor
from audience.models import Game

# The values of a filter: a user's primary key, `token:<name>`, or SYSTEM for all others.
SYSTEM, TOKEN = "system", "token:"
SYSTEM_NAME = "Afterclick"
# The newest entries, whose actors are the choices of the filter.
MAX_ENTRIES_SCANNED = 5_000


def actor_id(entry: Any) -> str:
    """Return the actor of an entry as a value of the filter."""
    if entry.actor_id:
        return str(entry.actor_id)
    email = entry.actor_email or ""
    return f"{TOKEN}{email[len(TOKEN_ACTOR) : -1]}" if email.startswith(TOKEN_ACTOR) else SYSTEM


def entries_of(rows: QuerySet[Any], actor: str) -> QuerySet[Any]:
    """Return the entries of an actor; none for an actor that does not exist."""
    if actor == SYSTEM:
        return rows.filter(actor=None).exclude(actor_email__startswith=TOKEN_ACTOR)
    if actor.startswith(TOKEN):
        return rows.filter(actor=None, actor_email=token_actor(actor.removeprefix(TOKEN)))
    is_key = actor.isascii() and actor.isdecimal() and len(actor) < 10
    return rows.filter(actor=int(actor)) if is_key else rows.none()


def actors(game: Game) -> list[tuple[str, str]]:
    """Return [(value, label), ...] of the users and tokens that made the newest changes."""
    newest = entries(game).order_by("-timestamp", "-pk").values("pk")[:MAX_ENTRIES_SCANNED]
    found = LogEntry.objects.filter(pk__in=newest).order_by()
    users = get_user_model().objects.filter(pk__in=found.values("actor").distinct()).order_by("email", "pk")
    by_token = found.filter(actor=None, actor_email__startswith=TOKEN_ACTOR).order_by("actor_email")
    names = by_token.values_list("actor_email", flat=True).distinct()
    return [
        *((str(user.pk), user.email or user.get_username()) for user in users),
        *((f"{TOKEN}{name[len(TOKEN_ACTOR) : -1]}", name) for name in names),
    ]
