"""Stores requests: the entry point of this folder.

When `accept` or a variant of it returns, the rows are committed, and only then may the request be acknowledged.
Identity, attribution and postbacks follow in the workers, so that they can neither delay nor fail a request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from audience.background import wakeup
from audience.database import clock
from audience.intake.messages.message import Message, Rejected
from audience.intake.requests import prefetch
from audience.intake.storing import statement, transaction
from audience.intake.storing.channel import Channel
from audience.intake.storing.rows import Submission
from audience.intake.storing.statement import Write
from audience.intake.storing.write_queue import Overloaded, WriteQueue
from audience.models import ApiKey, Dialect

# The use of a key is recorded at most once in this time: exact enough to show that an old key is still used.
USE_INTERVAL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class AcceptResult:
    """The numbers of messages of a request that are `new`, `duplicates` of stored ones, and `rejected`.

    `reused` are the rejections, included in `rejected`, of messages whose id another event has.
    """

    new: int
    duplicates: int
    rejected: int
    reused: Sequence[Rejected] = ()

    @property
    def accepted(self) -> int:
        """As reported to the client: a duplicate is accepted too."""
        return self.new + self.duplicates


def accept(
    *,
    key: ApiKey,
    dialect: Dialect,
    messages: Sequence[Message],
    rejected: Sequence[Rejected] = (),
    received_at: datetime,
) -> AcceptResult:
    """Store the messages of one key, and wake the digest. `dialect` is that of the request.

    Raises `django.db.OperationalError` when the database is unavailable. The client then has to send the request again;
    if it was stored anyway, its messages are detected as duplicates.
    """
    submission = Submission(key=key, dialect=dialect, received_at=received_at, messages=messages, rejected=rejected)
    return accept_all([submission])[0]


def accept_all(submissions: Sequence[Submission]) -> list[AcceptResult]:
    """Store a request with messages of several keys like `accept`: all of it, or nothing."""
    writes = [Write(submission) for submission in submissions]
    transaction.write_all(writes)
    after_commit(writes, wakeup.wake)
    return [_result(write) for write in writes]


async def accept_on_loop(submissions: Sequence[Submission]) -> list[AcceptResult]:
    """`accept_all` on the event loop, in one transaction with other requests. Also raises `Overloaded`."""
    writes = [Write(submission) for submission in submissions]
    await write_queue.commit(writes)
    return [_result(write) for write in writes]


def refuse_when_full() -> None:
    """Raise `Overloaded` before parsing a request that `accept_on_loop` would refuse."""
    if write_queue.is_full:
        raise Overloaded


def record_use(key: ApiKey) -> None:
    """Record that a request has used this key, accepted or not. Does not block the event loop."""
    if _is_use_due(key):
        if prefetch.on_event_loop():
            prefetch.prefetch(partial(_save_use, key))
        else:
            _save_use(key)


def after_commit(writes: Sequence[Write], wake: Callable[[str], None] = wakeup.wake_now) -> None:
    """Record the use of the keys, and wake the digest. Clicks of tracking links have an unsaved key."""
    for key in {key.id: key for key in (write.submission.key for write in writes)}.values():
        if key.id is not None:
            record_use(key)
    if any(write.new for write in writes):
        wake(wakeup.DIGEST)


def _is_use_due(key: ApiKey) -> bool:
    """Whether to save the use of the key; sets `last_used_at` in memory."""
    now = clock.now()
    if key.last_used_at is not None and (now - key.last_used_at).total_seconds() <= USE_INTERVAL_SECONDS:
        return False
    key.last_used_at = now
    return True


def _save_use(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=key.last_used_at)


write_queue = WriteQueue(
    transaction.write_requests, after_commit, partial(Channel, statement.STATEMENTS), transaction.write_reused
)


def _result(write: Write) -> AcceptResult:
    return AcceptResult(
        new=write.new,
        duplicates=len(write.events) - write.new - len(write.reused),
        rejected=len(write.submission.rejected) + len(write.reused),
        reused=tuple(write.reused),
    )
