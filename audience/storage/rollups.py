"""Counts for the charts, kept beside the rows: how nothing is missed and nothing counted twice.

A trigger writes what each statement changed, minutes and signed numbers, to the tail of a rollup, in the transaction
of the change itself: a change that is committed is in the tail, however late it comes and whatever moment its row
carries; one that is rolled back never was. `fold` moves rows of the tail into the minutes in one statement, so that
whoever reads sees them on one side or the other. It may be killed, run twice or be away for a week: the views (models
RequestCount and the like) add both sides, and only the tail that is read grows meanwhile.

Rows dropped by age fire no trigger, so their counts stay. Minutes that are over for a while become hours, which is all
that the longer charts show.
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

# Rows of the tail in one transaction: a tenth of a second's work.
AT_ONCE = 20_000
# The finest chart of minutes is the last hour of a key's use (audience/games/key_usage.py).
MINUTES_KEPT = timedelta(hours=3)

HOUR_OR_MINUTE = """date_bin(CASE WHEN starts_at < %(before)s THEN interval '1 hour' ELSE interval '1 minute' END,
  starts_at, 'epoch'::timestamptz)"""
# By place and not by key: the tail has no index to keep, and its rows are never updated.
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
# The partial index {name}minute_fine names those that are no full hour.
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
# Which groups a statement takes: these alone, or all but these. The tail has no index that a cast would spoil.
ALONE = "{group}::text = ANY(%(groups)s)"
OTHERS = f"NOT {ALONE}"


@dataclass(frozen=True, slots=True)
class Rollup:
    """The tables `<name>minute` and `<name>tail`: `keys` (with starts_at) tell rows apart, `sums` are added up.

    The first key groups them: rows of a group that cannot be added up stop no other group. `game_of` asks for the
    game of a group, which is given as text.
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
    """Fold the tails as they stand into minutes, and minutes that are over for a while into hours; the rows taken.

    When that fails each group is folded alone, and one that fails is left in the tail
    (audience/background/isolation.py).
    """
    return sum(_fold(rollup, now) for rollup in rollups)


def _fold(rollup: Rollup, now: datetime) -> int:
    failed = FailedWork.objects.of(Queue.ROLLUP).filter(row__startswith=f"{rollup.name} ")
    left_out = [_group(failure) for failure in failed]
    isolation.retry(Queue.ROLLUP, lambda failure: _take(rollup, now, ALONE, [_group(failure)]), rows=failed)
    try:
        return _take(rollup, now, OTHERS if left_out else "true", left_out)
    except Exception as error:  # whatever a row makes the sums raise; audience/background/isolation.py has the rule
        isolation.raise_if_passing(error)
        logger.warning("fold_failed_together", rollup=rollup.name, error=type(error).__name__)
    groups = _groups(rollup, left_out)
    taken = isolation.together(
        Queue.ROLLUP,
        groups,
        lambda some: _take(rollup, now, ALONE, some),
        row_of=lambda group: isolation.Row(f"{rollup.name} {group}", _game_of(rollup, group)),
    )
    return sum(taken)


def _group(failure: FailedWork) -> str:
    return failure.row.rpartition(" ")[2]


def _groups(rollup: Rollup, left_out: Sequence[str]) -> list[str]:
    """Those in the tail, and those with minutes that are no full hour."""
    with connection.cursor() as cursor:
        cursor.execute(rollup.statement(GROUPS, OTHERS), {"groups": list(left_out)})
        return [group for (group,) in cursor.fetchall()]


def _game_of(rollup: Rollup, group: str) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(rollup.game_of, [group])
        found = cursor.fetchone()
        return int(found[0]) if found else None


def _take(rollup: Rollup, now: datetime, which: str, groups: Sequence[str]) -> int:
    """Fold what `which` of `groups` names, then make hours of its minutes; the rows taken from the tail."""
    asked: dict[str, Any] = {"most": AT_ONCE, "before": now - MINUTES_KEPT, "groups": list(groups)}
    total = 0
    while taken := _folded(rollup, which, asked):
        total += taken
        if taken < AT_ONCE:
            break
    with transaction.atomic(), connection.cursor() as cursor:
        if _is_ours(rollup):
            cursor.execute(rollup.statement(COARSEN, which), asked)
    return total


@transaction.atomic
def _folded(rollup: Rollup, which: str, asked: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        if not _is_ours(rollup):
            return 0
        cursor.execute(rollup.statement(FOLD, which), asked)
        return int(cursor.fetchone()[0])


def _is_ours(rollup: Rollup) -> bool:
    """Whether no other worker folds this one; two at once would wait for each other's rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [f"{rollup.name} rollup"])
        return bool(cursor.fetchone()[0])
