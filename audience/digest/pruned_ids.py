"""Anonymous ids whose rows were pruned: each was seen on one event, with a user (audience/storage/prune_ids.py).

The event holds all that the row held, so the row is written again when it is needed: when an event without a user or a
consent decision has the id, and before an erasure. An event that names a user with the id makes a new row at once,
since the id is that user's from then on in any case; only for an event of an earlier time, the stored events are read.
An id whose event was deleted by the game's retention is a new one.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from django.db import connection

from audience.database import clock
from audience.digest import ownership
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import PLACEHOLDER_IDS, IdentityKey, is_id
from audience.digest.ownership import NAMES_USER, KnownId, NewId
from audience.digest.persons import Merged
from audience.digest.strong_ids import NamedPersons
from audience.digest.weak_ids import WeakIds
from audience.ids.values import canonical
from audience.models import Event, Game, Identity, Owners, Person, PrunePosition
from audience.models.people import ANONYMOUS, USER

# Rows are pruned when their id was seen this long ago: SDKs repeat what they could not send within days.
KEPT = timedelta(days=7)
# The clocks of the hosts that prune and digest may differ.
SLACK = timedelta(days=1)

# The first event that names each player with each of these ids. An array that the planner does not know is looked up in
# the index of each partition, which takes some microseconds per id and year. LIMIT: see event_groups.IDENTITY_OF.
NAMINGS = f"""
SELECT DISTINCT ON (anonymous_id, named.person_id) anonymous_id, named.person_id, at
FROM (
  SELECT anonymous_id, user_id, least(event_at, received_at) AS at FROM audience_event
  WHERE game_id = %(game)s AND anonymous_id = ANY(ARRAY(SELECT jsonb_array_elements_text(%(values)s)))
    AND anonymous_id <> '' AND day <= %(day)s AND links = '[]' AND {NAMES_USER}
) AS event
CROSS JOIN LATERAL (
  SELECT person_id FROM audience_identity
  WHERE (game_id, namespace, value) = (%(game)s, '{USER}', audience_canonical_id(event.user_id)) LIMIT 1
) AS named
ORDER BY anonymous_id, named.person_id, at
"""


def last_day(now: datetime) -> date:
    """Return the last day whose events are those of pruned ids."""
    return (now - KEPT).astimezone(UTC).date()


def namings(game: Game, values: Iterable[str]) -> dict[str, dict[uuid.UUID, datetime]]:
    """Return {anonymous id: {player: time}}: the first event that names each player with the id, in canonical form.

    Events of the last week are left out, since their ids have rows. {} as long as nothing was ever pruned.
    """
    usable = list(filter(is_id, values))
    times: dict[str, dict[uuid.UUID, datetime]] = defaultdict(dict)
    if usable and PrunePosition.objects.exists():
        parameters: dict[str, Any] = {"game": game.pk, "values": orjson.dumps(usable).decode()}
        parameters |= {"day": last_day(clock.now() + SLACK), "nobody": list(PLACEHOLDER_IDS)}
        with connection.cursor() as cursor:
            cursor.execute(NAMINGS, parameters)
            for value, person_id, named_at in cursor.fetchall():
                times[value][person_id] = named_at
    return times


def players(game: Game, value: str) -> list[uuid.UUID]:
    """Return the players that were named with an anonymous id, in any form, of which the row may be pruned."""
    return list(namings(game, [canonical(value)]).get(canonical(value), ()))


def restore_seen(game: Game, groups: Iterable[EventGroup], known: dict[IdentityKey, KnownId]) -> list[IdentityKey]:
    """Restore the pruned ids whose owner decides whose these events are; return as `restore`."""
    late = clock.now() - KEPT + SLACK
    values: set[str] = set()
    for group in groups:
        ids = group.ids
        for namespace, value in [*ids.weak, *ids.aliased, (ANONYMOUS, ids.previous)]:
            row = known.get((namespace, value))
            if row is None:
                decides = not ids.strong or group.first_at < late
            else:
                decides = row.owners == Owners.ONE and group.first_at < row.first_seen_at
            if namespace == ANONYMOUS and decides:
                values.add(value)
    return restore(game, values, known)


def restore(game: Game, values: Collection[str], known: dict[IdentityKey, KnownId]) -> list[IdentityKey]:
    """Write the rows of the pruned ids among these, and add them to `known`.

    Returns the ids that were named with another player than their only owner: their events decide. The game must be
    locked.
    """
    times = namings(game, values)
    pruned: dict[IdentityKey, NewId] = {}
    for value, players in times.items():
        if (ANONYMOUS, value) not in known:
            person_id = min(players, key=players.__getitem__)
            pruned[ANONYMOUS, value] = NewId(players[person_id], person_id, Owners.ONE, players[person_id])
    known |= ownership.add(game, pruned)
    keys = [((ANONYMOUS, value), players) for value, players in times.items()]
    return [key for key, players in keys if known[key].owners == Owners.ONE and {known[key].person_id} != set(players)]


def recall(game: Game, values: Iterable[str]) -> None:
    """Make the rows of these anonymous ids what they were if none had been pruned. The game must be locked."""
    usable = set(filter(is_id, values))
    known = ownership.known_ids(game, [(ANONYMOUS, value) for value in usable])
    if undecided := restore(game, usable, known):
        WeakIds(game, known, Merged()).decide([], NamedPersons([]), undecided).write(game)


def recall_of(person: Person) -> None:
    """As `recall`, for the ids that were named with this person."""
    rows = person.identities.filter(namespace=USER)
    users = [form for row in rows for form in (row.value, *row.spellings)]
    events = Event.objects.filter(game_id=person.game_id, user_id__in=users, day__lte=last_day(clock.now() + SLACK))
    sent = events.exclude(anonymous_id="").order_by().values_list("anonymous_id", flat=True).distinct()
    owned = Identity.objects.filter(person=person, namespace=ANONYMOUS, owners=Owners.ONE).values_list(
        "value", flat=True
    )
    recall(Game(pk=person.game_id), {*owned, *map(canonical, sent)})
