"""Moves what earlier events added to a person, such as clicks and traits, after the owner of a weak id has changed.

Conversions that were fanned out keep their person and their click.
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

from audience.digest import active_quarters, event_groups, moved_rows, ownership, spellings, traits
from audience.digest.event_ids import PLACEHOLDER_IDS, IdentityKey, is_id, weak_keys
from audience.digest.ownership import NAMES_USER, KnownId, WeakOwners
from audience.ids.values import canonical
from audience.models import Event, Game, Identity, Kind, Ownership, OwnershipSource, Person
from audience.models.people import ANONYMOUS, DEVICE, USER, GroupMembership

logger = structlog.get_logger(__name__)

# Events with these weak ids and without a user, grouped by their ids. The function, whose plan is kept, is in
# audience/migrations/0043_events_of_weak_ids.py.
WEAK_EVENTS = """
SELECT * FROM audience_events_without_user_{namespace}(%(game)s, %(rows)s, %(placeholders)s, %(digesting)s::bigint[])
"""
# The newest relevant events of persons who may lose some of them.
RELEVANT_EVENTS = """
SELECT id, day FROM audience_event
WHERE game_id = %(game)s AND ({is_relevant} OR group_id <> '') AND NOT id = ANY(%(digesting)s)
  AND (user_id = ANY(%(users)s) AND user_id <> ''
    OR (anonymous_id = ANY(%(anonymous)s) AND anonymous_id <> '' OR device_id = ANY(%(devices)s) AND device_id <> '')
      AND NOT ({names_user}) AND links = '[]')
