"""Explains which events joined the ids of a person, and when (for pages and commands)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import Q

from audience.digest.event_ids import IdentityKey
from audience.digest.owned_ids import OwnedId, Period
from audience.digest.ownership import MAX_OWNERS
from audience.ids.values import canonical
from audience.models import Event, Owners, Person
from audience.models.people import ANONYMOUS, DEVICE, USER, WEAK

MAX_PERIODS = 3
MAX_CALLS = 50
# Columns of an event that a joining needs.
FIELDS = ("day", "kind", "name", "user_id", "anonymous_id", "device_id", "message_id", "event_at", "links")

NAMED = "named with a user"
FIRST_SEEN = "first seen"
WITHOUT_USER = "first seen, without a user"
EXPLICIT = "joined by an explicit call"


class Joining(NamedTuple):
    """The event that joined ids to a person, None if it is not kept; and how. `user_id` is the user it names."""

    at: datetime
    keys: list[IdentityKey]
    how: str
    user_id: str
    event: Event | None


def joinings(person: Person, ids: Sequence[OwnedId]) -> list[Joining]:
    """Return the first event of each id, or the first that names the person with it, and the explicit calls; oldest
    first.
    """
    moments = [(one.named_at or one.identity.first_seen_at, one) for one in ids]
    firsts = _events_at(person, moments)
    found = [_first(at, one, firsts.get((one.key, at))) for at, one in moments]
    users = [form for one in ids if one.key[0] == USER for form in one.forms]
    calls = Event.objects.filter(game_id=person.game_id, user_id__in=users).exclude(links=[]).only(*FIELDS)
    for event in calls.order_by("event_at", "pk")[:MAX_CALLS]:
        keys = list(dict.fromkeys([(USER, event.user_id), *((str(name), str(value)) for name, value in event.links)]))
        found.append(Joining(event.event_at, keys, f"{event.get_kind_display()}: {EXPLICIT}", event.user_id, event))
    return sorted(found, key=lambda joining: joining.at)


def _first(at: datetime, one: OwnedId, event: Event | None) -> Joining:
    sent = (one.key[0], one.identity.as_sent)
    if one.key[0] not in WEAK:
        return Joining(at, [sent], FIRST_SEEN, "", event)
    if one.named_at is None:
        return Joining(at, [sent], FIRST_SEEN if one.is_crowd else WITHOUT_USER, "", event)
    return Joining(at, [sent], NAMED, event.user_id if event else "", event)


def _events_at(person: Person, asked: Iterable[tuple[datetime, OwnedId]]) -> dict[tuple[IdentityKey, datetime], Event]:
    """Return the event with each id at a time; one that names a user is preferred."""
    condition = Q(pk__in=[])
    for at, one in asked:
        if one.key[0] in (ANONYMOUS, DEVICE, USER):
            condition |= Q(**{f"{one.key[0]}_id__in": one.forms}, event_at=at)
    found: dict[tuple[IdentityKey, datetime], Event] = {}
    rows = Event.objects.filter(condition, game_id=person.game_id).only(*FIELDS)
    for event in sorted(rows, key=lambda event: (not event.user_id, event.message_id)):
        for namespace in (ANONYMOUS, DEVICE, USER):
            found.setdefault(((namespace, canonical(getattr(event, f"{namespace}_id"))), event.event_at), event)
    return found


def note(one: OwnedId) -> str:
    """Return by whom else an id is used, and when it is this person's; '' if by nobody else."""
    if one.is_crowd:
        return f"used by more than {MAX_OWNERS} players, so it belongs to none of them"
    if one.identity.owners != Owners.SEVERAL:
        return ""
    shown = ", ".join(map(_text, one.periods[:MAX_PERIODS])) + (" and later" if len(one.periods) > MAX_PERIODS else "")
    others = f"{one.others} other player{'s' if one.others > 1 else ''}"
    return f"also used by {others}; this player’s {shown}" if shown else f"also used by {others}"


def _text(period: Period) -> str:
    since, until = (time_text(at) if at else "" for at in period)
    if since and until:
        return f"from {since} to {until}"
    return f"from {since}" if since else f"until {until}"


def time_text(at: datetime) -> str:
    """Return a time in UTC, to the minute: "3 March 2026, 14:05"."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {utc:%B %Y, %H:%M}"
