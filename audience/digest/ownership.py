"""The owners of weak ids over time, and the player of an event that names no user.

An event that names a user is that user's. Otherwise it belongs to the owner of its anonymous id, or of its device id if
the anonymous id was never named with a user. The owner of a weak id at a time is the user last named with it at or
before that time, else the first one named after it. This depends on the times of events only, not on their arrival.
"""

import uuid
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from django.db import connection

from audience.digest import ownership_runs
from audience.digest.event_ids import IdentityKey
from audience.digest.ownership_runs import OwnershipRun
from audience.models import Game, Owners

# A weak id named with more players than this belongs to none of them: a kiosk, a load test. Nor does one whose owner
# changes more than MAX_RUNS times in RUNS_PERIOD: two accounts that play at the same time.
MAX_OWNERS = 50
MAX_RUNS = 1_000  # within RUNS_PERIOD
RUNS_PERIOD = timedelta(days=30)
MAX_ALL_RUNS = 10_000

# Rows are passed as one JSON text: psycopg formats arrays in Python, PostgreSQL parses JSON in C.
KEYS = "jsonb_to_recordset(%(rows)s) AS key (namespace text, value text)"
# LIMIT: see event_groups.IDENTITY_OF.
IDENTITIES = f"""
SELECT identity.* FROM {KEYS} CROSS JOIN LATERAL (
    SELECT namespace, value, id, person_id, owners, named_at, first_seen_at FROM audience_identity
    WHERE (game_id, namespace, value) = (%(game)s, key.namespace, key.value) LIMIT 1
) AS identity
"""
ROWS = """jsonb_to_recordset(%(rows)s) AS row
(id bigint, person_id uuid, namespace text, value text, owners text, named_at timestamptz, first_at timestamptz)"""
ADD = f"""
INSERT INTO audience_identity (game_id, person_id, namespace, value, first_seen_at, owners, named_at)
SELECT %(game)s, person_id, namespace, value, first_at, owners, named_at FROM {ROWS} RETURNING namespace, value, id
"""
CHANGE = f"""
UPDATE audience_identity known SET person_id = row.person_id, owners = row.owners, named_at = row.named_at,
  first_seen_at = least(known.first_seen_at, row.first_at)
FROM {ROWS} WHERE known.id = row.id
"""
# The owner of a weak id with several owners at a time: an expression, with {identity} and {at}. Runs are stored in
# order of time.
OWNER_AT = """
SELECT named.person_id FROM audience_ownership ownership
JOIN audience_identity named ON named.id = ownership.user_id
WHERE ownership.identity_id = {identity} AND ownership.source = 'event'
ORDER BY ownership.first_at <= {at} DESC, CASE WHEN ownership.first_at <= {at} THEN ownership.id END DESC, ownership.id
LIMIT 1
"""
NAMES_USER = "user_id <> '' AND lower(user_id) <> ALL(%(nobody)s)"


@dataclass(slots=True)
class KnownId:
    """A row of audience_identity."""

    key: IdentityKey
    pk: int
    person_id: uuid.UUID | None
    owners: str
    named_at: datetime | None
    first_seen_at: datetime

    @property
    def is_named(self) -> bool:
        """Whether it was ever named with a user, if it is a weak id."""
        return self.owners not in (Owners.NONE, Owners.OTHER)

    @property
    def strong_person_id(self) -> uuid.UUID:
        """The person of a strong id."""
        assert self.person_id is not None
        return self.person_id


def known_ids(game: Game, keys: Iterable[IdentityKey]) -> dict[IdentityKey, KnownId]:
    """Return the stored identities of these ids."""
    rows = [{"namespace": namespace, "value": value} for namespace, value in keys]
    return {(row[0], row[1]): KnownId((row[0], row[1]), *row[2:]) for row in _execute(IDENTITIES, game, rows)}


@dataclass(slots=True)
class WeakOwners:
    """The owners of weak ids, as stored at the time of loading."""

    known: dict[IdentityKey, KnownId]
    # {identity id: runs in order of time} of ids with several owners.
    runs: dict[int, list[OwnershipRun]] = field(default_factory=dict)

    def add(self, game: Game, keys: Iterable[IdentityKey]) -> None:
        """Load the owners of those ids that are not loaded yet."""
        missing = load(game, set(keys) - set(self.known))
        self.known |= missing.known
        self.runs |= missing.runs

    def is_named(self, key: IdentityKey) -> bool:
        """Whether it is a weak id that was ever named with a user."""
        return key in self.known and self.known[key].is_named

    def player(self, keys: Iterable[IdentityKey], moment: datetime) -> uuid.UUID | None:
        """Return the player of an event with these weak ids, the anonymous one first, and without a user.

        None if not known yet.
        """
        rows = [self.known[key] for key in keys if key in self.known]
        if named := next((row for row in rows if row.is_named), None):
            return self._owner(named, moment)
        return next((row.person_id for row in rows if row.owners == Owners.NONE and row.person_id), None)

    def changes(self, key: IdentityKey) -> list[datetime]:
        """Return when the owner of a weak id changes."""
        known = self.known.get(key)
        return [run.first_at for run in self.runs.get(known.pk, ())] if known else []

    def _owner(self, known: KnownId, moment: datetime) -> uuid.UUID | None:
        if known.owners != Owners.SEVERAL:
            return known.person_id
        runs = self.runs[known.pk]
        return runs[max(bisect_right(runs, moment, key=lambda run: run.first_at) - 1, 0)].person_id


def load(game: Game, keys: Iterable[IdentityKey]) -> WeakOwners:
    """Load the owners of these weak ids."""
    return with_runs(known_ids(game, keys))


def with_runs(known: dict[IdentityKey, KnownId]) -> WeakOwners:
    """Return the owners of these weak ids; of those with several owners the runs are loaded."""
    return WeakOwners(known, ownership_runs.load(row.pk for row in known.values() if row.owners == Owners.SEVERAL))


class NewId(NamedTuple):
    """The columns of a new identity; by default it has no owner."""

    first_seen_at: datetime
    person_id: uuid.UUID | None = None
    owners: str = Owners.NONE
    named_at: datetime | None = None


def add(game: Game, ids: Mapping[IdentityKey, NewId]) -> dict[IdentityKey, KnownId]:
    """Store new ids and return them."""
    rows = [
        {"namespace": key[0], "value": key[1], "first_at": new.first_seen_at, "person_id": new.person_id}
        | {"owners": new.owners, "named_at": new.named_at}
        for key, new in ids.items()
    ]
    pks = {(namespace, value): pk for namespace, value, pk in _execute(ADD, game, rows)}
    return {
        key: KnownId(key, pks[key], new.person_id, new.owners, new.named_at, new.first_seen_at)
        for key, new in ids.items()
    }


def change(game: Game, ids: Iterable[KnownId]) -> None:
    """Update the person, owners and times of these identities."""
    _execute(
        CHANGE,
        game,
        [
            {"id": row.pk, "person_id": row.person_id, "owners": row.owners, "named_at": row.named_at}
            | {"first_at": row.first_seen_at}
            for row in ids
        ],
    )


def _execute(query: str, game: Game, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run a statement with its rows; without rows return []."""
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(query, {"game": game.pk, "rows": orjson.dumps(rows).decode()})
        return cursor.fetchall() if cursor.description else []
