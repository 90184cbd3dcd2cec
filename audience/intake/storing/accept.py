"""The page to read first: what happens to a request between being understood and being answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from audience.background import wakeup
from audience.database import clock
from audience.intake.messages.message import Message, Rejected
from audience.intake.requests import prefetch
from audience.intake.storing import store
from audience.intake.storing.channel import Channel
from audience.intake.storing.group import Group, Overloaded
from audience.intake.storing.rows import Submission
from audience.intake.storing.store import Write
from audience.models import ApiKey, Dialect


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request: messages `new`ly stored, `duplicates` of stored ones, and `rejected`."""

    new: int
    duplicates: int
    rejected: int

    @property
    def accepted(self) -> int:
        """What the sender is told: a copy of a stored message is as good as taken."""
        return self.new + self.duplicates


def accept(
    *,
    key: ApiKey,
    dialect: Dialect,
    messages: Sequence[Message],
    rejected: Sequence[Rejected] = (),
    received_at: datetime,
) -> Receipt:
    """Write one request to disk, and wake the digest. `dialect` is the one it was said in.

    When this returns, the rows are committed: only then may the request be acknowledged. Everything slow
    (identity, attribution, postbacks) happens later and elsewhere, so that it can neither delay nor fail
    an acknowledgement. Raises `django.db.OperationalError` when the database is away; the sender has to send again,
    and what was stored all the same is then known by its message ids.
    """
    sent = Submission(key=key, dialect=dialect, received_at=received_at, messages=messages, rejected=rejected)
    return accept_all([sent])[0]


def accept_all(request: Sequence[Submission]) -> list[Receipt]:
    """The same for a request that speaks for several keys: all of it on disk, or nothing."""
    writes = [Write(sent) for sent in request]
    store.write(writes)
    _note(writes, _mark_used, wakeup.wake)
    return [_receipt(one) for one in writes]


def refuse_when_full() -> None:
    """Raise `Overloaded` before anything was done for a request that would be refused in the end."""
    if _group.is_full:
        raise Overloaded


async def accept_together(request: Sequence[Submission]) -> list[Receipt]:
    """The same on the event loop, in one transaction with other requests that wait. Raises `Overloaded` besides."""
    writes = [Write(sent) for sent in request]
    await _group.commit(writes)
    return [_receipt(one) for one in writes]


def _note(writes: Sequence[Write], mark: Callable[[ApiKey], None], wake: Callable[[str], None]) -> None:
    """What follows the commit."""
    for key in {one.sent.key.id: one.sent.key for one in writes}.values():
        if _is_news(key):
            mark(key)
    if any(one.new for one in writes):
        wake(wakeup.DIGEST)


def _note_on_loop(writes: Sequence[Write]) -> None:
    """The same without waiting for anything."""
    _note(writes, lambda key: prefetch.prefetch(partial(_mark_used, key)), wakeup.wake_now)


def record_use(key: ApiKey) -> None:
    """Note that a request came with this key, whatever becomes of the request. Waits for nothing on the event loop."""
    if _is_news(key):
        if prefetch.on_event_loop():
            prefetch.prefetch(partial(_mark_used, key))
        else:
            _mark_used(key)


def _is_news(key: ApiKey) -> bool:
    """A key's use is noted once a minute: exact enough to see an old key still in use, cheap enough for every call."""
    now = clock.now()
    if key.last_used_at is not None and (now - key.last_used_at).total_seconds() <= 60:
        return False
    key.last_used_at = now
    return True


def _mark_used(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=key.last_used_at)


_group = Group(store.write, _note_on_loop, partial(Channel, store.STATEMENTS))


def _receipt(one: Write) -> Receipt:
    return Receipt(new=one.new, duplicates=len(one.events) - one.new, rejected=len(one.sent.rejected))
