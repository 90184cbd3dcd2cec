"""Counts for charts: each change is counted exactly once.

Triggers write signed counts per minute to the tail table of a rollup, in the transaction of the change. `fold` moves
rows from the tail to the minute table in one statement; the views (models RequestCount and others) add both tables, so
that readers see each row once, even if `fold` is killed, runs twice or does not run for a week.

Pruning fires no trigger, so the counts of pruned rows are kept. After MINUTES_KEPT, minutes are summed to hours.
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

# Rows of the tail in one transaction, about a tenth of a second.
AT_ONCE = 20_000
# Minutes are read for the last hour only (audience/games/key_usage.py).
MINUTES_KEPT = timedelta(hours=3)

HOUR_OR_MINUTE = """date_bin(CASE WHEN starts_at < %(before)s THEN interval '1 hour' ELSE interval '1 minute' END,
  starts_at, 'epoch'::timestamptz)"""
# By ctid, since the tail has no index and its rows are never updated.
FOLD = """
WITH taken AS (
  DELETE FROM {name}tail WHERE ctid = ANY(ARRAY(SELECT ctid FROM {name}tail WHERE {which} LIMIT %(most)s)) RETURNING *
), added AS (
  INSERT INTO {name}minute AS kept ({keys}, {sums})
  SELECT {bins}, {totals} FROM taken GROUP BY {bins} ORDER BY {bins}
  ON CONFLICT ({keys}) DO UPDATE SET {sets}
)
SELECT count(*) FROM taken
"""
# The partial index {name}minute_fine holds the rows that are not full hours.
COARSEN = """
WITH taken AS (
  DELETE FROM {name}minute
  WHERE starts_at < %(before)s AND date_bin('1 hour', starts_at, 'epoch'::timestamptz) <> starts_at AND {which}
  RETURNING *
)
INSERT INTO {name}minute AS kept ({keys}, {sums})
SELECT {bins}, {totals} FROM taken GROUP BY {bins}
ON CONFLICT ({keys}) DO UPDATE SET {sets}
"""
GROUPS = """
SELECT {group}::text FROM {name}tail WHERE {which}
UNION SELECT {group}::text FROM {name}minute
  WHERE date_bin('1 hour', starts_at, 'epoch'::timestamptz) <> starts_at AND {which}
ORDER BY 1
"""
# The groups of a statement: only these, or all but these.
ALONE = "{group}::text = ANY(%(groups)s)"
OTHERS = f"NOT {ALONE}"


@dataclass(frozen=True, slots=True)
class Rollup:
    """The tables `<name>minute` and `<name>tail`: `keys` (with starts_at) identify a row, `sums` are added up.

    Rows are isolated by group, the value of the first key. `game_of` is a query for the game of a group, given as text.
    """

    name: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    game_of: str = "SELECT id FROM audience_game WHERE id::text = %s"

    def statement(self, template: str, which: str = "true") -> str:
        bins = [HOUR_OR_MINUTE if key == "starts_at" else key for key in self.keys]
        return template.format(
            name=self.name,
            which=which.format(group=self.keys[0]),
            group=self.keys[0],
            keys=", ".join(self.keys),
            sums=", ".join(self.sums),
            bins=", ".join(bins),
            totals=", ".join(f"sum({column})" for column in self.sums),
            sets=", ".join(f"{column} = kept.{column} + excluded.{column}" for column in self.sums),
        )


ROLLUPS = (
    Rollup("audience_request", ("game_id", "starts_at", "key_id"), ("requests", "accepted", "duplicates", "rejected")),
    Rollup("audience_conversion", ("game_id", "starts_at", "network", "currency"), ("number", "valued", "value")),
)


def fold(rollups: Iterable[Rollup] = ROLLUPS, *, now: datetime) -> int:
    """Move the tails into minutes, and old minutes into hours; return the number of tail rows moved.

    If that fails, groups are isolated, and a failing group stays in the tail.
    """
    return sum(_fold(rollup, now) for rollup in rollups)


def _fold(rollup: Rollup, now: datetime) -> int:
    failed = FailedWork.objects.of(Queue.ROLLUP).filter(row__startswith=f"{rollup.name} ")
    left_out = [_group(failure) for failure in failed]
    isolation.retry(Queue.ROLLUP, lambda failure: _fold_groups(rollup, now, ALONE, [_group(failure)]), rows=failed)
    try:
        return _fold_groups(rollup, now, OTHERS if left_out else "true", left_out)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        logger.warning("fold_failed_together", rollup=rollup.name, error=type(error).__name__)
    groups = _groups(rollup, left_out)
    taken = isolation.process_together(
        Queue.ROLLUP,
        groups,
        lambda some: _fold_groups(rollup, now, ALONE, some),
        row_of=lambda group: isolation.FailureKey(f"{rollup.name} {group}", _game_of(rollup, group)),
    )
    return sum(taken)


def _group(failure: FailedWork) -> str:
    return failure.row.rpartition(" ")[2]


def _groups(rollup: Rollup, left_out: Sequence[str]) -> list[str]:
    """Return the groups of the tail and of minutes that are not full hours."""
    with connection.cursor() as cursor:
        cursor.execute(rollup.statement(GROUPS, OTHERS), {"groups": list(left_out)})
        return [group for (group,) in cursor.fetchall()]


def _game_of(rollup: Rollup, group: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(rollup.game_of, [group])
        found = cursor.fetchone()
        return int(found[0]) if found else None


def _fold_groups(rollup: Rollup, now: datetime, which: str, groups: Sequence[str]) -> int:
    """Fold the groups that `which` selects, then sum their minutes to hours; return the number of tail rows."""
    params: dict[str, Any] = {"most": AT_ONCE, "before": now - MINUTES_KEPT, "groups": list(groups)}
    total = moved = _fold_some(rollup, which, params)
    while moved == AT_ONCE:
        moved = _fold_some(rollup, which, params)
        total += moved
    with transaction.atomic(), connection.cursor() as cursor:
        if _lock(rollup):
            cursor.execute(rollup.statement(COARSEN, which), params)
    return total


@transaction.atomic
def _fold_some(rollup: Rollup, which: str, params: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        if not _lock(rollup):
            return 0
        cursor.execute(rollup.statement(FOLD, which), params)
        return int(cursor.fetchone()[0])


def _lock(rollup: Rollup) -> bool:
    """Lock the rollup for this transaction; return False if another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [f"{rollup.name} rollup"])
        return bool(cursor.fetchone()[0])
