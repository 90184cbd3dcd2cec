"""Stores requests in a transaction of Django's connection, on a thread: large groups, groups that the channel could not
store, and requests that are answered on a thread.

A large group is copied in, which is fastest. COPY has no ON CONFLICT: if one of the messages is stored already, the
group is written by the statement instead.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain

import psycopg
import structlog
from django.db import DatabaseError, IntegrityError, InterfaceError, close_old_connections, connection, transaction

from audience.intake.storing import notation, rows, statement
from audience.intake.storing.statement import Write

logger = structlog.get_logger(__name__)

IDS = "SELECT nextval('audience_event_id_seq') FROM generate_series(1, %s)"
COPY_EVENTS = f"COPY audience_event (id, {', '.join(rows.EVENT)}) FROM STDIN"
COPY_REJECTIONS = f"COPY audience_rejection ({', '.join(rows.REJECTION)}) FROM STDIN"
COPY_BATCHES = """COPY audience_batch (game_id, key_id, dialect, received_at, accepted, duplicates, rejected, event_ids,
    first_day, last_day, state, attempts, next_attempt_at, error) FROM STDIN"""


def write(writes: Sequence[Write]) -> None:
    """Store all of `writes` or none, and set `new` of each. Raises the errors of the database."""
    if statement.is_small(writes) or any(row.days_back for one in writes for row in one.events):
        _insert(writes)
        return
    try:
        _copy(writes)
    except IntegrityError:
        _insert(writes)


def write_requests(
    requests: Sequence[Sequence[Write]], write: Callable[[Sequence[Write]], None] = write
) -> list[BaseException | None]:
    """Store requests in one transaction; when that fails, each in its own, so that a row that PostgreSQL refuses fails
    no other request. Returns the error of each request, None if it is stored."""
    close_old_connections()
    error = _attempt(write, list(chain.from_iterable(requests)))
    if isinstance(error, DatabaseError | InterfaceError) and len(requests) > 1 and connection.is_usable():
        logger.warning("group_written_singly", requests=len(requests), error=type(error).__name__)
        return [_attempt(write, request) for request in requests]
    return [error] * len(requests)


def _attempt(write: Callable[[Sequence[Write]], None], writes: Sequence[Write]) -> BaseException | None:
    try:
        write(writes)
    except BaseException as error:
        return error
    return None


def _insert(writes: Sequence[Write]) -> None:
    name, values = statement.build(writes)
    with _savepoint_if_nested(), _prepared_cursor() as cursor:
        cursor.execute(statement.STATEMENTS[name], [value.decode() for value in values])
        statement.apply_result(writes, cursor.fetchall())


def _savepoint_if_nested() -> AbstractContextManager[None]:
    """Keeps the caller's transaction usable after an error. Outside of one the statement is its own transaction."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


@contextmanager
def _prepared_cursor() -> Iterator[psycopg.RawCursor]:
    """A cursor that prepares its statement once per connection: planning takes longer than executing. Django's cursors
    write the values into the statement, so that PostgreSQL plans each anew."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    raw.prepare_threshold = 0
    try:
        with connection.wrap_database_errors, psycopg.RawCursor(raw) as cursor:
            yield cursor
    finally:
        raw.prepare_threshold = None


@transaction.atomic
def _copy(writes: Sequence[Write]) -> None:
    """Raises IntegrityError when a copy of one of the messages is stored already, on the same day."""
    events = [row for one in writes for row in one.events]
    with connection.cursor() as cursor:
        cursor.execute(IDS, [len(events)])
        ids = [number for (number,) in cursor.fetchall()]
    # In the order of the statement, for the same reason.
    lines = sorted(
        (row.day, row.message_id, notation.line((str(number), *row.values)))
        for number, row in zip(ids, events, strict=True)
    )
    _copy_in(COPY_EVENTS, [line for _, _, line in lines])
    _copy_in(COPY_REJECTIONS, [notation.line(values) for one in writes for values in one.rejections])
    remaining = iter(ids)
    _copy_in(COPY_BATCHES, [_batch(one, [next(remaining) for _ in one.events]) for one in writes])
    for one in writes:
        one.new = len(one.events)


def _batch(one: Write, ids: Sequence[int]) -> str:
    """The line of a Batch without duplicates; `pending`, and so to be digested, when it has events."""
    sent, days = one.sent, [row.day for row in one.events]
    received_at = sent.received_at.isoformat()
    bounds = (min(days).isoformat(), max(days).isoformat()) if days else ("\\N", "\\N")
    names = (str(sent.key.game_id), str(sent.key.pk), sent.dialect.value, received_at)
    counts = (str(len(ids)), "0", str(len(sent.rejected)))
    state = "pending" if ids else "done"
    return "\t".join([*names, *counts, notation.array(map(str, ids)), *bounds, state, "0", received_at, ""]) + "\n"


def _copy_in(query: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(query) as into:
        into.write("".join(lines))