ORDER BY id DESC LIMIT %(limit)s
"""
# Maximum number of events to move. More come from a load test, not from a player.
MAX_MOVED = 10_000


class WeakEvents(NamedTuple):
    """Events without a user that have the same ids; `message_id` is that of the first."""

    anonymous_id: str
    device_id: str
    first_at: datetime
    last_at: datetime
    message_id: str

    @property
    def keys(self) -> list[IdentityKey]:
        """Their usable ids."""
        return weak_keys(self.anonymous_id, self.device_id)

    def player(self, lookup: WeakOwners, moment: datetime | None = None) -> uuid.UUID | None:
        """Return the player of the event at this time, by default of the first event."""
        return lookup.player(self.keys, moment or self.first_at)

    def moves(
        self, before: WeakOwners, after: WeakOwners, differs: Mapping[IdentityKey, datetime | None]
    ) -> Iterator[tuple[uuid.UUID | None, uuid.UUID | None]]:
        """Yield (player before, player after) for each period between two changes of an owner.

        `differs` is the time from which on the owner of an id differs (owner_changes.py); earlier times are left out.
        """
        since = min((moment for key in self.keys if (moment := differs[key]) is not None), default=None)
        if since is None or since > self.last_at:
            return
        start = max(since, self.first_at)
        changes = {moment for lookup in (before, after) for key in self.keys for moment in lookup.changes(key)}
        for moment in [start, *(moment for moment in changes if start < moment <= self.last_at)]:
            yield self.player(before, moment), self.player(after, moment)


def first_events(game: Game, ids: Sequence[KnownId]) -> dict[IdentityKey, WeakEvents]:
    """Return {weak id: the events that include the first one with it}."""
    first: dict[IdentityKey, WeakEvents] = {}
    keys = {row.key for row in ids}
    for event in sorted(weak_events(game, ids, set()), key=lambda event: (event.first_at, event.message_id)):
        for key in keys.intersection(event.keys):
            first.setdefault(key, event)
    return first


def weak_events(game: Game, ids: Iterable[KnownId], digesting: set[int]) -> list[WeakEvents]:
    """Return the digested events with any of these weak ids and without a user."""
    values: dict[str, list[dict[str, str]]] = defaultdict(list)
    for key, sent in spellings.load(game.pk, [row.key for row in ids]).items():
        values[key[0]] += [{"value": value} for value in sent]
    events_by_ids: dict[tuple[str, str], WeakEvents] = {}
    for namespace, rows in values.items():
        params: dict[str, Any] = {"game": game.pk, "rows": orjson.dumps(rows).decode(), "digesting": list(digesting)}
        with connection.cursor() as cursor:
            cursor.execute(WEAK_EVENTS.format(namespace=namespace), {**params, "placeholders": list(PLACEHOLDER_IDS)})
            events_by_ids |= {row[:2]: WeakEvents._make(row) for row in cursor.fetchall()}
    return list(events_by_ids.values())


def reassign(
    game: Game, former: set[uuid.UUID], weak: Sequence[WeakEvents], triggers: Iterable[str], digesting: set[int]
) -> dict[Event, uuid.UUID]:
    """Remove from the previous owners what their events added; return {event: its player now}.

    These events must be digested again, which adds what they contain to these players. `weak` are the events of the ids
    whose owner has changed.
    """
    events = _events(game, former, weak, triggers, digesting)
    lookup = ownership.load(game, {key for event in events for key in _weak_keys(event)})
    users = ownership.known_ids(game, {(USER, canonical(event.user_id)) for event in events if is_id(event.user_id)})
    owners = {event: person_id for event in events if (person_id := _owner(event, lookup, users))}
    moved_rows.move_conversions(game, owners)
    moved_rows.move_touches(game, former, owners)
    stated = {(trait.name, trait.set_at) for event in owners for trait in traits.of_player(event)}
    moved_rows.remove_traits(former, stated)
    groups = {event.group_id for event in owners if event.group_id}
    GroupMembership.objects.filter(person_id__in=former, group__game=game, group__group_id__in=groups).delete()
    return owners


def _owner(event: Event, lookup: WeakOwners, users: Mapping[IdentityKey, KnownId]) -> uuid.UUID | None:
    if is_id(event.user_id):
        known = users.get((USER, canonical(event.user_id)))
        return known.person_id if known else None
    return lookup.player(_weak_keys(event), event.event_at)


def _weak_keys(event: Event) -> list[IdentityKey]:
    return weak_keys(event.anonymous_id, event.device_id if event.kind != Kind.DEVICE else "")


def _events(
    game: Game, former: set[uuid.UUID], weak: Sequence[WeakEvents], triggers: Iterable[str], digesting: set[int]
) -> list[Event]:
    """Return the digested relevant events of these persons, in order of time."""
    ids: dict[str, set[str]] = {ANONYMOUS: set(), USER: set(), DEVICE: set()}
    owned = Ownership.objects.filter(user__person__in=former, source=OwnershipSource.EVENT)
    identities = Identity.objects.filter(Q(person__in=former) | Q(pk__in=owned.values("identity")), namespace__in=ids)
    keys = [*identities.values_list("namespace", "value"), *(key for event in weak for key in event.keys)]
    for (namespace, _), sent in spellings.load(game.pk, keys).items():
        ids[namespace].update(sent)
    params: dict[str, Any] = {"users": list(ids[USER]), "anonymous": list(ids[ANONYMOUS]), "devices": list(ids[DEVICE])}
    params |= {"game": game.pk, "digesting": list(digesting), "nobody": list(PLACEHOLDER_IDS), "limit": MAX_MOVED}
    params |= event_groups.relevance_parameters(triggers, game)
    with connection.cursor() as cursor:
        cursor.execute(RELEVANT_EVENTS.format(is_relevant=event_groups.IS_RELEVANT, names_user=NAMES_USER), params)
        rows = cursor.fetchall()
    if len(rows) == MAX_MOVED:
        logger.warning("events_not_moved", game_id=game.pk, persons=[str(person_id) for person_id in former])
    days = {day for _, day in rows}
    events = list(Event.objects.filter(pk__in=[pk for pk, _ in rows], day__in=days).defer("raw")) if rows else []
    for event in events:
        event.event_at = min(event.event_at, event.received_at)
    return sorted(events, key=lambda event: (event.event_at, event.pk))


def remove_empty(person_ids: Iterable[uuid.UUID]) -> None:
    """Delete those persons that have neither ids nor conversions."""
    rows = Person.objects.filter(pk__in=list(person_ids), identities=None, conversions=None)
    active_quarters.forget(rows.values_list("pk", flat=True))
    rows.delete()
