"""Sends due messages: each is claimed, sent without an open transaction, and closed with the outcome.

If a worker dies in between, a message may be sent twice, with the same Message-ID or webhook id, but is never lost.
Messages that cannot be claimed or closed are isolated. A message is not sent again if its outcome cannot be stored.
"""

import time
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from audience.models.failed_work import not_failed
from postbacks.models import Notice, NoticeKind, NoticeState
from postbacks.monitoring.alerts import hook_calls, hook_payloads, hooks, mail
from postbacks.monitoring.alerts.hook_calls import HookResult
from postbacks.monitoring.alerts.recipients import NoReceiver, SendingFailed

logger = structlog.get_logger(__name__)

# Seconds after the 1st, 2nd, ... attempt: 8 attempts over 21 hours.
SCHEDULE = (
    60,  # a deploy, a greylisting mail server
    5 * 60,
    15 * 60,
    60 * 60,  # an outage that is being repaired
    2 * 60 * 60,
    6 * 60 * 60,
    12 * 60 * 60,  # an outage overnight
)
# Longer than a mail server (10 s to connect and for each answer) or a webhook (10 s in all) may take.
LEASE = timedelta(minutes=2)
# Per run.
MAX_NOTICES = 500
MAX_SECONDS = 30.0
OUTCOME_NOT_STORED = "The result of this attempt could not be stored at first."


def deliver_notices() -> int:
    """Send due messages until there are none or a limit is reached; return the number of attempts.

    Messages that another transaction has locked are skipped until the next run.
    """
    deadline, tried = time.monotonic() + MAX_SECONDS, 0
    locked: list[UUID] = []
    # Those with a `hook` are retried by hook_sending.
    failed = FailedWork.objects.of(Queue.NOTICE).exclude(kept__has_key="hook").due()
    isolation.retry(Queue.NOTICE, _retry, rows=failed[: isolation.MAX_RETRIES_PER_SWEEP])
    due = _due().filter(not_failed(Queue.NOTICE)).order_by("next_attempt_at", "pk").only("pk", "game")
    while tried < MAX_NOTICES and time.monotonic() < deadline and (row := due.exclude(pk__in=locked).first()):
        key = isolation.FailureKey(str(row.pk), row.game_id)
        for notice in isolation.process_alone(Queue.NOTICE, key, partial(claim, row.pk)):
            if notice is None:
                locked.append(row.pk)
            else:
                send(notice)
        tried += 1
    return tried - len(locked)


def _retry(failure: FailedWork) -> None:
    """Store the outcome of a message that was sent, or send the message alone."""
    if failure.kept:
        row = Notice.objects.filter(pk=failure.row, attempts_made=failure.kept["attempt"]).first()
        if row is not None:
            _store_outcome(row, failure.kept["how"], OUTCOME_NOT_STORED)
        return
    notice = claim(UUID(failure.row))
    if notice is not None:
        FailedWork.objects.filter(pk=failure.pk).delete()  # from now on the attempt is recorded
        send(notice)


@transaction.atomic
def claim(pk: UUID) -> Notice | None:
    """Lease a message, count the attempt and return it; None if it is not due or another worker has it."""
    due = _due().filter(pk=pk).select_related("game", "alert__config", "user", "hook", "key__game")
    notice = due.select_for_update(skip_locked=True, of=("self",)).first()
    if notice is not None:
        notice.attempts_made += 1
        notice.leased_until = clock.now() + LEASE
        notice.save(update_fields=["attempts_made", "leased_until"])
    return notice


def _due() -> QuerySet[Notice]:
    now = clock.now()
    same_receiver = Q(user=OuterRef("user")) | Q(hook=OuterRef("hook"))
    waiting_opened = Notice.objects.filter(alert=OuterRef("alert"), kind=NoticeKind.OPENED, state=NoticeState.WAITING)
    due = Notice.objects.filter(state=NoticeState.WAITING, next_attempt_at__lte=now)
    unclaimed = due.filter(Q(leased_until=None) | Q(leased_until__lt=now))
    # The end of an alert is not sent before its beginning.
    return unclaimed.exclude(Q(kind=NoticeKind.RECOVERED) & Exists(waiting_opened.filter(same_receiver)))


def send(notice: Notice) -> None:
    """Send a claimed message once and store the outcome; a failure that a retry may solve is scheduled again."""
    outcome, message = _attempt(notice)
    key = isolation.FailureKey(str(notice.pk), notice.game_id, {"how": outcome, "attempt": notice.attempts_made})
    isolation.process_alone(Queue.NOTICE, key, partial(_store_outcome, notice, outcome, message))


def _attempt(notice: Notice) -> tuple[str, str]:
    """Return the outcome, "sent", "logged", "failed" (permanently) or "later" (to be retried), and its message."""
    try:
        if notice.hook_id:
            return _call_hook(notice)
        answer = mail.send(notice)
        return "logged" if answer == mail.ONLY_LOGGED else "sent", answer
    except NoReceiver as error:
        return "failed", str(error)
    except SendingFailed as failure:
        return "later", str(failure)
    except Exception as error:  # so that an unexpected error counts as an attempt
        logger.exception("notice_not_sent", notice_id=str(notice.pk))
        return "later", f"Afterclick failed while sending this ({type(error).__name__})."


def _call_hook(notice: Notice) -> tuple[str, str]:
    """Call the webhook; return the outcome and its message."""
    hook, event = notice.hook, hook_payloads.event(notice)
    if hook is None or not hook.enabled:
        return "failed", "The webhook is disabled."
    if notice.alert is not None and event not in hook.events:
        return "failed", "The webhook is no longer subscribed to this event."
    answer = hook_calls.call(hook, message_id=str(notice.pk), event=event, body=hook_payloads.payload(notice))
    if answer.result == HookResult.GONE:
        hooks.disable_gone(hook=hook)
        return "failed", answer.message
    if answer.result == HookResult.FAILED:
        return "later", answer.message
    return "sent", answer.quoted or answer.message


def _store_outcome(notice: Notice, outcome: str, message: str) -> None:
    if outcome == "later":
        _schedule_retry(notice, message)
    else:
        _close(notice, NoticeState(outcome), message)


def _schedule_retry(notice: Notice, message: str) -> None:
    if notice.kind == NoticeKind.TEST or notice.attempts_made > len(SCHEDULE):
        _close(notice, NoticeState.FAILED, message)
        return
    attempt = notice.attempts_made
    next_at = clock.now() + timedelta(seconds=SCHEDULE[attempt - 1])
    _unchanged(notice).update(message=message, next_attempt_at=next_at, leased_until=None)
    logger.warning("notice_retried", notice_id=str(notice.pk), attempt=attempt, next_at=next_at.isoformat())


def _close(notice: Notice, state: NoticeState, message: str) -> None:
    _unchanged(notice).update(state=state, message=message, leased_until=None, finished_at=clock.now())
    logger.info("notice_closed", notice_id=str(notice.pk), kind=notice.kind, state=state.value)


def _unchanged(notice: Notice) -> QuerySet[Notice]:
    """Return a query for the row, empty if its lease expired and another worker has claimed it."""
    return Notice.objects.filter(pk=notice.pk, state=NoticeState.WAITING, attempts_made=notice.attempts_made)
