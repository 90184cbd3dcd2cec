"""Counts for charts: each change is counted exactly once.

Triggers write signed counts per minute to the tail table of a rollup, in the transaction of the change. `roll_up` moves
rows from the tail to the minute table in one statement; the views (models RequestCount and others) add both tables, so
that each row is read once, even if `roll_up` is killed, runs twice or does not run for a week.

Pruning fires no trigger, so the counts of pruned rows are kept. After MINUTES_KEPT, minutes are summed to hours, or to
quarter hours where pages add up the days of any time zone (`Rollup.size`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from audience.background import isolation
from audience.models import FailedWork, Queue

logger = structlog.get_logger(__name__)

# Rows of the tail moved in one transaction, which takes about a tenth of a second.
MAX_ROWS = 20_000
# Minutes are read for the last hour only (audience/games/key_usage.py).
MINUTES_KEPT = timedelta(hours=3)

COARSE_OR_MINUTE = """date_bin(CASE WHEN starts_at < %(before)s THEN interval '{size}' ELSE interval '1 minute' END,
  starts_at, 'epoch'::timestamptz)"""
# By ctid, since the tail has no index and its rows are never updated.
MOVE_TAIL = """
WITH moved AS (
  DELETE FROM {name}tail WHERE ctid = ANY(ARRAY(SELECT ctid FROM {name}tail WHERE {where} LIMIT %(limit)s)) RETURNING *
), added AS (
  INSERT INTO {name}minute AS stored ({keys}, {sums})
  SELECT {bins}, {totals} FROM moved GROUP BY {bins} ORDER BY {bins}
  ON CONFLICT ({keys}) DO UPDATE SET {sets}
)
SELECT count(*) FROM moved
"""
# The partial index {name}minute_fine contains the rows that do not start at a full hour, or quarter of an hour.
SUM_MINUTES = """
WITH moved AS (
  DELETE FROM {name}minute
  WHERE starts_at < %(before)s AND date_bin('{size}', starts_at, 'epoch'::timestamptz) <> starts_at AND {where}
  RETURNING *
)
INSERT INTO {name}minute AS stored ({keys}, {sums})
SELECT {bins}, {totals} FROM moved GROUP BY {bins}
ON CONFLICT ({keys}) DO UPDATE SET {sets}
"""
LIST_GROUPS = """
SELECT {group}::text FROM {name}tail WHERE {where}
UNION SELECT {group}::text FROM {name}minute
  WHERE date_bin('{size}', starts_at, 'epoch'::timestamptz) <> starts_at AND {where}
ORDER BY 1
"""
# Conditions: rows of the given groups only, or of all others.
IN_GROUPS = "{group}::text = ANY(%(groups)s)"
NOT_IN_GROUPS = f"NOT {IN_GROUPS}"


@dataclass(frozen=True, slots=True)
class Rollup:
    """The tables `<name>minute` and `<name>tail`: `keys` (with starts_at) identify a row, `sums` are added up.

    Rows are isolated by group, the value of the first key. `game_of` is the query for the game id of a group (text).
    `size`: to what minutes are summed.
    """

    name: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    game_of: str = "SELECT id FROM audience_game WHERE id::text = %s"
    size: str = "1 hour"

    def statement(self, template: str, where: str = "true") -> str:
        bins = [COARSE_OR_MINUTE.format(size=self.size) if key == "starts_at" else key for key in self.keys]
        return template.format(
            name=self.name,
            size=self.size,
            where=where.format(group=self.keys[0]),
            group=self.keys[0],
            keys=", ".join(self.keys),
            sums=", ".join(self.sums),
            bins=", ".join(bins),
            totals=", ".join(f"sum({column})" for column in self.sums),
            sets=", ".join(f"{column} = stored.{column} + excluded.{column}" for column in self.sums),
        )


REQUEST_SUMS, CONVERSION_SUMS = ("requests", "accepted", "duplicates", "rejected"), ("number", "valued", "value")
QUARTER = "15 minutes"
ROLLUPS = (
    Rollup("audience_request", ("game_id", "starts_at", "key_id"), REQUEST_SUMS, size=QUARTER),
    Rollup("audience_conversion", ("game_id", "starts_at", "network", "currency"), CONVERSION_SUMS, size=QUARTER),
)


def roll_up(rollups: Iterable[Rollup] = ROLLUPS, *, now: datetime) -> int:
    """Move the tails into minutes, and sum old minutes; return the number of tail rows moved.

    If that fails, groups are isolated; the rows of a failing group stay where they are.
    """
    return sum(_roll_up(rollup, now) for rollup in rollups)


def _roll_up(rollup: Rollup, now: datetime) -> int:
    failed = FailedWork.objects.of(Queue.ROLLUP).filter(row__startswith=f"{rollup.name} ")
    excluded = [_group(failure) for failure in failed]
    isolation.retry(Queue.ROLLUP, lambda failure: _move_groups(rollup, now, IN_GROUPS, [_group(failure)]), rows=failed)
    try:
        return _move_groups(rollup, now, NOT_IN_GROUPS if excluded else "true", excluded)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        logger.warning("rollup_bulk_failed", rollup=rollup.name, error=type(error).__name__)
    moved = isolation.process_together(
        Queue.ROLLUP,
        _groups(rollup, excluded),
        lambda groups: _move_groups(rollup, now, IN_GROUPS, groups),
        failure_key=lambda group: isolation.FailureKey(f"{rollup.name} {group}", _game_of(rollup, group)),
    )
    return sum(moved)


def _group(failure: FailedWork) -> str:
    return failure.row.rpartition(" ")[2]


def _groups(rollup: Rollup, excluded: Sequence[str]) -> list[str]:
    """Return the groups, except `excluded`, of the tail and of minutes not yet summed."""
    with connection.cursor() as cursor:
        cursor.execute(rollup.statement(LIST_GROUPS, NOT_IN_GROUPS), {"groups": list(excluded)})
        return [group for (group,) in cursor.fetchall()]


def _game_of(rollup: Rollup, group: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(rollup.game_of, [group])
        row = cursor.fetchone()
        return int(row[0]) if row else None


def _move_groups(rollup: Rollup, now: datetime, where: str, groups: Sequence[str]) -> int:
    """Move the tails of the groups that `where` selects, then sum old minutes; return the number of rows moved."""
    params: dict[str, Any] = {"limit": MAX_ROWS, "before": now - MINUTES_KEPT, "groups": list(groups)}
    total = moved = _move_rows(rollup, where, params)
    while moved == MAX_ROWS:
        moved = _move_rows(rollup, where, params)
        total += moved
    with transaction.atomic(), connection.cursor() as cursor:
        if _lock(rollup):
            cursor.execute(rollup.statement(SUM_MINUTES, where), params)
    return total


@transaction.atomic
def _move_rows(rollup: Rollup, where: str, params: dict[str, Any]) -> int:
    """Move up to MAX_ROWS rows of the tail; return their number, 0 if another worker has the lock."""
    with connection.cursor() as cursor:
        if not _lock(rollup):
            return 0
        cursor.execute(rollup.statement(MOVE_TAIL, where), params)
        return int(cursor.fetchone()[0])


def _lock(rollup: Rollup) -> bool:
    """Lock the rollup for this transaction; return False if another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [f"{rollup.name} rollup"])
        return bool(cursor.fetchone()[0])
