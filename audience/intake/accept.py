"""The page to read first: what happens to a request between being understood and being answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from audience import wakeup
from audience.intake import store
from audience.intake.message import Message, Rejected
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
    """Write one request to disk, in one transaction, and wake the digest. `dialect` is the one it was said in.

    When this returns, the rows are committed: only then may the request be acknowledged. Everything slow
    (identity, attribution, postbacks) happens later and elsewhere, so that it can neither delay nor fail
    an acknowledgement. Raises `django.db.OperationalError` when the database is away; nothing is stored then.
    """
    with transaction.atomic():
        request = store.Request(key=key, dialect=dialect, received_at=received_at)
        new = store.events(request, messages)
        duplicates = len(messages) - len(new)
        store.rejections(request, rejected)
        store.batch(request, new=new, duplicates=duplicates, rejected=len(rejected))
        _mark_used(key)
    if new:
        wakeup.wake("audience.tasks.digest")
    return Receipt(new=len(new), duplicates=duplicates, rejected=len(rejected))


def _mark_used(key: ApiKey) -> None:
    """Note the time of use, once a minute: exact enough to see an old key still in use, cheap enough for every call."""
    now = timezone.now()
    if key.last_used_at is None or (now - key.last_used_at).total_seconds() > 60:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
