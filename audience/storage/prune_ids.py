"""Prunes anonymous ids that were seen on one event, with a user, a week ago.

Some server SDKs send a random anonymous id beside the user id with every event, each of which would leave a row for
ever. The event holds the same facts, and audience/digest/pruned_ids.py reads it when the id comes again. Not pruned are
ids with further facts: those seen twice, without a user, in another form, by an alias, or with a consent decision.

Each identity is examined once, in order of creation: an id that has been seen twice is never pruned.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from audience.background import isolation
from audience.digest import pruned_ids
from audience.digest.event_ids import PLACEHOLDER_IDS
from audience.digest.ownership import NAMES_USER
from audience.digest.queue import lock_game
from audience.models import FailedWork, PrunePosition, Queue
from audience.models.people import ANONYMOUS, USER
from audience.storage.prune_steps import Pruned

# Examined in one statement, and deleted in one transaction, during which the game's digest waits: about 0.1 s with a
# month of events, 0.4 s with a year.
ROWS_AT_ONCE = 2_000
STEP = "anonymous ids seen once"
TABLE = "audience_identity"

CANDIDATE = f"""namespace = '{ANONYMOUS}' AND owners = 'one' AND spellings = '{{}}' AND named_at = first_seen_at"""
# The last of the next identities before the first that is too young. A first event in the future, by the clock of a
# wrong host, is ignored.
LAST = f"""
SELECT coalesce(
  min(id) FILTER (WHERE {CANDIDATE} AND first_seen_at BETWEEN %(before)s AND %(now)s) - 1, max(id), %(after)s)
FROM (SELECT * FROM {TABLE} WHERE id > %(after)s ORDER BY id LIMIT %(most)s) AS next
"""
CANDIDATES = f"""
SELECT game_id, array_agg(id ORDER BY id) FROM {TABLE} WHERE id > %(after)s AND id <= %(last)s AND {CANDIDATE}
GROUP BY game_id ORDER BY game_id
"""
# Those of a game's candidates whose one event holds all that the row does. They are counted by the index alone, since
# most ids have many events. LIMIT: see audience/digest/event_groups.py.
SEEN_ONCE = f"""
WITH candidate AS MATERIALIZED (
  SELECT id, value, person_id, named_at FROM {TABLE}
  WHERE id = ANY(%(ids)s) AND game_id = %(game)s AND {CANDIDATE} AND first_seen_at < %(before)s
), once AS MATERIALIZED (
  SELECT anonymous_id FROM audience_event
  WHERE game_id = %(game)s AND anonymous_id = ANY(ARRAY(SELECT value FROM candidate)) AND anonymous_id <> ''
  GROUP BY anonymous_id HAVING count(*) = 1
), naming AS MATERIALIZED (
  SELECT anonymous_id, user_id, least(event_at, received_at) AS at FROM audience_event
  WHERE game_id = %(game)s AND anonymous_id = ANY(ARRAY(SELECT anonymous_id FROM once)) AND anonymous_id <> ''
    AND day <= %(day)s AND links = '[]' AND {NAMES_USER}
)
SELECT candidate.id FROM candidate JOIN naming ON (anonymous_id, at) = (value, named_at)
WHERE person_id = (
    SELECT named.person_id FROM {TABLE} named
    WHERE (game_id, namespace, named.value) = (%(game)s, '{USER}', audience_canonical_id(user_id)) LIMIT 1)
  AND (SELECT id FROM audience_ownership WHERE identity_id = candidate.id LIMIT 1) IS NULL
  AND (SELECT id FROM consent_consentdecision
    WHERE game_id = %(game)s AND anonymous_id = candidate.value LIMIT 1) IS NULL
