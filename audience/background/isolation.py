"""Isolates failing rows, so that one row never stops a queue.

Rows are processed in bulk. If that fails, each half is processed, down to the row that fails alone. That row is
recorded (FailedWork), excluded from its queue, retried alone after doubling pauses, and set aside after MAX_ATTEMPTS
until it is retried by hand. Errors that no row causes (database unavailable, deadlock) are raised: the rows are
unchanged and the next sweep of the beat finds them.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from django.db import IntegrityError, transaction

from audience.database import clock
from audience.database.availability import is_unavailable
from audience.models import FailedWork, Queue

logger = structlog.get_logger(__name__)

R = TypeVar("R")
T = TypeVar("T")

# The pause is 20 s after the first failure and doubles: eight attempts within 45 minutes.
MAX_ATTEMPTS = 8
FIRST_DELAY = timedelta(seconds=20)
# Of the failed rows of a queue.
MAX_RETRIES_PER_SWEEP = 100
# How long a failed row is leased to the worker that retries it.
LEASE = timedelta(minutes=2)
MAX_ERROR_LENGTH = 2000  # characters
# Texts quoted in an error may be a player's data: an unreadable value, a name, an address.
QUOTED = re.compile(r"""(?<!\w)'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|“[^”]*”|\S*@\S*""")
UNCLOSED = re.compile(r"""(?<!\w)'.*|["“].*""")


class RetryLater(Exception):
    """Raised by work that cannot be done now. It is retried later without counting as a failure."""


@dataclass(frozen=True, slots=True)
class FailureKey:
    """Identifies a row in FailedWork. `kept` is data for a retry that is in no other row."""

    name: str
    game_id: int | None
    kept: dict[str, Any] = field(default_factory=dict)


def raise_if_unavailable(error: Exception) -> None:
    """Raise `error` again if no row causes it: the database is unavailable or read-only, or a deadlock."""
    if is_unavailable(error):
        raise error


def describe_error(error: Exception) -> str:
    """Return the first line of the error without quoted texts, except the name of a constraint.

    PostgreSQL's DETAIL quotes the row, and an erasure does not search this table.
    """
    line, quoted_name = str(error).partition("\n")[0], f'"{_constraint(error)}"'
    before, constraint, after = line.partition(quoted_name)
    return f"{type(error).__name__}: {_without_quotes(before)}{constraint}{_without_quotes(after)}"[:MAX_ERROR_LENGTH]


def _constraint(error: Exception) -> str:
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "")


def _without_quotes(text: str) -> str:
    return UNCLOSED.sub("…", QUOTED.sub("…", text))


def retry_delay(attempts: int) -> timedelta:
    """Return the pause after this many failures."""
    return FIRST_DELAY * (1 << (min(attempts, MAX_ATTEMPTS) - 1))


def process_together(
    queue: Queue,
    rows: Sequence[R],
    work: Callable[[Sequence[R]], T],
    *,
    failure_key: Callable[[R], FailureKey],
    deadline: float = math.inf,
) -> list[T]:
    """Return the results of `work` for all rows or, if that fails, for halves of them; record rows that fail alone.

    `work` must be a transaction; the query of `rows` must exclude rows recorded before (`not_failed`). No work starts
    after `deadline`, a time of time.monotonic().
    """
    if not rows or time.monotonic() > deadline:
        return []
    try:
        return [work(rows)]
    except Exception as error:  # any error of a row is isolated
        raise_if_unavailable(error)
        if len(rows) == 1:
            record_failure(queue, failure_key(rows[0]), error)
            return []
        logger.warning("bulk_failed", queue=queue.value, rows=len(rows), error=type(error).__name__)
    middle = len(rows) // 2
    return [
        result
        for half in (rows[:middle], rows[middle:])
        for result in process_together(queue, half, work, failure_key=failure_key, deadline=deadline)
    ]


def process_each(
    queue: Queue, rows: Iterable[R], work: Callable[[R], T], *, failure_key: Callable[[R], FailureKey]
) -> Iterator[T]:
    """Yield the result of `work` for each row, processed alone and lazily; rows that failed before only when due."""
    failures = {(failure.game_id, failure.row): failure for failure in FailedWork.objects.of(queue)}
    for row in rows:
        key = failure_key(row)
        failure = failures.get((key.game_id, key.name))
        if failure is None or _lease(failure):
            yield from process_alone(queue, key, partial(work, row), failure)


def retry(queue: Queue, work: Callable[[FailedWork], object], *, rows: Iterable[FailedWork] | None = None) -> int:
    """Retry the due failed rows of a queue, or those of `rows`, each alone; return how many succeeded.

    `work` must succeed for a row that was deleted, and raise RetryLater if it cannot be done now.
    """
    due = FailedWork.objects.of(queue).due()[:MAX_RETRIES_PER_SWEEP] if rows is None else rows
    succeeded = 0
    for failure in list(due):
        if _lease(failure):
            key = FailureKey(failure.row, failure.game_id, failure.kept)
            succeeded += len(process_alone(queue, key, partial(work, failure), failure))
    return succeeded


def process_alone(queue: Queue, key: FailureKey, work: Callable[[], T], failure: FailedWork | None = None) -> list[T]:
    """Return the result of `work` in a list, or an empty list if it failed, which is recorded.

    `failure` is the leased record of an earlier failure; it is deleted on success.
    """
    try:
        result = work()
    except RetryLater:
        return []
    except Exception as error:  # as in `process_together`
        raise_if_unavailable(error)
        record_failure(queue, key, error, again=failure is not None)
        return []
    if failure is not None:
        FailedWork.objects.filter(pk=failure.pk).delete()
        logger.info("failed_row_succeeded", queue=queue.value, row=key.name)
    return [result]


def _lease(failure: FailedWork) -> bool:
    """Lease a failed row for a retry; return False if it is not due or leased by another worker."""
    now = clock.now()
    due = FailedWork.objects.due(now).filter(pk=failure.pk).order_by()
    return bool(due.update(next_attempt_at=now + LEASE))


def record_failure(queue: Queue, key: FailureKey, error: Exception, *, again: bool = False) -> None:
    """Record that a row failed alone, and set it aside after MAX_ATTEMPTS.

    Without `again`, a record that another worker has created meanwhile is not changed.
    """
    logger.error("row_failed", queue=queue.value, row=key.name, game_id=key.game_id, exc_info=error)
    try:
        with transaction.atomic():
            _record(queue, key, error, again)
    except IntegrityError:
        logger.warning("failed_row_game_deleted", queue=queue.value, row=key.name, game_id=key.game_id)


def _record(queue: Queue, key: FailureKey, error: Exception, again: bool) -> None:
    now = clock.now()
    rows = FailedWork.objects.select_for_update(of=("self",))
    columns: dict[str, Any] = {"game_id": key.game_id, "queue": queue, "row": key.name}
    failure, is_new = rows.get_or_create(**columns, defaults={"kept": key.kept})
    if not is_new and not again:
        return
    failure.attempts += 1
    failure.error = describe_error(error)
    failure.next_attempt_at = now + retry_delay(failure.attempts)
    if failure.attempts >= MAX_ATTEMPTS:
        failure.set_aside_at = now
        logger.error("row_set_aside", queue=queue.value, row=key.name, game_id=key.game_id, error=failure.error)
    failure.save(update_fields=["attempts", "error", "next_attempt_at", "set_aside_at"])
