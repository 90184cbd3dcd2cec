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

from django.db import connection

from audience.digest import merge, traits
from audience.intake.message import ANONYMOUS, DEVICE, USER
from audience.models import Event, Game, Identity, Kind, Person

Key = tuple[str, str]
# id -> whose it is, and the time of the earliest event that named it.
Known = dict[Key, tuple[uuid.UUID, datetime]]
# What a set holds: ids, event ids (int) and person ids. Told apart by type: a client may call a namespace anything.
Member = Key | int | uuid.UUID

# What SDKs send when they have no id. Joining by these would make all players one.
NOT_AN_ID = frozenset(
    {
        "0",
        "00000000-0000-0000-0000-000000000000",
        "null",
        "undefined",
        "none",
        "nil",
        "nan",
        "unknown",
        "n/a",
        "na",
        "anonymous",
        "guest",
        "(null)",
        "[object object]",
        "-1",
    }
)


@dataclass(slots=True)
class People:
    """Who the events are about: event id -> person id, and the persons that a merge gave something new."""

    by_event: dict[int, uuid.UUID] = field(default_factory=dict)
    merged: set[uuid.UUID] = field(default_factory=set)


def keys_of(event: Event) -> list[Key]:
    """Every (namespace, value) the event names, without the placeholders."""
    named = [(ANONYMOUS, event.anonymous_id), (USER, event.user_id)]
    # A registration tells whose device it is now, not that all who ever had it are one.
    named += [(DEVICE, event.device_id)] if event.kind != Kind.DEVICE else []
    named += [(namespace, value) for namespace, value in event.links]
    return [(namespace, value) for namespace, value in named if value and value.lower() not in NOT_AN_ID]


def resolve(*, game: Game, events: Sequence[Event]) -> People:
    """Find or make the person of each event, merge those that turn out to be one, and set their traits."""
    sets = _Sets()
    for event in events:
        # The event itself is a member, so that one without any usable id is a player of its own.
        sets.join([event.pk, *keys_of(event)])
    known = _known(game, [member for member in sets.members if isinstance(member, tuple)])
    for key, (person_id, _) in known.items():
        sets.join([person_id, key])
    people = People()
    persons = _persons(game, sets, events, people)
    _add_identities(game, sets, known, persons, events)
    traits.apply(events=events, people=people.by_event)
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


def _persons(game: Game, sets: _Sets, events: Sequence[Event], people: People) -> dict[Member, uuid.UUID]:
    """Set root -> its person: the one it had, a merge of those it had, or a new one. Fills `people`."""
    had: dict[Member, list[uuid.UUID]] = defaultdict(list)
    for member in sets.members:
        if isinstance(member, uuid.UUID):
            had[sets.root(member)].append(member)
    seen: dict[Member, list[datetime]] = defaultdict(list)
    for event in events:
        seen[sets.root(event.pk)].append(event.event_at)
    persons: dict[Member, uuid.UUID] = {}
    new: list[Person] = []
    for root, moments in seen.items():
        candidates = had.get(root, [])
        if not candidates:
            person = Person(game=game, first_seen_at=min(moments), last_seen_at=min(moments))
            new.append(person)
            persons[root] = person.pk
        elif len(candidates) == 1:
            persons[root] = candidates[0]
        else:
            persons[root] = merge.merge(person_ids=candidates)
            people.merged.add(persons[root])
    Person.objects.bulk_create(new)
    people.by_event = {event.pk: persons[sets.root(event.pk)] for event in events}
    return persons


def _add_identities(
    game: Game, sets: _Sets, known: Known, persons: dict[Member, uuid.UUID], events: Sequence[Event]
) -> None:
    first_seen: dict[Key, datetime] = {}
    for event in events:
        for key in keys_of(event):
            first_seen[key] = min(event.event_at, first_seen.get(key, event.event_at))
    Identity.objects.bulk_create(
        Identity(game=game, person_id=persons[sets.root(key)], namespace=key[0], value=key[1], first_seen_at=moment)
        for key, moment in first_seen.items()
        if key not in known
    )
    _seen_earlier(game, {key: moment for key, moment in first_seen.items() if key in known and moment < known[key][1]})


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