"""
MEASURE = f"SELECT id, pg_column_size(stale.*) FROM {TABLE} stale WHERE id = ANY(ARRAY({SEEN_ONCE}))"
# Locked first, so that the deletion sees the decisions of everyone who found the row (audience/privacy/decisions.py).
LOCK = f"SELECT FROM {TABLE} WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE"
DELETE = f"DELETE FROM {TABLE} stale WHERE id = ANY(ARRAY({SEEN_ONCE})) RETURNING pg_column_size(stale.*)"


@dataclass(frozen=True, slots=True)
class IdsSeenOnce:
    """The identities that can be pruned at the time `now`."""

    now: datetime
    key: str = STEP
    game_id: None = None

    def preview(self) -> Pruned:
        sizes: list[int] = []
        after = _position()
        while (last := self._last(after)) > after:
            for game_id, ids in self._candidates(after, last):
                sizes += self._find(game_id, ids).values()
            after = last
        return Pruned(STEP, len(sizes), sum(sizes))

    def execute(self, until: float) -> Pruned:
        """Delete until `until`, a time of time.monotonic()."""
        failed = FailedWork.objects.of(Queue.PRUNE).filter(kept__step=STEP)
        isolation.retry(Queue.PRUNE, self._delete_again, rows=failed.due())
        sizes: list[int] = []
        # Committed before the first row is deleted: pruned_ids.namings looks for it.
        after = PrunePosition.objects.get_or_create(step=STEP, defaults={"last_id": 0})[0].last_id
        while (last := self._last(after)) > after:
            started = time.monotonic()
            for game_id, ids in self._candidates(after, last):
                sizes += self._prune(game_id, ids)
            PrunePosition.objects.update_or_create(step=STEP, defaults={"last_id": last})
            after, took = last, time.monotonic() - started
            if time.monotonic() + took >= until:
                break
            time.sleep(took)
        return Pruned(STEP, len(sizes), sum(sizes))

    @property
    def _parameters(self) -> dict[str, Any]:
        day = pruned_ids.last_day(self.now)
        return {"now": self.now, "before": self.now - pruned_ids.KEPT, "day": day, "nobody": list(PLACEHOLDER_IDS)}

    def _last(self, after: int) -> int:
        """Return the last identity after this one that can be examined together with those between."""
        with connection.cursor() as cursor:
            cursor.execute(LAST, {**self._parameters, "after": after, "most": ROWS_AT_ONCE})
            return int(cursor.fetchone()[0])

    def _candidates(self, after: int, last: int) -> list[tuple[int, list[int]]]:
        """Return (game, identities) between these."""
        with connection.cursor() as cursor:
            cursor.execute(CANDIDATES, {"after": after, "last": last})
            return list(cursor.fetchall())

    def _find(self, game_id: int, ids: Sequence[int]) -> dict[int, int]:
        """Return {identity: bytes} of those of a game's identities that can be pruned."""
        with _by_index() as cursor:
            cursor.execute(MEASURE, {**self._parameters, "game": game_id, "ids": list(ids)})
            return dict(cursor.fetchall())

    def _prune(self, game_id: int, ids: Sequence[int]) -> list[int]:
        """Delete those of a game's identities that can be pruned, each isolated; return their bytes."""
        sizes = isolation.process_together(
            Queue.PRUNE,
            list(self._find(game_id, ids)),
            partial(self._delete, game_id),
            failure_key=partial(_failure_key, game_id),
        )
        return [size for part in sizes for size in part]

    def _delete(self, game_id: int, ids: Sequence[int]) -> list[int]:
        """Delete those of these identities that no event or decision has named meanwhile; return their bytes."""
        with _by_index() as cursor:
            lock_game(game_id, wait=True)
            cursor.execute(LOCK, {"ids": list(ids)})
            cursor.execute(DELETE, {**self._parameters, "game": game_id, "ids": list(ids)})
            return [size for (size,) in cursor.fetchall()]

    def _delete_again(self, failure: FailedWork) -> None:
        if failure.game_id is not None:
            self._delete(failure.game_id, [failure.kept["id"]])


def _failure_key(game_id: int, pk: int) -> isolation.FailureKey:
    return isolation.FailureKey(f"{TABLE} {pk}", game_id, {"step": STEP, "id": pk})


def _position() -> int:
    return PrunePosition.objects.filter(step=STEP).values_list("last_id", flat=True).first() or 0


@contextmanager
def _by_index() -> Iterator[CursorWrapper]:
    """A transaction of index lookups in every partition of events, also of those that have few anonymous ids."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        yield cursor
