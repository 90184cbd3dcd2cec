"""Sending the messages that are due: one claimed at a time, sent with no transaction open, closed by what came of it.

A message may go out twice when a worker dies between the two, never not at all: mail carries the same Message-ID and
a hook the same id each time.
"""

import time
from datetime import timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from audience import clock
from postbacks.alerts import calls, mail
from postbacks.alerts.outcome import Failed, NotSendable
from postbacks.models import Notice, NoticeKind, NoticeState

logger = structlog.get_logger(__name__)

# Seconds after the 1st, 2nd, ... attempt: 8 attempts over 21 hours.
SCHEDULE = (
    60,  # a deploy, a greylisting mail server's first no
    5 * 60,
    15 * 60,
    60 * 60,  # someone is looking at it
    2 * 60 * 60,
    6 * 60 * 60,
    12 * 60 * 60,  # an outage over a night
)
# Longer than a mail server or a hook may take (10 s to connect and again for each answer, 10 s in all).
LEASE = timedelta(minutes=2)


def deliver_notices(*, limit: int = 500, seconds: float = 30.0) -> int:
    """Send what is due, until nothing is, `limit` were tried or the time is up; how many were tried."""
    until, tried = time.monotonic() + seconds, 0
    while tried < limit and time.monotonic() < until:
        notice = claim()
        if notice is None:
            break
        send(notice)
        tried += 1
    return tried


@transaction.atomic
def claim() -> Notice | None:
    """The next due message, leased, its attempt counted; None when nothing is due."""
    now = clock.now()
    same = Q(user=OuterRef("user")) | Q(hook=OuterRef("hook"))
    unopened = Notice.objects.filter(alert=OuterRef("alert"), kind=NoticeKind.OPENED, state=NoticeState.WAITING)
    due = Notice.objects.filter(state=NoticeState.WAITING, next_attempt_at__lte=now)
    free = due.filter(Q(leased_until=None) | Q(leased_until__lt=now))
    # Nobody hears that all is well again before they heard that it was not.
    in_order = free.exclude(Q(kind=NoticeKind.RECOVERED) & Exists(unopened.filter(same)))
    whole = in_order.select_related("game", "alert__config", "user", "hook").order_by("next_attempt_at", "pk")
    notice = whole.select_for_update(skip_locked=True, of=("self",)).first()
    if notice is not None:
        notice.attempts_made += 1
        notice.leased_until = now + LEASE
        notice.save(update_fields=["attempts_made", "leased_until"])
    return notice


def send(notice: Notice) -> None:
    """One attempt of a claimed message. What goes wrong is written on it and tried again, as long as it may help."""
    try:
        said = calls.send(notice) if notice.hook_id else mail.send(notice)
    except NotSendable as gone:
        _close(notice, NoticeState.FAILED, str(gone))
    except Failed as failure:
        _try_later(notice, str(failure))
    except Exception as error:  # whatever a mail backend or a URL library raises must not be repeated for ever
        logger.exception("notice_crashed", notice_id=str(notice.pk))
        _try_later(notice, f"Afterclick failed while sending this ({type(error).__name__}).")
    else:
        _close(notice, NoticeState.SENT, said)


def _try_later(notice: Notice, message: str) -> None:
    if notice.kind == NoticeKind.TEST or notice.attempts_made > len(SCHEDULE):
        _close(notice, NoticeState.FAILED, message)
        return
    at = clock.now() + timedelta(seconds=SCHEDULE[notice.attempts_made - 1])
    _ours(notice).update(message=message, next_attempt_at=at, leased_until=None)
    logger.warning("notice_retried", notice_id=str(notice.pk), attempt=notice.attempts_made, next_at=at.isoformat())


def _close(notice: Notice, state: NoticeState, message: str) -> None:
    _ours(notice).update(state=state, message=message, leased_until=None, finished_at=clock.now())
    logger.info("notice_closed", notice_id=str(notice.pk), kind=notice.kind, state=state.value)


def _ours(notice: Notice) -> QuerySet[Notice]:
    """The row, unless the lease ran out and another worker has it by now."""
    return Notice.objects.filter(pk=notice.pk, state=NoticeState.WAITING, attempts_made=notice.attempts_made)
