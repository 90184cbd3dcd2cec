"""Counts for the charts, kept beside the rows: how nothing is missed and nothing counted twice.

A trigger writes what each statement changed, minutes and signed numbers, to the tail of a rollup, in the transaction
of the change itself: a change that is committed is in the tail, however late it comes and whatever moment its row
carries; one that is rolled back never was. `fold` moves rows of the tail into the minutes in one statement, so that
whoever reads sees them on one side or the other. It may be killed, run twice or be away for a week: the views (models
RequestCount and the like) add both sides, and only the tail that is read grows meanwhile.

Rows dropped by age fire no trigger, so their counts stay. Minutes that are over for a while become hours, which is all
that the longer charts show.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

# Rows of the tail in one transaction: a tenth of a second's work.
AT_ONCE = 20_000
# The finest chart of minutes is the last hour of a key's use (audience/key_usage.py).
MINUTES_KEPT = timedelta(hours=3)

HOUR_OR_MINUTE = """date_bin(CASE WHEN starts_at < %(before)s THEN interval '1 hour' ELSE interval '1 minute' END,
  starts_at, 'epoch'::timestamptz)"""
# By place and not by key: the tail has no index to keep, and its rows are never updated.
FOLD = """
WITH taken AS (
  DELETE FROM {name}tail WHERE ctid = ANY(ARRAY(SELECT ctid FROM {name}tail LIMIT %(most)s)) RETURNING *
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
  WHERE starts_at < %(before)s AND date_bin('1 hour', starts_at, 'epoch'::timestamptz) <> starts_at RETURNING *
)
INSERT INTO {name}minute AS kept ({keys}, {sums})
SELECT {bins}, {totals} FROM taken GROUP BY {bins}
ON CONFLICT ({keys}) DO UPDATE SET {sets}
"""


@dataclass(frozen=True, slots=True)
class Rollup:
    """The tables `<name>minute` and `<name>tail`: `keys` (with starts_at) tell rows apart, `sums` are added up."""

    name: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]

    def statement(self, template: str) -> str:
        bins = [HOUR_OR_MINUTE if key == "starts_at" else key for key in self.keys]
        return template.format(
            name=self.name,
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
    """Fold the tails as they stand into minutes, and minutes that are over for a while into hours; the rows taken."""
    return sum(_fold(rollup, now) for rollup in rollups)


def _fold(rollup: Rollup, now: datetime) -> int:
    asked: dict[str, Any] = {"most": AT_ONCE, "before": now - MINUTES_KEPT}
    total = 0
    while taken := _folded(rollup, asked):
        total += taken
        if taken < AT_ONCE:
            break
    with transaction.atomic(), connection.cursor() as cursor:
        if _is_ours(rollup):
            cursor.execute(rollup.statement(COARSEN), asked)
    return total


@transaction.atomic
def _folded(rollup: Rollup, asked: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        if not _is_ours(rollup):
            return 0
        cursor.execute(rollup.statement(FOLD), asked)
        return int(cursor.fetchone()[0])


def _is_ours(rollup: Rollup) -> bool:
    """Whether no other worker folds this one; two at once would wait for each other's rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [f"{rollup.name} rollup"])
        return bool(cursor.fetchone()[0])
