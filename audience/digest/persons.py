"""Creates persons, records when they were seen, and joins ids that are one player."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from audience.digest import merge
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import IdentityKey
from audience.models import Game

# Members of the union-find: ids, indexes of event groups (int) and person ids, distinguished by type since clients
# choose namespaces freely.
Member = IdentityKey | int | uuid.UUID

# greatest() ignores NULL.
# Rows are passed as one JSON text: psycopg formats arrays in Python, PostgreSQL parses JSON in C.
SPAN = "jsonb_to_recordset(%(spans)s) AS span (id uuid, first_at timestamptz, active_at timestamptz)"
CREATE = f"""
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT id, %(game)s, '{{}}', '{{}}', first_at, greatest(first_at, active_at) FROM {SPAN}
"""
RECORD_SEEN = f"""
UPDATE audience_person person
SET first_seen_at = least(first_seen_at, first_at), last_seen_at = greatest(last_seen_at, active_at)
FROM {SPAN} WHERE person.id = span.id AND (first_at < first_seen_at OR active_at > last_seen_at)
"""


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

    def ids(self) -> list[IdentityKey]:
        """Return the members that are ids."""
        return [member for member in self.members if isinstance(member, tuple)]


class Merged(dict[uuid.UUID, uuid.UUID]):
    """{merged person: remaining person}.

    `new` are persons that `record_seen` will store, with the time at which each was first seen. Until then ids refer to
    them, since foreign keys are checked at the commit.
    """

    def __init__(self) -> None:
        self.new: dict[uuid.UUID, datetime] = {}

    def final(self, person_id: uuid.UUID) -> uuid.UUID:
        """Return the person that this one was merged into, or itself."""
        while person_id in self:
            person_id = self[person_id]
        return person_id

    def merge(self, person_ids: Iterable[uuid.UUID]) -> uuid.UUID:
        """Merge these persons into the one seen first, and return it."""
        distinct = list(dict.fromkeys(map(self.final, person_ids)))
        remaining = merge.merge(person_ids=distinct) if len(distinct) > 1 else distinct[0]
        self.update({person_id: remaining for person_id in distinct if person_id != remaining})
        return remaining


def find_or_create(sets: UnionFind, first_at: Mapping[Member, datetime], merged: Merged) -> dict[Member, uuid.UUID]:
    """Return {root: person}: the person in its set, after a merge if there are several, else one of `merged.new`.

    `first_at` is when each root was first seen.
    """
    person_ids: dict[Member, list[uuid.UUID]] = {}
    for member in sets.members:
        if isinstance(member, uuid.UUID):
            person_ids.setdefault(sets.root(member), []).append(member)
    known = {root: merged.merge(members) for root, members in person_ids.items()}
    new = {root: uuid.uuid4() for root in first_at if root not in known}
    merged.new.update((person_id, first_at[root]) for root, person_id in new.items())
    return {**known, **new}


def create(game: Game, first_at: Mapping[uuid.UUID, datetime]) -> None:
    """Create persons: {id: time first seen}."""
    _execute(CREATE, game, [{"id": person_id, "first_at": moment} for person_id, moment in first_at.items()])


def record_seen(game: Game, seen: Mapping[uuid.UUID, Iterable[EventGroup]], merged: Merged) -> None:
    """Record when persons were first seen and last active, and store the new ones."""
    new: dict[uuid.UUID, dict[str, Any]] = {}
    for person_id, first_at in merged.new.items():
        new[person_id] = {"id": person_id, "first_at": first_at}
    stored = []
    for person_id, groups in seen.items():
        active = [group.active_at for group in groups if group.active_at]
        first_at, active_at = min(group.first_at for group in groups), max(active, default=None)
        if person_id in new:
            new[person_id].update(first_at=min(first_at, new[person_id]["first_at"]), active_at=active_at)
        else:
            stored.append({"id": person_id, "first_at": first_at, "active_at": active_at})
    _execute(CREATE, game, list(new.values()))
    _execute(RECORD_SEEN, game, stored)
    merged.new.clear()


def _execute(query: str, game: Game, spans: list[dict[str, Any]]) -> None:
    if spans:
        with connection.cursor() as cursor:
            cursor.execute(query, {"game": game.pk, "spans": orjson.dumps(spans).decode()})
