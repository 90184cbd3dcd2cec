"""One failing row stops no other: how every queue treats a row that cannot be processed.

Rows are processed together, since that is fast. When that fails each half is, and so on down to the row that fails
alone. That one is noted (FailedWork), left out of its queue from then on, tried again alone, each time twice as late,
and after MAX_ATTEMPTS set aside until a person has it tried again. What is no fault of a row (the database is away,
a deadlock) is raised: the rows are as they were, and the next sweep of the beat finds them.
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
from audience.database.unavailable import is_unavailable
from audience.models import FailedWork, Queue

logger = structlog.get_logger(__name__)

R = TypeVar("R")
T = TypeVar("T")

# 20 s after the first failure, twice as long after each further one: eight attempts within 45 minutes.
MAX_ATTEMPTS = 8
FIRST_PAUSE = timedelta(seconds=10)
# Failed rows of a queue that are tried again in one sweep.
RETRIES_AT_ONCE = 100
# Whoever takes up a failed row has it for this long; after that its worker is taken for dead.
LEASE = timedelta(minutes=2)
ERROR_MAX = 2000  # characters
# What an error quotes may be a player's: a value that could not be read, a name, an address.
QUOTED = re.compile(r"""(?<!\w)'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|“[^”]*”|\S*@\S*""")
UNCLOSED = re.compile(r"""(?<!\w)'.*|["“].*""")


class NotNow(Exception):
    """Raised by work that could not be tried at this moment: the failed row stays, and is asked for again later."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a failure is noted under. `kept` is what a further attempt needs and no other row holds."""

    name: str
    game_id: int | None
    kept: dict[str, Any] = field(default_factory=dict)


def raise_if_passing(error: Exception) -> None:
    """Go no further when the database went away, takes no writes or chose us in a deadlock: that is no row's fault."""
    if is_unavailable(error):
        raise error


def described(error: Exception) -> str:
    """The error in one line without anything that it quotes but the name of a constraint.

    Only the first line: PostgreSQL's DETAIL quotes the row, and an erasure does not look in here.
    """
    line, ours = str(error).partition("\n")[0], f'"{_constraint(error)}"'
    before, named, after = line.partition(ours)
    return f"{type(error).__name__}: {_without_quotes(before)}{named}{_without_quotes(after)}"[:ERROR_MAX]


def _constraint(error: Exception) -> str:
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "")


def _without_quotes(text: str) -> str:
    return UNCLOSED.sub("…", QUOTED.sub("…", text))


def pause(attempts: int) -> timedelta:
    """How long to leave a row alone after so many failures."""
    return FIRST_PAUSE * (1 << min(attempts, MAX_ATTEMPTS))


def together(
    queue: Queue,
    rows: Sequence[R],
    work: Callable[[Sequence[R]], T],
    *,
    row_of: Callable[[R], Row],
    until: float = math.inf,
) -> list[T]:
    """What `work` returns for all rows, or, when that fails, for each half of them; rows that fail alone are noted.

    `work` has to be a transaction, and its query to leave out rows that were noted before (`not_failed`). Rows that
    `time.monotonic()` is past `until` for are left as they are, for the next look into the queue.
    """
    if not rows or time.monotonic() > until:
        return []
    try:
        return [work(rows)]
    except Exception as error:  # whatever a row makes a step raise must not come back for ever
        raise_if_passing(error)
        if len(rows) == 1:
            note(queue, row_of(rows[0]), error)
            return []
        logger.warning("failed_together", queue=queue.value, rows=len(rows), error=type(error).__name__)
    middle = len(rows) // 2
    halves = (rows[:middle], rows[middle:])
    return [result for half in halves for result in together(queue, half, work, row_of=row_of, until=until)]


def each(queue: Queue, rows: Iterable[R], work: Callable[[R], T], *, row_of: Callable[[R], Row]) -> Iterator[T]:
    """What `work` returns for each row, alone; those that failed before are tried when they are due.

    The work is done while the results are read.
    """
    known = {(failure.game_id, failure.row): failure for failure in FailedWork.objects.of(queue)}
    for row in rows:
        place = row_of(row)
        failure = known.get((place.game_id, place.name))
        if failure is None or _take(failure):
            yield from _alone(queue, place, partial(work, row), failure)


def retry(queue: Queue, work: Callable[[FailedWork], object], *, rows: Iterable[FailedWork] | None = None) -> int:
    """Try the failed rows of a queue that are due (or `rows`, those among them), each alone; how many succeeded.

    `work` does nothing, and so succeeds, for a row that is gone; it raises NotNow when it cannot try.
    """
    due = FailedWork.objects.of(queue).due()[:RETRIES_AT_ONCE] if rows is None else rows
    done = 0
    for failure in list(due):
        if _take(failure):
            place = Row(failure.row, failure.game_id, failure.kept)
            done += len(_alone(queue, place, partial(work, failure), failure))
    return done


def alone(queue: Queue, row: Row, work: Callable[[], T]) -> list[T]:
    """What `work` returns, in a list; an empty one when it failed, which is noted."""
    return _alone(queue, row, work, None)


def _alone(queue: Queue, row: Row, work: Callable[[], T], failure: FailedWork | None) -> list[T]:
    try:
        result = work()
    except NotNow:
        return []
    except Exception as error:  # as in `together`
        raise_if_passing(error)
        note(queue, row, error, again=failure is not None)
        return []
    if failure is not None:
        FailedWork.objects.filter(pk=failure.pk).delete()
        logger.info("failed_row_done", queue=queue.value, row=row.name)
    return [result]


def _take(failure: FailedWork) -> bool:
    """Whether the failed row is due and ours to try; nobody else has it meanwhile."""
    now = clock.now()
    mine = FailedWork.objects.due(now).filter(pk=failure.pk).order_by()
    return bool(mine.update(next_attempt_at=now + LEASE))


def note(queue: Queue, row: Row, error: Exception, *, again: bool = False) -> None:
    """Write down that a row failed alone; after MAX_ATTEMPTS it is set aside.

    Without `again` a row that was noted meanwhile, by another worker, stays as it is.
    """
    logger.error("row_failed", queue=queue.value, row=row.name, game_id=row.game_id, exc_info=error)
    try:
        with transaction.atomic():
            _note(queue, row, error, again)
    except IntegrityError:
        logger.warning("failed_row_gone", queue=queue.value, row=row.name, game_id=row.game_id)  # with its game


def _note(queue: Queue, row: Row, error: Exception, again: bool) -> None:
    now = clock.now()
    new = {"kept": row.kept, "first_failed_at": now, "next_attempt_at": now}
    rows = FailedWork.objects.select_for_update(of=("self",))
    place: dict[str, Any] = {"game_id": row.game_id, "queue": queue, "row": row.name}
    failure, made = rows.get_or_create(**place, defaults=new)
    if not made and not again:
        return
    failure.attempts += 1
    failure.error = described(error)
    failure.next_attempt_at = now + pause(failure.attempts)
    if failure.attempts >= MAX_ATTEMPTS:
        failure.set_aside_at = now
        logger.error("row_set_aside", queue=queue.value, row=row.name, game_id=row.game_id, error=failure.error)
    failure.save(update_fields=["attempts", "error", "next_attempt_at", "set_aside_at"])
