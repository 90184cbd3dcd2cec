"""The partitions of the tables that intake writes to: made ahead, so that no insert waits for one, and dropped whole.

Events lie in days, since an event is looked up by its day. Batches lie in weeks: the digest asks for the due ones
twenty times a second without saying when they came, and with 39 days PostgreSQL planned 1.4 ms for finding nothing,
with seven weeks 0.4 ms.

Two tables that grow too are plain, and pruned in steps:

- DeliveryAttempt is asked for by its id, its delivery or its config, seldom by time. Partitioned by day, closing 30
  attempts took 24 ms instead of 0.8, and the attempts of one delivery 0.9 ms instead of 0.06; and a unique index that
  holds the partition's moment too would no longer promise that a delivery has each attempt number once. The networks
  take some hundred calls a second, so that deleting as many rows is no load.
- Of Rejection a game keeps the newest 10,000. What a flood of them leaves has to be deleted by count long before its
  day is over, and a table that small is read through quickly.
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

# Taking a partition in or out stops whoever uses the table meanwhile, and everyone who comes after waits behind us. So
# we wait this briefly, and come again.
LOCK_TIMEOUT = "300ms"
TRIES = 10
PAUSE = 0.7  # seconds

EXISTING = """
SELECT part.relname, pg_get_expr(part.relpartbound, part.oid), part.reltuples::bigint, pg_total_relation_size(part.oid)
FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid
WHERE inhparent = %s::regclass ORDER BY part.relname
"""


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table partitioned by `column`, a date or a moment, into ranges of so many `days` of UTC."""

    table: str
    column: str
    days: int
    # A beat that is away this long still finds its partitions there; past that the default partition takes the rows.
    days_ahead: int
    settings: str = ""

    def start(self, day: date) -> date:
        """The first day of the partition that `day` lies in; a week begins on Monday."""
        return day - timedelta(days=(day.toordinal() - 1) % self.days)

    def name(self, start: date) -> str:
        return f"{self.table}_{start:%Y%m%d}"

    @property
    def default(self) -> str:
        return f"{self.table}_default"


EVENTS = Partitioned("audience_event", "day", days=1, days_ahead=7)
# Each row is updated once, from pending to done. Both words stand in the conditions of indexes, so that no room in the
# page would save the update an index entry; but the queue's index is walked through what vacuum has not cleared yet.
BATCHES = Partitioned(
    "audience_batch",
    "received_at",
    days=7,
    days_ahead=14,
    settings="autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02",
)
TABLES = (EVENTS, BATCHES)


@dataclass(frozen=True, slots=True)
class Partition:
    """`start` and `end` (not part of it) are None of the default partition; `rows` is an estimate, None for unknown."""

    of: Partitioned
    name: str
    start: date | None
    end: date | None
    rows: int | None
    bytes: int

    def counted(self) -> int:
        """How many rows it has: the estimate, or, of one that was never analysed and so is small, the exact number."""
        if self.rows:
            return self.rows
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self.name}")
            return int(cursor.fetchone()[0])


def existing(of: Partitioned) -> list[Partition]:
    """The partitions of a table, oldest first, the default one last."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTING, [of.table])
        found = [_partition(of, *row) for row in cursor.fetchall()]
    return sorted(found, key=lambda part: part.start or date.max)


def _partition(of: Partitioned, name: str, bound: str, rows: int, size: int) -> Partition:
    """`bound` is as PostgreSQL writes it: FOR VALUES FROM ('2026-11-21') TO ('2026-11-22'), or DEFAULT."""
    known = rows if rows >= 0 else None
    if bound == "DEFAULT":
        return Partition(of, name, None, None, known, size)
    start, end = (date.fromisoformat(part[1:11]) for part in bound.split("(")[1:])
    return Partition(of, name, start, end, known, size)


def missing(day: date) -> list[str]:
    """The names of the partitions that a row of `day` would need and that are not there."""
    needed = {of.name(of.start(day)) for of in TABLES}
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relispartition AND relname = ANY(%s)", [sorted(needed)])
        return sorted(needed - {name for (name,) in cursor.fetchall()})


def make(of: Partitioned, start: date) -> bool:
    """Create one partition, moving in what the default partition already holds of it; False if it exists."""
    moved = patiently(lambda: _make(of, start))
    if moved is None:
        return False
    logger.info("partition_made", partition=of.name(start), moved=moved)
    return True


@transaction.atomic
def _make(of: Partitioned, start: date) -> int | None:
    """How many rows it took over; None when it was there."""
    name, bounds = of.name(start), [f"{day} 00:00+00" for day in (start, start + timedelta(days=of.days))]
    with connection.cursor() as cursor:
        # Two beats at once: the second waits here, then finds the table.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{of.table} partitions"])
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return None
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        settings = f" WITH ({of.settings})" if of.settings else ""
        cursor.execute(f"CREATE TABLE {name} (LIKE {of.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS){settings}")
        # Before its rows go: a digest that waits for one of them must not hold what ATTACH asks for.
        cursor.execute(f"LOCK TABLE {of.default} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {of.default} WHERE {of.column} >= %s AND {of.column} < %s RETURNING *) "
            f"INSERT INTO {name} SELECT * FROM moved",
            bounds,
        )
        moved = int(cursor.rowcount)
        cursor.execute(
            f"ALTER TABLE {of.table} ATTACH PARTITION {name} FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
        )
    return moved


def drop(part: Partition, *, unless: str = "false", params: Any = (), keep: str = "") -> bool:
    """Drop a partition; whether it is gone.

    Not when the query expression `unless` (of `params`) holds, asked when nobody can write any more. Rows for which
    `keep` holds move to the default partition. Raises OperationalError when the table was busy all the while.
    """
    gone = patiently(lambda: _drop(part, unless, params, keep))
    if gone:
        logger.info("partition_dropped", partition=part.name, rows=part.rows, bytes=part.bytes)
    return gone


@transaction.atomic
def _drop(part: Partition, unless: str, params: Any, keep: str) -> bool:
    table = part.of.table
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


def patiently(take: Callable[[], T]) -> T:
    """Try until the locks are free, TRIES times; raises the last OperationalError."""
    for _ in range(TRIES - 1):
        try:
            return take()
        except OperationalError as error:
            if not is_busy(error):
                raise
        time.sleep(PAUSE)
    return take()


def is_busy(error: OperationalError) -> bool:
    """Whether a lock was not free in time."""
    return isinstance(error.__cause__, errors.LockNotAvailable)
