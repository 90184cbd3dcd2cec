"""Explains which events joined the ids of a person, and when (for pages and commands)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from audience.digest.event_ids import IdentityKey
from audience.digest.owned_ids import OwnedId, OwnedPeriod
from audience.digest.ownership import MAX_OWNERS
from audience.ids.values import canonical
from audience.models import Event, Owners, Person
from audience.models.people import ANONYMOUS, DEVICE, USER, WEAK
from audience.wording import dates

MAX_PERIODS = 3
MAX_CALLS = 50
# Columns of an event that a joining needs.
FIELDS = ("day", "kind", "name", "user_id", "anonymous_id", "device_id", "message_id", "event_at", "links")

NAMED = "sent with a user ID"
FIRST_SEEN = "first seen"
WITHOUT_USER = "first seen, without a user ID"
EXPLICIT = "linked by an explicit call"


class Joining(NamedTuple):
    """The event that joined ids to a person, None if it is not kept. `user_id` is the user it names."""

    event_at: datetime
    keys: list[IdentityKey]
    description: str
    user_id: str
    event: Event | None


def joinings(person: Person, ids: Sequence[OwnedId]) -> list[Joining]:
    """Return the first event of each id, or the first that names the person with it, and the explicit calls; oldest
    first.
    """
    moments = [(owned.named_at or owned.identity.first_seen_at, owned) for owned in ids]
    firsts = _events_at(person, moments)
    rows = [_first(moment, owned, firsts.get((owned.key, moment))) for moment, owned in moments]
    users = [spelling for owned in ids if owned.key[0] == USER for spelling in owned.spellings]
    calls = Event.objects.filter(game_id=person.game_id, user_id__in=users).exclude(links=[]).only(*FIELDS)
    for event in calls.order_by("event_at", "pk")[:MAX_CALLS]:
        keys = list(dict.fromkeys([(USER, event.user_id), *((str(name), str(value)) for name, value in event.links)]))
        rows.append(Joining(event.event_at, keys, f"{event.get_kind_display()}: {EXPLICIT}", event.user_id, event))
    return sorted(rows, key=lambda joining: joining.event_at)


def _first(moment: datetime, owned: OwnedId, event: Event | None) -> Joining:
    sent = (owned.key[0], owned.identity.as_sent)
    if owned.key[0] not in WEAK:
        return Joining(moment, [sent], FIRST_SEEN, "", event)
    if owned.named_at is None:
        return Joining(moment, [sent], FIRST_SEEN if owned.is_crowd else WITHOUT_USER, "", event)
    return Joining(moment, [sent], NAMED, event.user_id if event else "", event)


def _events_at(
    person: Person, moments: Iterable[tuple[datetime, OwnedId]]
) -> dict[tuple[IdentityKey, datetime], Event]:
    """Return the event with each id at a time; one that names a user is preferred."""
    condition = Q(pk__in=[])
    for moment, owned in moments:
        if owned.key[0] in (ANONYMOUS, DEVICE, USER):
            condition |= Q(**{f"{owned.key[0]}_id__in": owned.spellings}, event_at=moment)
    events: dict[tuple[IdentityKey, datetime], Event] = {}
    rows = Event.objects.filter(condition, game_id=person.game_id).only(*FIELDS)
    for event in sorted(rows, key=lambda event: (not event.user_id, event.message_id)):
        for namespace in (ANONYMOUS, DEVICE, USER):
            events.setdefault(((namespace, canonical(getattr(event, f"{namespace}_id"))), event.event_at), event)
    return events


def sharing_note(owned: OwnedId) -> str:
    """Return a text about the other users of an id and the periods of this person; '' if nobody else uses it."""
    if owned.is_crowd:
        return f"used by more than {MAX_OWNERS} players, so it is not linked to any of them"
    if owned.identity.owners != Owners.SEVERAL:
        return ""
    more = " and later" if len(owned.periods) > MAX_PERIODS else ""
    shown = ", ".join(map(_text, owned.periods[:MAX_PERIODS])) + more
    others = f"{owned.others} other player{'s' if owned.others > 1 else ''}"
    return f"also used by {others}; this player’s {shown}" if shown else f"also used by {others}"


def _text(period: OwnedPeriod) -> str:
    since, until = (dates.moment(bound) if bound else "" for bound in period)
    if since and until:
        return f"from {since} to {until}"
    return f"from {since}" if since else f"until {until}"
