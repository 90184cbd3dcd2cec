"""Partitions of the tables that intake writes to. They are created ahead, so that no insert waits, and dropped whole.

Events have daily partitions, since events are looked up by day. Batches have weekly ones: the digest queries due
batches twenty times a second without a time, and planning that took 1.4 ms with 39 partitions and 0.4 ms with seven.

Two other growing tables are not partitioned, and are pruned in steps:

- DeliveryAttempt is read by id, delivery or config. With daily partitions, closing 30 attempts took 24 ms instead of
  0.8, and the unique index could no longer guarantee one attempt per number. At some hundred calls per second, deleting
  rows is fast enough.
- Of Rejection the newest 10,000 rows per game are kept, so rows must be deleted by count before their day is over.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

import structlog
from django.db import OperationalError, connection, transaction
from psycopg import errors

logger = structlog.get_logger(__name__)
T = TypeVar("T")

# Attaching or dropping needs an exclusive lock, and all later queries wait behind a waiting lock request. So requests
# time out quickly and are retried.
LOCK_TIMEOUT = "300ms"
MAX_TRIES = 10
PAUSE_SECONDS = 0.7

LIST_PARTITIONS = """
SELECT part.relname, pg_get_expr(part.relpartbound, part.oid), part.reltuples::bigint, pg_total_relation_size(part.oid)
FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
WHERE inhparent = %s::regclass ORDER BY part.relname
"""


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A table partitioned by `column`, a date or datetime, into ranges of `days` in UTC."""

    table: str
    column: str
    days: int
    # Partitions are created for so many days. If the beat is down for longer, rows go to the default partition.
    days_ahead: int
    settings: str = ""

    def start(self, day: date) -> date:
        """Return the first day of the partition of `day`; weeks begin on Monday."""
        return day - timedelta(days=(day.toordinal() - 1) % self.days)

    def name(self, start: date) -> str:
        return f"{self.table}_{start:%Y%m%d}"

    @property
    def default(self) -> str:
        return f"{self.table}_default"


EVENTS = PartitionedTable("audience_event", "day", days=1, days_ahead=7)
# Each row is updated once, from pending to done. Both states are in conditions of indexes, so a fill factor would not
# allow heap-only updates; but the queue's index must be vacuumed often.
BATCHES = PartitionedTable(
    "audience_batch",
    "received_at",
    days=7,
    days_ahead=14,
    settings="autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02",
)
TABLES = (EVENTS, BATCHES)


@dataclass(frozen=True, slots=True)
class Partition:
    """`start` and `end` (exclusive) are None for the default partition; `rows` is an estimate, None if unknown."""

    parent: PartitionedTable
    name: str
    start: date | None
    end: date | None
    rows: int | None
    bytes: int

    def count_rows(self) -> int:
        """Return the estimated number of rows, or the exact one if the table was never analyzed and so is small."""
        if self.rows:
            return self.rows
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self.name}")
            return int(cursor.fetchone()[0])


def list_partitions(parent: PartitionedTable) -> list[Partition]:
    """Return the partitions of a table, oldest first, the default one last."""
    with connection.cursor() as cursor:
        cursor.execute(LIST_PARTITIONS, [parent.table])
        partitions = [_partition(parent, *row) for row in cursor.fetchall()]
    return sorted(partitions, key=lambda part: part.start or date.max)


def _partition(parent: PartitionedTable, name: str, bound: str, rows: int, size: int) -> Partition:
    """`bound` is as PostgreSQL writes it: FOR VALUES FROM ('2026-11-21') TO ('2026-11-22'), or DEFAULT."""
    estimate = rows if rows >= 0 else None
    if bound == "DEFAULT":
        return Partition(parent, name, None, None, estimate, size)
    start, end = (date.fromisoformat(text[1:11]) for text in bound.split("(")[1:])
    return Partition(parent, name, start, end, estimate, size)


def missing_partitions(day: date) -> list[str]:
    """Return the names of the partitions for `day` that do not exist."""
    needed = {parent.name(parent.start(day)) for parent in TABLES}
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relispartition AND relname = ANY(%s)", [sorted(needed)])
        return sorted(needed - {name for (name,) in cursor.fetchall()})


def create_partition(parent: PartitionedTable, start: date) -> bool:
    """Create a partition and move its rows there from the default partition; return False if it exists."""
    moved = with_lock_retries(lambda: _create(parent, start))
    if moved is None:
        return False
    logger.info("partition_created", partition=parent.name(start), moved=moved)
    return True


@transaction.atomic
def _create(parent: PartitionedTable, start: date) -> int | None:
    """Create the partition and return the number of rows moved; None if it exists."""
    name, bounds = parent.name(start), [f"{day} 00:00+00" for day in (start, start + timedelta(days=parent.days))]
    with connection.cursor() as cursor:
        # A concurrent beat waits here and then finds the table.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{parent.table} partitions"])
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return None
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        settings = f" WITH ({parent.settings})" if parent.settings else ""
        cursor.execute(f"CREATE TABLE {name} (LIKE {parent.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS){settings}")
        # Before the DELETE: a digest that waits for one of the deleted rows would hold a lock that ATTACH needs.
        cursor.execute(f"LOCK TABLE {parent.default} IN ACCESS EXCLUSIVE MODE")
        in_bounds = f"{parent.column} >= %s AND {parent.column} < %s"
        cursor.execute(
            f"WITH moved AS (DELETE FROM {parent.default} WHERE {in_bounds} RETURNING *) "
            f"INSERT INTO {name} SELECT * FROM moved",
            bounds,
        )
        moved = int(cursor.rowcount)
        cursor.execute(
            f"ALTER TABLE {parent.table} ATTACH PARTITION {name} FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
        )
    return moved


def drop(part: Partition, *, unless: str = "false", params: Any = (), keep: str = "") -> bool:
    """Drop a partition and return whether it was dropped.

    It is not dropped if the SQL expression `unless` (with `params`) is true under the exclusive lock. Rows for which
    the SQL expression `keep` is true are moved to the default partition. Raises OperationalError if the lock was never
    free.
    """
    is_dropped = with_lock_retries(lambda: _drop(part, unless, params, keep))
    if is_dropped:
        logger.info("partition_dropped", partition=part.name, rows=part.rows, bytes=part.bytes)
    return is_dropped


@transaction.atomic
def _drop(part: Partition, unless: str, params: Any, keep: str) -> bool:
    table = part.parent.table
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SELECT to_regclass(%s)", [part.name])
        if cursor.fetchone()[0] is None:
            return False
        cursor.execute(f"SELECT {unless}", params)
        if cursor.fetchone()[0]:
            return False
        if keep:
            cursor.execute(f"CREATE TEMP TABLE kept_rows AS SELECT * FROM {part.name} WHERE {keep}")
        cursor.execute(f"DROP TABLE {part.name}")
        if keep:
            cursor.execute(f"INSERT INTO {table} SELECT * FROM kept_rows")
            cursor.execute("DROP TABLE kept_rows")
    return True


def with_lock_retries(operation: Callable[[], T]) -> T:
    """Return the result of `operation`, tried up to MAX_TRIES times while locks are taken. Raises its last error."""
    for _ in range(MAX_TRIES - 1):
        try:
            return operation()
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
        time.sleep(PAUSE_SECONDS)
    return operation()


def is_lock_timeout(error: OperationalError) -> bool:
    return isinstance(error.__cause__, errors.LockNotAvailable)
