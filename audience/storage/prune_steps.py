"""Steps of pruning: rows are deleted by thousands, partitions dropped whole. Each step has a dry run.

A step pauses after each statement for as long as the statement took, to leave capacity for other work. Failing rows and
partitions are isolated (audience/background/isolation.py).
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog
from django.db import OperationalError, connection

from audience.background import isolation
from audience.models import FailedWork, Queue
from audience.storage import partitions

logger = structlog.get_logger(__name__)

# Rows deleted in one transaction, which takes some hundredths of a second.
ROWS_AT_ONCE = 5_000

COUNT = "SELECT count(*), coalesce(sum(pg_column_size(stale.*)), 0) FROM {table} stale WHERE {where}"
IDS = "SELECT id FROM {table} stale WHERE {where} LIMIT {limit}"
# By ctid, since the rows just found need no second index lookup. A row updated meanwhile has another ctid and is
# deleted in the next run.
DELETE = """
WITH deleted AS (
  DELETE FROM {table} stale WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} stale WHERE {where} LIMIT {limit}))
  RETURNING pg_column_size(stale.*) AS size
) SELECT count(*), coalesce(sum(size), 0) FROM deleted
"""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was or would be deleted. `rows` of a `partition` is PostgreSQL's estimate; `bytes` of rows excludes
    indexes."""

    what: str
    rows: int
    bytes: int
    partition: str = ""


@dataclass(frozen=True, slots=True)
class StaleRows:
    """The rows of `table`, a plain table or one partition, for which `where` is true; in it `stale` is the row.

    `key` identifies the step and is the same every day; `game_id` is set if the rows are of one game only. `id_type` is
    the type of the table's ids in PostgreSQL.
    """

    what: str
    table: str
    where: str
    params: Sequence[Any]
    key: str
    game_id: int | None = None
    id_type: str = "bigint"

    def preview(self) -> Pruned:
        return Pruned(self.what, *self._run(COUNT))

    def execute(self, until: float) -> Pruned:
        """Delete until `until`, a time of time.monotonic()."""
        failed = FailedWork.objects.of(Queue.PRUNE).filter(game=self.game_id, kept__step=self.key)
        isolation.retry(Queue.PRUNE, lambda failure: self._only([failure.kept["id"]])._run(DELETE), rows=failed.due())
        failed_ids = list(failed.values_list("kept__id", flat=True))
        remaining = self._where(f"NOT stale.id = ANY(%s::{self.id_type}[])", failed_ids) if failed_ids else self
        rows, size = 0, 0
        while True:
            started = time.monotonic()
            deleted, freed = remaining._delete()
            rows, size = rows + deleted, size + freed
            seconds = time.monotonic() - started
            if deleted < ROWS_AT_ONCE or time.monotonic() + seconds >= until:
                return Pruned(self.what, rows, size)
            time.sleep(seconds)

    def _delete(self) -> tuple[int, int]:
        """Delete up to ROWS_AT_ONCE rows, in halves if that fails; return the number of rows and their bytes."""
        try:
            return self._run(DELETE)
        except Exception as error:  # any error of a row is isolated
            isolation.raise_if_unavailable(error)
            logger.warning("prune_bulk_failed", what=self.what, error=type(error).__name__)
        deleted = isolation.process_together(
            Queue.PRUNE, self._ids(), lambda ids: self._only(ids)._run(DELETE), failure_key=self._failure_key
        )
        return sum(rows for rows, _ in deleted), sum(size for _, size in deleted)

    def _ids(self) -> list[int | str]:
        with connection.cursor() as cursor:
            cursor.execute(IDS.format(table=self.table, where=self.where, limit=ROWS_AT_ONCE), self.params)
            return [str(pk) if self.id_type == "uuid" else pk for (pk,) in cursor.fetchall()]

    def _failure_key(self, pk: int | str) -> isolation.FailureKey:
        return isolation.FailureKey(f"{self.table} {pk}", self.game_id, {"step": self.key, "id": pk})

    def _only(self, ids: Sequence[int | str]) -> "StaleRows":
        return self._where(f"stale.id = ANY(%s::{self.id_type}[])", list(ids))

    def _where(self, condition: str, *params: Any) -> "StaleRows":
        return replace(self, where=f"({self.where}) AND {condition}", params=[*self.params, *params])

    def _run(self, query: str) -> tuple[int, int]:
        with connection.cursor() as cursor:
            cursor.execute(query.format(table=self.table, where=self.where, limit=ROWS_AT_ONCE), self.params)
            rows, size = cursor.fetchone()
            return int(rows), int(size)


@dataclass(frozen=True, slots=True)
class WholePartition:
    """A whole partition; `unless`, `params` and `keep` are described at partitions.drop."""

    what: str
    partition: partitions.Partition
    unless: str = "false"
    params: Sequence[Any] = ()
    keep: str = ""
    game_id: None = None

    @property
    def key(self) -> str:
        return self.partition.name

    def preview(self) -> Pruned:
        return Pruned(self.what, self.partition.count_rows(), self.partition.bytes, self.partition.name)

    def execute(self, until: float) -> Pruned:
        preview = self.preview()
        try:
            is_dropped = partitions.drop(self.partition, unless=self.unless, params=self.params, keep=self.keep)
        except OperationalError as error:
            if not partitions.is_lock_timeout(error):
                raise
            logger.warning("partition_busy", partition=self.partition.name)
            is_dropped = False
        return preview if is_dropped else Pruned(self.what, 0, 0)


class PruneStep(Protocol):
    """`key` is the same every day; `game_id` is set if the rows are of one game only."""

    @property
    def key(self) -> str: ...

    @property
    def game_id(self) -> int | None: ...

    def preview(self) -> Pruned:
        """Return what would be deleted."""

    def execute(self, until: float) -> Pruned:
        """Delete until `until`, a time of time.monotonic()."""


def run(steps: Iterable[PruneStep], *, dry_run: bool, seconds: float) -> Iterator[Pruned]:
    """Yield what each step deleted or, with `dry_run`, would delete; without empty results. Stops after `seconds`.

    Failing steps are isolated.
    """
    until = time.monotonic() + seconds
    in_time = itertools.takewhile(lambda _: time.monotonic() < until, steps)
    done = isolation.process_each(
        Queue.PRUNE,
        in_time,
        lambda step: step.execute(until),
        failure_key=lambda step: isolation.FailureKey(step.key, step.game_id),
    )
    for pruned in (step.preview() for step in steps) if dry_run else done:
        if pruned.rows or pruned.partition:
            if not dry_run:
                logger.info("pruned", what=pruned.what, rows=pruned.rows, bytes=pruned.bytes)
            yield pruned
