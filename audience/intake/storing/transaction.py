"""Stores requests in a transaction of Django's connection, on a thread: large groups, groups that the channel could not
store, and requests that are answered on a thread.

A large group is stored by COPY, which is fastest but has no ON CONFLICT: if one of the messages is stored already, the
group is stored by the statement instead.
"""

from collections.abc import Callable, Sequence
from itertools import chain

import structlog
from django.db import DatabaseError, IntegrityError, InterfaceError, close_old_connections, connection, transaction

from audience.intake.storing import reused_ids, rows, statement
from audience.intake.storing.statement import Write

logger = structlog.get_logger(__name__)

NEXT_IDS = "SELECT nextval('audience_event_id_seq') FROM generate_series(1, %s)"
COPY_EVENTS = f"COPY audience_event (id, {', '.join(rows.EVENT_COLUMNS)}) FROM STDIN"
COPY_REJECTIONS = f"COPY audience_rejection ({', '.join(rows.REJECTION_COLUMNS)}) FROM STDIN"
COPY_BATCHES = """COPY audience_batch (game_id, key_id, dialect, received_at, accepted, duplicates, rejected, event_ids,
    first_day, last_day, state, attempts, next_attempt_at, error) FROM STDIN"""


def write_all(writes: Sequence[Write]) -> None:
    """Store all of `writes` or none, and set the results of each. Raises the errors of the database."""
    if statement.is_small(writes) or any(row.days_back for write in writes for row in write.events):
        _insert(writes)
        return
    try:
        _copy(writes)
    except IntegrityError:
        _insert(writes)


def write_requests(
    requests: Sequence[Sequence[Write]], write: Callable[[Sequence[Write]], None] = write_all
) -> list[BaseException | None]:
    """Store requests in one transaction; when that fails, each in its own, so that a row that PostgreSQL refuses fails
    no other request. Returns the error of each request, None if it is stored."""
    close_old_connections()
    error = _attempt(write, list(chain.from_iterable(requests)))
    if isinstance(error, DatabaseError | InterfaceError) and len(requests) > 1 and connection.is_usable():
        logger.warning("intake_group_failed", requests=len(requests), error=type(error).__name__)
        return [_attempt(write, request) for request in requests]
    return [error] * len(requests)


def write_reused(requests: Sequence[Sequence[Write]]) -> list[BaseException | None]:
    """Store the skipped messages that are not duplicates. Returns the error of each request, None if there was none."""
    close_old_connections()
    return [_attempt(reused_ids.store, request) for request in requests]


def _attempt(write: Callable[[Sequence[Write]], None], writes: Sequence[Write]) -> BaseException | None:
    try:
        write(writes)
    except BaseException as error:
        return error
    return None


@transaction.atomic
def _insert(writes: Sequence[Write]) -> None:
    statement.execute(writes)
    reused_ids.store(writes)


@transaction.atomic
def _copy(writes: Sequence[Write]) -> None:
    """Raises IntegrityError when a duplicate of one of the messages is stored already, on the same day."""
    events = [row for write in writes for row in write.events]
    with connection.cursor() as cursor:
        cursor.execute(NEXT_IDS, [len(events)])
        ids = [event_id for (event_id,) in cursor.fetchall()]
    # In the order of the statement, so that two groups do not deadlock.
    ordered = sorted(zip(ids, events, strict=True), key=lambda pair: (pair[1].day, pair[1].message_id))
    _copy_rows(COPY_EVENTS, [(str(event_id), *row.values) for event_id, row in ordered])
    _copy_rows(COPY_REJECTIONS, [values for write in writes for values in write.rejections])
    remaining_ids = iter(ids)
    _copy_rows(COPY_BATCHES, [_batch(write, [next(remaining_ids) for _ in write.events]) for write in writes])
    for write in writes:
        write.new, write.reused = len(write.events), []


def _batch(write: Write, ids: list[int]) -> tuple[object, ...]:
    """The values of a Batch without duplicates. It is pending, to be digested, if it has events."""
    submission, days = write.submission, [row.day for row in write.events]
    names = (submission.key.game_id, submission.key.pk, submission.dialect.value, submission.received_at)
    bounds = (min(days), max(days)) if days else (None, None)
    state = "pending" if ids else "done"
    return (*names, len(ids), 0, len(submission.rejected), ids, *bounds, state, 0, submission.received_at, "")


def _copy_rows(query: str, values: Sequence[Sequence[object]]) -> None:
    if not values:
        return
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(query) as copy:
        for row in values:
            copy.write_row(row)
