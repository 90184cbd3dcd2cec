"""Resolves the person of each event. Ids that appear together belong to one player, in any order of arrival.

An event joins all ids that it names (anonymous, user, device, and the typed ids of alias and identify). Persons that
turn out to be one are merged into the one seen first.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from audience.digest import merge
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.models import Game

# id -> its person, and the time of the earliest event that named it.
Known = dict[IdentityKey, tuple[uuid.UUID, datetime]]
# Members of the union-find: ids, indexes of event groups (int) and person ids, distinguished by type since clients
# choose namespaces freely.
Member = IdentityKey | int | uuid.UUID

# Rows are passed as one JSON text: psycopg formats arrays in Python, PostgreSQL parses JSON in C.
SPAN = "jsonb_to_recordset(%(spans)s) AS span (id uuid, first_at timestamptz, active_at timestamptz)"
MAKE = f"""
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT id, %(game)s, '{{}}', '{{}}', first_at, coalesce(active_at, first_at) FROM {SPAN}
"""
# greatest() ignores NULL.
WIDEN = f"""
UPDATE audience_person person
SET first_seen_at = least(first_seen_at, first_at), last_seen_at = greatest(last_seen_at, active_at)
FROM {SPAN} WHERE person.id = span.id AND (first_at < first_seen_at OR active_at > last_seen_at)
"""
NAMED = "jsonb_to_recordset(%(keys)s) AS named (person_id uuid, namespace text, value text, first_at timestamptz)"
# LIMIT: see event_groups.IDENTITY_OF.
FOUND = f"""{NAMED} CROSS JOIN LATERAL (
    SELECT id, person_id, first_seen_at FROM audience_identity
    WHERE (game_id, namespace, value) = (%(game)s, named.namespace, named.value) LIMIT 1
) AS known"""
KNOWN = f"SELECT namespace, value, known.person_id, first_seen_at FROM {FOUND}"
ADD = f"""
INSERT INTO audience_identity (game_id, person_id, namespace, value, first_seen_at)
SELECT %(game)s, person_id, namespace, value, first_at FROM {NAMED}
"""
# For older events that arrive later. The first user id of a player is sent to the networks.
SEEN_EARLIER = f"""
UPDATE audience_identity SET first_seen_at = first_at
FROM (SELECT known.id, first_at FROM {FOUND}) AS earlier WHERE audience_identity.id = earlier.id
"""


@dataclass(slots=True)
class People:
    """The person of each event that matters (event id -> person id), and the persons that others were merged into."""

    by_event: dict[int, uuid.UUID] = field(default_factory=dict)
    merged: set[uuid.UUID] = field(default_factory=set)


def resolve(*, game: Game, seen: Sequence[EventGroup]) -> People:
    """Find, create or merge the persons of all events."""
    people = People()
    became = _join(game, [one for one in seen if one.person_id is None], people)
    for one in seen:
        if one.person_id is not None:
            people.by_event.update(dict.fromkeys(one.events, became.get(one.person_id, one.person_id)))
    return people


def _join(game: Game, seen: Sequence[EventGroup], people: People) -> dict[uuid.UUID, uuid.UUID]:
    """Find or create the person of each group of events, and merge persons that turn out to be one; fills `people`.

    Returns {merged person: remaining person}.
    """
    sets = UnionFind()
    for place, group in enumerate(seen):
        # The group itself is a member, so that events without any usable id are a player of their own.
        sets.join([place, *group.keys])
    known = _known(game, [member for member in sets.members if isinstance(member, tuple)])
    for key, (person_id, _) in known.items():
        sets.join([person_id, key])
    persons, became = _persons(game, sets, seen)
    people.merged |= set(became.values())
    for place, group in enumerate(seen):
        people.by_event.update(dict.fromkeys(group.events, persons[sets.root(place)]))
    _add_identities(game, sets, known, persons, seen)
    return became


class UnionFind:
    """Union-find over members."""

    def __init__(self) -> None:
        self.members: dict[Member, Member] = {}

    def root(self, member: Member) -> Member:
        self.members.setdefault(member, member)
        while self.members[member] != member:
            self.members[member] = self.members[self.members[member]]
            member = self.members[member]
        return member

    def join(self, members: Iterable[Member]) -> None:
        roots = [self.root(member) for member in members]
        for other in roots[1:]:
            self.members[self.root(other)] = self.root(roots[0])


def _known(game: Game, keys: Iterable[IdentityKey]) -> Known:
    """Return the persons known by these ids, and since when."""
    asked = [{"namespace": namespace, "value": value} for namespace, value in keys]
    rows = _execute(KNOWN, game, keys=asked)
    return {(namespace, value): (person_id, since) for namespace, value, person_id, since in rows}


def _persons(
    game: Game, sets: UnionFind, seen: Sequence[EventGroup]
) -> tuple[dict[Member, uuid.UUID], dict[uuid.UUID, uuid.UUID]]:
    """Return {root: person} and {merged person: remaining person}; a root without a known person gets a new one."""
    had: dict[Member, list[uuid.UUID]] = defaultdict(list)
    for member in sets.members:
        if isinstance(member, uuid.UUID):
            had[sets.root(member)].append(member)
    groups_of: dict[Member, list[EventGroup]] = defaultdict(list)
    for place, group in enumerate(seen):
        groups_of[sets.root(place)].append(group)
    merged = {root: merge.merge(person_ids=those) for root, those in had.items() if len(those) > 1}
    old = {root: merged.get(root, those[0]) for root, those in had.items()}
    new = {root: uuid.uuid4() for root in groups_of if root not in old}
    _execute(MAKE, game, spans=[_span(person_id, groups_of[root]) for root, person_id in new.items()])
    _execute(WIDEN, game, spans=[_span(person_id, groups_of[root]) for root, person_id in old.items()])
    return {**old, **new}, {one: merged[root] for root in merged for one in had[root]}


def _span(person_id: uuid.UUID, seen: Iterable[EventGroup]) -> dict[str, Any]:
    """Return when the person was first seen and last active (None without activity)."""
    first_at = min(one.first_at for one in seen)
    active_at = max((one.active_at for one in seen if one.active_at), default=None)
    return {"id": person_id, "first_at": first_at, "active_at": active_at}


def _add_identities(
    game: Game, sets: UnionFind, known: Known, persons: Mapping[Member, uuid.UUID], seen: Sequence[EventGroup]
) -> None:
    first_at: dict[IdentityKey, datetime] = {}
    for group in seen:
        for key in group.keys:
            first_at[key] = min(group.first_at, first_at.get(key, group.first_at))
    new = [_named(key, at, persons[sets.root(key)]) for key, at in first_at.items() if key not in known]
    earlier = [_named(key, at) for key, at in first_at.items() if key in known and at < known[key][1]]
    _execute(ADD, game, keys=new)
    _execute(SEEN_EARLIER, game, keys=earlier)


def _named(key: IdentityKey, first_at: datetime, person_id: uuid.UUID | None = None) -> dict[str, Any]:
    return {"namespace": key[0], "value": key[1], "first_at": first_at, "person_id": person_id}


def _execute(query: str, game: Game, **rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run a statement with its rows, `spans` or `keys`; without rows return []."""
    given = {name: orjson.dumps(those).decode() for name, those in rows.items() if those}
    if not given:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, {"game": game.pk, **given})
        return cursor.fetchall() if cursor.description else []
