"""Events and aliases that name a player with a weak id: those of this digest, and all earlier ones."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection

from audience.digest import spellings
from audience.digest.event_groups import EventGroup
from audience.digest.event_ids import PLACEHOLDER_IDS, IdentityKey
from audience.digest.ownership import KnownId
from audience.digest.ownership_runs import OwnershipRun
from audience.digest.strong_ids import NamedPersons
from audience.models import Game, Ownership, OwnershipSource
from audience.models.people import ANONYMOUS, USER

# The events that name a user together with a weak id, and the aliases, as runs of one player in order of time.
# `stored` are times of namings whose events may be deleted by now. The function that reads the events, whose plan is
# kept, is in audience/migrations/0043_events_of_weak_ids.py.
HISTORY = """
WITH stored AS (
  SELECT * FROM jsonb_to_recordset(%(stored)s) AS stored (id bigint, named bigint, at timestamptz)
), by_event AS (
  SELECT event.id, named.id AS named, named.person_id, event.at, event.message_id
  FROM audience_events_naming_{namespace}(%(game)s, %(rows)s, %(placeholders)s) AS event
  CROSS JOIN LATERAL (
    SELECT id, person_id FROM audience_identity
    WHERE (game_id, namespace, value) = (%(game)s, 'user', audience_canonical_id(event.user_id)) LIMIT 1
  ) AS named
), naming AS (
  SELECT * FROM by_event
  UNION ALL
  SELECT identity_id, user_id, person_id, first_at, message_id FROM audience_ownership ownership
  JOIN audience_identity named ON named.id = ownership.user_id
  WHERE identity_id = ANY(%(ids)s) AND source <> 'event'
  UNION ALL
  SELECT stored.id, named, person_id, at, '' FROM stored JOIN audience_identity known ON known.id = named
  WHERE NOT EXISTS (SELECT FROM by_event WHERE by_event.id = stored.id AND by_event.at = stored.at)
), numbered AS (
  SELECT *, CASE WHEN person_id IS DISTINCT FROM lag(person_id) OVER w THEN 1 ELSE 0 END AS begins
  FROM naming WINDOW w AS (PARTITION BY id ORDER BY at, message_id, person_id)
), run AS (
  SELECT *, sum(begins) OVER (PARTITION BY id ORDER BY at, message_id, person_id ROWS UNBOUNDED PRECEDING) AS number
  FROM numbered
)
SELECT id, (array_agg(named ORDER BY at, message_id))[1], (array_agg(person_id))[1], min(at), max(at)
FROM run GROUP BY id, number ORDER BY id, number
"""


class Naming(NamedTuple):
    """A group of events that names a person with a weak id. `source` is an OwnershipSource."""

    key: IdentityKey
    person_id: uuid.UUID
    user: IdentityKey
    first_at: datetime
    last_at: datetime
    message_id: str
    source: str


def namings_of(groups: Sequence[EventGroup], named: NamedPersons) -> Iterator[Naming]:
    """Yield the namings of these groups of events."""
    for index, group in enumerate(groups):
        person_id, ids = named.by_group[index], group.ids
        if person_id is None:
            continue
        # HISTORY does not read events without a user id, so their namings are stored like aliases.
        by_user = ids.strong[0][0] == USER
        keys = [(key, OwnershipSource.EVENT if by_user else OwnershipSource.TYPED_ALIAS) for key in ids.weak]
        keys += [(key, OwnershipSource.TYPED_ALIAS) for key in ids.aliased]
        if ids.previous and ids.previous not in named.users:
            keys.append(((ANONYMOUS, ids.previous), OwnershipSource.ALIAS))
        for key, source in keys:
            yield Naming(key, person_id, ids.strong[0], group.first_at, group.last_at, group.message_id, source)


def store_aliases(game: Game, namings: Iterable[Naming], known: Mapping[IdentityKey, KnownId]) -> None:
    """Store the aliases, since their previous id may turn out to be a user id."""
    rows = [
        Ownership(
            game=game,
            identity_id=known[naming.key].pk,
            user_id=known[naming.user].pk,
            first_at=naming.first_at,
            last_at=naming.first_at,
            message_id=naming.message_id,
            source=naming.source,
        )
        for naming in namings
        if naming.source != OwnershipSource.EVENT
    ]
    stored = Ownership.objects.filter(identity__in={row.identity_id for row in rows}).exclude(
        source=OwnershipSource.EVENT
    )
    fields = ("identity_id", "user_id", "first_at", "message_id", "source")
    before = set(stored.values_list(*fields)) if rows else set()
    new = {key: row for row in rows if (key := tuple(getattr(row, name) for name in fields)) not in before}
    Ownership.objects.bulk_create(new.values())


def read_runs(
    game: Game, namespace: str, ids: Sequence[KnownId], stored: Iterable[Mapping[str, Any]]
) -> dict[int, list[OwnershipRun]]:
    """Return {identity id: runs in order of time} of these weak ids of one namespace, from events and aliases."""
    sent = spellings.load(game.pk, [known.key for known in ids])
    params: dict[str, Any] = {
        "game": game.pk,
        "placeholders": list(PLACEHOLDER_IDS),
        "ids": [known.pk for known in ids],
        "rows": orjson.dumps([{"id": known.pk, "value": value} for known in ids for value in sent[known.key]]).decode(),
        "stored": orjson.dumps(list(stored)).decode(),
    }
    runs: dict[int, list[OwnershipRun]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(HISTORY.format(namespace=namespace), params)
        for identity, *run in cursor.fetchall():
            runs[identity].append(OwnershipRun._make(run))
    return runs
