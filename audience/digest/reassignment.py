"""Moves what earlier events told to another person, after the owner of a weak id has changed.

What a postback was handed keeps its person and its click.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import structlog
from django.db import connection
from django.db.models import Q

from audience.digest import event_groups, moved_facts, ownership, spellings
from audience.digest.event_ids import PLACEHOLDER_IDS, IdentityKey, is_id, weak_keys
from audience.digest.ownership import COLUMNS, NAMES_USER, KnownId, Owning
from audience.ids.values import canonical
from audience.models import Event, Game, Identity, Kind, Ownership, OwnershipSource, Person
from audience.models.people import ANONYMOUS, DEVICE, USER, GroupMembership

logger = structlog.get_logger(__name__)

# Events that only these weak ids tell, by the ids that they state.
WEAK_EVENTS = """
SELECT anonymous_id, device, min(at), max(at), (array_agg(message_id ORDER BY at, message_id))[1]
FROM jsonb_to_recordset(%(rows)s) AS asked (value text) CROSS JOIN LATERAL (
  SELECT least(event_at, received_at) AS at, message_id, anonymous_id, {device} AS device FROM audience_event
  WHERE game_id = %(game)s AND {index} = asked.value AND {index} <> '' AND {column} <> ''
    AND NOT ({names_user}) AND links = '[]' AND NOT id = ANY(%(digesting)s)
) AS event
GROUP BY anonymous_id, device
"""
# The newest of persons that may lose some of them.
FACTS = """
SELECT id, day FROM audience_event
WHERE game_id = %(game)s AND {matters} AND NOT id = ANY(%(digesting)s)
  AND (user_id = ANY(%(users)s) AND user_id <> ''
    OR (anonymous_id = ANY(%(anonymous)s) AND anonymous_id <> '' OR device_id = ANY(%(devices)s) AND device_id <> '')
      AND NOT ({names_user}) AND links = '[]')
