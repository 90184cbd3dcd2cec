"""Which person each event is about. Ids that appear together are one player, in whatever order they arrive.

The rule is a plain union of sets: an event joins all the ids it names (anonymous, user, device, and the typed
ids of alias and identify), so the outcome does not depend on the order of arrival. Persons found to be one are
merged into the one seen first.
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
from audience.digest.reading import Sighting
from audience.digest.sightings import Key
from audience.models import Game

# id -> whose it is, and the time of the earliest event that named it.
Known = dict[Key, tuple[uuid.UUID, datetime]]
# What a set holds: ids, the places of sightings (int) and person ids. Told apart by type: a client may call a
# namespace anything.
Member = Key | int | uuid.UUID

# Rows come in as one JSON text: psycopg writes an array item by item in Python, PostgreSQL takes JSON apart in C.
SPAN = "jsonb_to_recordset(%(spans)s) AS span (id uuid, first_at timestamptz, active_at timestamptz)"
MAKE = f"""
INSERT INTO audience_person (id, game_id, traits, trait_times, first_seen_at, last_seen_at)
SELECT id, %(game)s, '{{}}', '{{}}', first_at, coalesce(active_at, first_at) FROM {SPAN}
"""
# greatest() passes over an absent `active_at`.
WIDEN = f"""
UPDATE audience_person person
SET first_seen_at = least(first_seen_at, first_at), last_seen_at = greatest(last_seen_at, active_at)
FROM {SPAN} WHERE person.id = span.id AND (first_at < first_seen_at OR active_at > last_seen_at)
"""
NAMED = "jsonb_to_recordset(%(keys)s) AS named (person_id uuid, namespace text, value text, first_at timestamptz)"
# LIMIT for the reason that stands at reading.WHOSE.
FOUND = f"""{NAMED} CROSS JOIN LATERAL (
    SELECT id, person_id, first_seen_at FROM audience_identity
    WHERE (game_id, namespace, value) = (%(game)s, named.namespace, named.value) LIMIT 1
) AS known"""
KNOWN = f"SELECT namespace, value, known.person_id, first_seen_at FROM {FOUND}"
ADD = f"""
INSERT INTO audience_identity (game_id, person_id, namespace, value, first_seen_at)
SELECT %(game)s, person_id, namespace, value, first_at FROM {NAMED}
"""
# An older event came in later. The id that a player was first known by goes to the networks.
SEEN_EARLIER = f"""
UPDATE audience_identity SET first_seen_at = first_at
FROM (SELECT known.id, first_at FROM {FOUND}) AS earlier WHERE audience_identity.id = earlier.id
"""


@dataclass(slots=True)
class People:
    """Whose the events that matter are (event id -> person id), and the persons that a merge gave something new."""

    by_event: dict[int, uuid.UUID] = field(default_factory=dict)
    merged: set[uuid.UUID] = field(default_factory=set)


def resolve(*, game: Game, seen: Sequence[Sighting]) -> People:
    """Whose each event is: its person's, where that is known already, else one found, made, or merged of several."""
    people = People()
    became = _join(game, [one for one in seen if one.person_id is None], people)
    for one in seen:
        if one.person_id is not None:
            people.by_event.update(dict.fromkeys(one.events, became.get(one.person_id, one.person_id)))
    return people


def _join(game: Game, seen: Sequence[Sighting], people: People) -> dict[uuid.UUID, uuid.UUID]:
    """Find or make the person of each sighting, and merge those that turn out to be one; fills `people`.

    Merged person -> the one that remains.
    """
    sets = _Sets()
    for place, sighting in enumerate(seen):
        # The sighting itself is a member, so that one without any usable id is a player of its own.
        sets.join([place, *sighting.keys])
    known = _known(game, [member for member in sets.members if isinstance(member, tuple)])
    for key, (person_id, _) in known.items():
        sets.join([person_id, key])
    persons, became = _persons(game, sets, seen)
    people.merged |= set(became.values())
    for place, sighting in enumerate(seen):
        people.by_event.update(dict.fromkeys(sighting.events, persons[sets.root(place)]))
    _add_identities(game, sets, known, persons, seen)
    return became


class _Sets:
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


def _known(game: Game, keys: Iterable[Key]) -> Known:
    """The persons that already go by these ids, and since when."""
    asked = [{"namespace": namespace, "value": value} for namespace, value in keys]
    rows = _execute(KNOWN, game, keys=asked)
    return {(namespace, value): (person_id, since) for namespace, value, person_id, since in rows}


def _persons(
    game: Game, sets: _Sets, seen: Sequence[Sighting]
) -> tuple[dict[Member, uuid.UUID], dict[uuid.UUID, uuid.UUID]]:
    """(set root -> its person: the one it had, a merge of those it had, or a new one; merged person -> the merge)."""
    had: dict[Member, list[uuid.UUID]] = defaultdict(list)
    for member in sets.members:
        if isinstance(member, uuid.UUID):
            had[sets.root(member)].append(member)
    theirs: dict[Member, list[Sighting]] = defaultdict(list)
    for place, sighting in enumerate(seen):
        theirs[sets.root(place)].append(sighting)
    merged = {root: merge.merge(person_ids=those) for root, those in had.items() if len(those) > 1}
    old = {root: merged.get(root, those[0]) for root, those in had.items()}
    new = {root: uuid.uuid4() for root in theirs if root not in old}
    _execute(MAKE, game, spans=[_span(person_id, theirs[root]) for root, person_id in new.items()])
    _execute(WIDEN, game, spans=[_span(person_id, theirs[root]) for root, person_id in old.items()])
    return {**old, **new}, {one: merged[root] for root in merged for one in had[root]}


def _span(person_id: uuid.UUID, seen: Iterable[Sighting]) -> dict[str, Any]:
    """When the person was first seen and last active; `active_at` is None for a player who only was seen."""
    first_at = min(one.first_at for one in seen)
    active_at = max((one.active_at for one in seen if one.active_at), default=None)
    return {"id": person_id, "first_at": first_at, "active_at": active_at}


def _add_identities(
    game: Game, sets: _Sets, known: Known, persons: Mapping[Member, uuid.UUID], seen: Sequence[Sighting]
) -> None:
    first_at: dict[Key, datetime] = {}
    for sighting in seen:
        for key in sighting.keys:
            first_at[key] = min(sighting.first_at, first_at.get(key, sighting.first_at))
    new = [_named(key, at, persons[sets.root(key)]) for key, at in first_at.items() if key not in known]
    earlier = [_named(key, at) for key, at in first_at.items() if key in known and at < known[key][1]]
    _execute(ADD, game, keys=new)
    _execute(SEEN_EARLIER, game, keys=earlier)


def _named(key: Key, first_at: datetime, person_id: uuid.UUID | None = None) -> dict[str, Any]:
    return {"namespace": key[0], "value": key[1], "first_at": first_at, "person_id": person_id}


def _execute(query: str, game: Game, **rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run one of the statements above with its rows, `spans` or `keys`; nothing at all without any."""
    given = {name: orjson.dumps(those).decode() for name, those in rows.items() if those}
    if not given:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, {"game": game.pk, **given})
        return cursor.fetchall() if cursor.description else []
