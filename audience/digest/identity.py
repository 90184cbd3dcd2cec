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

from django.db import connection

from audience.digest import merge
from audience.digest.sightings import Key, Sighting
from audience.models import Game

# id -> whose it is, and the time of the earliest event that named it.
Known = dict[Key, tuple[uuid.UUID, datetime]]
# What a set holds: ids, the places of sightings (int) and person ids. Told apart by type: a client may call a
# namespace anything.
Member = Key | int | uuid.UUID

SPAN = "unnest(%(ids)s::uuid[], %(first)s::timestamptz[], %(active)s::timestamptz[]) AS span (id, first_at, active_at)"
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
ADD = """
INSERT INTO audience_identity (game_id, person_id, namespace, value, first_seen_at)
SELECT %s, new.* FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[]) AS new
"""


@dataclass(slots=True)
class People:
    """Who the events are about: event id -> person id, and the persons that a merge gave something new."""

    by_event: dict[int, uuid.UUID] = field(default_factory=dict)
    merged: set[uuid.UUID] = field(default_factory=set)


def resolve(*, game: Game, seen: Sequence[Sighting]) -> People:
    """Find or make the person of each sighting, and merge those that turn out to be one."""
    sets = _Sets()
    for place, sighting in enumerate(seen):
        # The sighting itself is a member, so that one without any usable id is a player of its own.
        sets.join([place, *sighting.keys])
    known = _known(game, [member for member in sets.members if isinstance(member, tuple)])
    for key, (person_id, _) in known.items():
        sets.join([person_id, key])
    people = People()
    persons = _persons(game, sets, seen, people)
    _add_identities(game, sets, known, persons, seen)
    return people


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


def _known(game: Game, keys: Sequence[Key]) -> Known:
    """The persons that already go by these ids, and since when."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT namespace, value, person_id, first_seen_at FROM audience_identity "
            "JOIN unnest(%s::text[], %s::text[]) AS asked (namespace, value) USING (namespace, value) "
            "WHERE game_id = %s",
            [[namespace for namespace, _ in keys], [value for _, value in keys], game.pk],
        )
        return {(namespace, value): (person_id, since) for namespace, value, person_id, since in cursor.fetchall()}


def _persons(game: Game, sets: _Sets, seen: Sequence[Sighting], people: People) -> dict[Member, uuid.UUID]:
    """Set root -> its person: the one it had, a merge of those it had, or a new one. Fills `people`."""
    had: dict[Member, list[uuid.UUID]] = defaultdict(list)
    for member in sets.members:
        if isinstance(member, uuid.UUID):
            had[sets.root(member)].append(member)
    theirs: dict[Member, list[Sighting]] = defaultdict(list)
    for place, sighting in enumerate(seen):
        theirs[sets.root(place)].append(sighting)
    persons: dict[Member, uuid.UUID] = {}
    new: dict[uuid.UUID, list[Sighting]] = {}
    old: dict[uuid.UUID, list[Sighting]] = {}
    for root, group in theirs.items():
        candidates = had.get(root, [])
        if not candidates:
            persons[root] = uuid.uuid4()
            new[persons[root]] = group
            continue
        persons[root] = candidates[0] if len(candidates) == 1 else merge.merge(person_ids=candidates)
        people.merged |= {persons[root]} if len(candidates) > 1 else set()
        old[persons[root]] = group
    _spans(MAKE, new, game)
    _spans(WIDEN, old, game)
    people.by_event = {pk: persons[root] for root, group in theirs.items() for one in group for pk in one.events}
    return persons


def _spans(query: str, persons: Mapping[uuid.UUID, Sequence[Sighting]], game: Game) -> None:
    """Run MAKE or WIDEN with when each person was first seen and last active."""
    if not persons:
        return
    first = [min(one.first_at for one in seen) for seen in persons.values()]
    active = [max((one.active_at for one in seen if one.active_at), default=None) for seen in persons.values()]
    with connection.cursor() as cursor:
        cursor.execute(query, {"game": game.pk, "ids": list(persons), "first": first, "active": active})


def _add_identities(
    game: Game, sets: _Sets, known: Known, persons: dict[Member, uuid.UUID], seen: Sequence[Sighting]
) -> None:
    first_at: dict[Key, datetime] = {}
    for sighting in seen:
        for key in sighting.keys:
            first_at[key] = min(sighting.first_at, first_at.get(key, sighting.first_at))
    new = {key: moment for key, moment in first_at.items() if key not in known}
    if new:
        columns: list[list[Any]] = [[persons[sets.root(key)] for key in new], *map(list, zip(*new, strict=True))]
        with connection.cursor() as cursor:
            cursor.execute(ADD, [game.pk, *columns, list(new.values())])
    _seen_earlier(game, {key: at for key, at in first_at.items() if key in known and at < known[key][1]})


def _seen_earlier(game: Game, moments: Mapping[Key, datetime]) -> None:
    """An older event came in later. The id that a player was first known by goes to the networks."""
    if not moments:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audience_identity AS known SET first_seen_at = seen.at "
            "FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS seen (namespace, value, at) "
            "WHERE known.game_id = %s AND known.namespace = seen.namespace AND known.value = seen.value",
            [[key[0] for key in moments], [key[1] for key in moments], list(moments.values()), game.pk],
        )