ORDER BY id DESC LIMIT %(limit)s
"""
# More events than this are not moved: a load test, not a player.
MAX_MOVED = 10_000


class WeakEvents(NamedTuple):
    """Events that name no user and state the same ids; `message_id` is that of the first."""

    anonymous_id: str
    device_id: str
    first_at: datetime
    last_at: datetime
    message_id: str

    @property
    def keys(self) -> list[IdentityKey]:
        """Their usable ids."""
        return weak_keys(self.anonymous_id, self.device_id)

    def player(self, owning: Owning, at: datetime | None = None) -> uuid.UUID | None:
        """Return whose the event at this time is, by default the first."""
        keys = dict(self.keys)
        return owning.player(keys.get(ANONYMOUS, ""), keys.get(DEVICE, ""), at or self.first_at)

    def moves(
        self, before: Owning, after: Owning, differs: Mapping[IdentityKey, datetime | None]
    ) -> Iterator[tuple[uuid.UUID | None, uuid.UUID | None]]:
        """Yield (player before, player after) of each time between two changes of an owner.

        `differs` is from when on the owner of an id differs (owner_changes.py); earlier times are left out.
        """
        since = min((at for key in self.keys if (at := differs[key]) is not None), default=None)
        if since is None or since > self.last_at:
            return
        first = max(since, self.first_at)
        changes = {at for owning in (before, after) for key in self.keys for at in owning.changes(key)}
        for at in [first, *(at for at in changes if first < at <= self.last_at)]:
            yield self.player(before, at), self.player(after, at)


def first_events(game: Game, ids: Sequence[KnownId]) -> dict[IdentityKey, WeakEvents]:
    """Return the events of which one is the first with each of these weak ids."""
    first: dict[IdentityKey, WeakEvents] = {}
    asked = {one.key for one in ids}
    for event in sorted(weak_events(game, ids, set()), key=lambda event: (event.first_at, event.message_id)):
        for key in asked.intersection(event.keys):
            first.setdefault(key, event)
    return first


def weak_events(game: Game, ids: Iterable[KnownId], digesting: set[int]) -> list[WeakEvents]:
    """Return the digested events with any of these weak ids and without a user."""
    values: dict[str, list[dict[str, str]]] = defaultdict(list)
    for key, forms in spellings.forms(game.pk, [one.key for one in ids]).items():
        values[key[0]] += [{"value": form} for form in forms]
    found: dict[tuple[str, str], WeakEvents] = {}
    for namespace, rows in values.items():
        query = WEAK_EVENTS.format(
            index=f"{namespace}_id", column=COLUMNS[namespace], device=COLUMNS[DEVICE], names_user=NAMES_USER
        )
        given: dict[str, Any] = {"game": game.pk, "rows": orjson.dumps(rows).decode(), "digesting": list(digesting)}
        with connection.cursor() as cursor:
            cursor.execute(query, {**given, "nobody": list(PLACEHOLDER_IDS)})
            found |= {row[:2]: WeakEvents._make(row) for row in cursor.fetchall()}
    return list(found.values())


def reassign(
    game: Game, losers: set[uuid.UUID], told: Sequence[WeakEvents], counted: Iterable[str], digesting: set[int]
) -> dict[Event, uuid.UUID]:
    """Take from persons what their events do not tell any more; return those events with their persons as of now.

    They are to be digested once more, which adds their facts to these persons. `told` are the events of the ids whose
    owner has changed.
    """
    events = _events(game, losers, told, counted, digesting)
    owning = ownership.load(game, {key for event in events for key in _weak_keys(event)})
    users = ownership.known_ids(game, {(USER, canonical(event.user_id)) for event in events if is_id(event.user_id)})
    owners = {event: person_id for event in events if (person_id := _owner(event, owning, users))}
    moved_facts.move_conversions(game, owners)
    moved_facts.move_touches(losers, owners)
    moved_facts.remove_traits(losers, owners)
    groups = {event.group_id for event in owners if event.kind == Kind.GROUP}
    GroupMembership.objects.filter(person_id__in=losers, group__game=game, group__group_id__in=groups).delete()
    return owners


def _owner(event: Event, owning: Owning, users: Mapping[IdentityKey, KnownId]) -> uuid.UUID | None:
    if is_id(event.user_id):
        known = users.get((USER, canonical(event.user_id)))
        return known.person_id if known else None
    keys = dict(_weak_keys(event))
    return owning.player(keys.get(ANONYMOUS, ""), keys.get(DEVICE, ""), event.event_at)


def _weak_keys(event: Event) -> list[IdentityKey]:
    return weak_keys(event.anonymous_id, event.device_id if event.kind != Kind.DEVICE else "")


def _events(
    game: Game, losers: set[uuid.UUID], told: Sequence[WeakEvents], counted: Iterable[str], digesting: set[int]
) -> list[Event]:
    """Return the digested events of these persons that matter, in order of time."""
    ids: dict[str, set[str]] = {ANONYMOUS: set(), USER: set(), DEVICE: set()}
    owned = Ownership.objects.filter(user__person__in=losers, source=OwnershipSource.EVENT)
    rows = Identity.objects.filter(Q(person__in=losers) | Q(pk__in=owned.values("identity")), namespace__in=ids)
    keys = [*rows.values_list("namespace", "value"), *(key for event in told for key in event.keys)]
    for (namespace, _), forms in spellings.forms(game.pk, keys).items():
        ids[namespace].update(forms)
    given: dict[str, Any] = {"users": list(ids[USER]), "anonymous": list(ids[ANONYMOUS]), "devices": list(ids[DEVICE])}
    given |= {"game": game.pk, "digesting": list(digesting), "nobody": list(PLACEHOLDER_IDS), "limit": MAX_MOVED}
    given |= event_groups.matter_parameters(counted)
    with connection.cursor() as cursor:
        cursor.execute(FACTS.format(matters=event_groups.MATTERS, names_user=NAMES_USER), given)
        found = cursor.fetchall()
    if len(found) == MAX_MOVED:
        logger.warning("too_many_events_to_move", game_id=game.pk, persons=[str(person_id) for person_id in losers])
    days = {day for _, day in found}
    events = list(Event.objects.filter(pk__in=[pk for pk, _ in found], day__in=days).defer("raw")) if found else []
    for event in events:
        event.event_at = min(event.event_at, event.received_at)
    return sorted(events, key=lambda event: (event.event_at, event.pk))


def remove_empty(person_ids: Iterable[uuid.UUID]) -> None:
    """Delete the persons of these that have neither ids nor conversions."""
    Person.objects.filter(pk__in=list(person_ids), identities=None, conversions=None).delete()
