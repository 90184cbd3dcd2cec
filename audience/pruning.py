"""Steps of a pruning: rows deleted some thousand at a time, partitions dropped whole. Each can say what it would do.

A step of many rows leaves as much time to everybody else as it took: what is pruned is past its time anyway.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from django.db import OperationalError, connection

from audience import isolation, partitions
from audience.models import Queue

logger = structlog.get_logger(__name__)

# Deleted in one transaction: some hundredths of a second.
ROWS_AT_ONCE = 5_000

COUNT = "SELECT count(*), coalesce(sum(pg_column_size(stale.*)), 0) FROM {table} stale WHERE {where}"
# By place, not by id: the rows just found need no second look into an index. One that is changed meanwhile has moved
# on, and stays until next time.
DELETE = """
WITH gone AS (
  DELETE FROM {table} stale WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} stale WHERE {where} LIMIT {most}))
  RETURNING pg_column_size(stale.*) AS size
) SELECT count(*), coalesce(sum(size), 0) FROM gone
"""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go. `rows` of a `partition` dropped whole is PostgreSQL's estimate; `bytes` of single rows is
    without their indexes."""

    what: str
    rows: int
    bytes: int
    partition: str = ""


class Step(Protocol):
    """One thing to prune. `key` names it, the same every day, and `game_id` the one game that it concerns."""

    @property
    def key(self) -> str: ...

    @property
    def game_id(self) -> int | None: ...

    def would(self) -> Pruned: ...

    def carry_out(self, until: float) -> Pruned:
        """Do it, or as much of it as fits in until `time.monotonic()` says `until`."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of `table`, a plain table or one partition, for which `where` (naming them `stale`) holds."""

    what: str
    table: str
    where: str
    params: Sequence[Any]
    key: str
    game_id: int | None = None

    def would(self) -> Pruned:
        return Pruned(self.what, *self._run(COUNT))

    def carry_out(self, until: float) -> Pruned:
        rows, size = 0, 0
        while True:
            started = time.monotonic()
            deleted, freed = self._run(DELETE)
            rows, size = rows + deleted, size + freed
            took = time.monotonic() - started
            if deleted < ROWS_AT_ONCE or time.monotonic() + took >= until:
                return Pruned(self.what, rows, size)
            time.sleep(took)

    def _run(self, query: str) -> tuple[int, int]:
        with connection.cursor() as cursor:
            text = query.format(table=self.table, where=self.where, most=ROWS_AT_ONCE)
            cursor.execute(text, self.params)
            rows, size = cursor.fetchone()
            return int(rows), int(size)


@dataclass(frozen=True, slots=True)
class Whole:
    """A partition; see partitions.drop for the rest."""

    what: str
    partition: partitions.Partition
    unless: str = "false"
    params: Sequence[Any] = ()
    keep: str = ""
    game_id: None = None

    @property
    def key(self) -> str:
        return self.partition.name

    def would(self) -> Pruned:
        return Pruned(self.what, self.partition.counted(), self.partition.bytes, self.partition.name)

    def carry_out(self, until: float) -> Pruned:
        would = self.would()
        try:
            gone = partitions.drop(self.partition, unless=self.unless, params=self.params, keep=self.keep)
        except OperationalError as error:
            if not partitions.is_busy(error):
                raise
            logger.warning("partition_busy", partition=self.partition.name)
            gone = False
        return would if gone else Pruned(self.what, 0, 0)


def run(steps: Iterable[Step], *, dry_run: bool, seconds: float) -> Iterator[Pruned]:
    """Carry the steps out for so many seconds, or say what they would do; those that found something.

    A step that cannot be carried out stops no other (audience/isolation.py).
    """
    until = time.monotonic() + seconds
    in_time = itertools.takewhile(lambda _: time.monotonic() < until, steps)
    done = isolation.each(Queue.PRUNE, in_time, lambda step: step.carry_out(until), row_of=_place)
    for pruned in (step.would() for step in steps) if dry_run else done:
        if pruned.rows or pruned.partition:
            if not dry_run:
                logger.info("pruned", what=pruned.what, rows=pruned.rows, bytes=pruned.bytes)
            yield pruned


def _place(step: Step) -> isolation.Row:
    return isolation.Row(step.key, step.game_id)
