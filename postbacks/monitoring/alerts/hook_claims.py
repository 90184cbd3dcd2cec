"""Claims due messages to webhooks for this worker: at the rate of each webhook, and one at a time while it fails.

A claim is one transaction for one webhook, whose row it locks. A message that cannot be claimed stops no other
(audience/background/isolation.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from audience.models.failed_work import not_failed
from postbacks.models import AlertHook, HookMessage, MessageState
from postbacks.monitoring.alerts.hook_calls import TIMEOUT_SECONDS

logger = structlog.get_logger(__name__)

MAX_PER_SECOND = 20  # calls of one webhook, over all workers
# Longer than a call may take, with time to store its result.
LEASE = timedelta(minutes=2)
# No second call starts while the one is made that checks whether a failing webhook works again.
PROBE = timedelta(seconds=TIMEOUT_SECONDS + 5)
MAX_RETRIES_PER_SWEEP = 100  # failed messages that are claimed alone, before the others


def ready_hooks(*, within: timedelta = timedelta(0)) -> list[int]:
    """Return the ids of the enabled webhooks with due messages that may be called within this time."""
    now = clock.now()
    due = _due(now).filter(not_failed(Queue.NOTICE), hook=OuterRef("pk"))
    return list(
        AlertHook.objects.filter(_is_free(now + within), Exists(due), enabled=True).values_list("pk", flat=True)
    )


def claim(*, hook_id: int, limit: int) -> list[HookMessage]:
    """Lease and return up to `limit` due messages to a webhook, with `hook` and `game`; count their attempts."""
    try:
        return _claim(hook_id, limit)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        logger.warning("hook_claim_failed", hook_id=hook_id, error=type(error).__name__)
    rows = _due(clock.now()).filter(not_failed(Queue.NOTICE), hook=hook_id).order_by("next_attempt_at")
    claimed = isolation.process_together(
        Queue.NOTICE,
        list(rows.values_list("pk", "game_id")[:limit]),
        lambda part: _claim(hook_id, len(part), only=[pk for pk, _ in part]),
        failure_key=lambda row: isolation.FailureKey(str(row[0]), row[1], {"hook": hook_id}),
    )
    return [message for messages in claimed for message in messages]


def retry_claim(failure: FailedWork) -> list[HookMessage]:
    """Claim a message whose claim failed before; none if it is gone. Raises RetryLater if it cannot be claimed now."""
    claimed = _claim(failure.kept["hook"], 1, only=[UUID(failure.row)])
    waiting = HookMessage.objects.filter(hook=failure.kept["hook"], pk=failure.row, state=MessageState.WAITING)
    if not claimed and waiting.exists():
        raise isolation.RetryLater
    return claimed


@transaction.atomic
def _claim(hook_id: int, limit: int, *, only: Sequence[UUID] = ()) -> list[HookMessage]:
    hooks = AlertHook.objects.select_for_update(no_key=True, skip_locked=True, of=("self",)).select_related("game")
    now = clock.now()
    hook = hooks.filter(_is_free(now), pk=hook_id, enabled=True).first()
    if hook is None:
        return []
    due = _due(now).filter(game=hook.game_id, hook=hook)
    due = due.filter(pk__in=only) if only else due.filter(not_failed(Queue.NOTICE))
    locked = due.select_for_update(skip_locked=True, of=("self",)).order_by("next_attempt_at")
    messages = list(locked[: 1 if hook.failures else limit])
    for message in messages:
        message.hook, message.game, message.attempts_made = hook, hook.game, message.attempts_made + 1
    leased = HookMessage.objects.filter(game=hook.game_id, pk__in=[message.pk for message in messages])
    leased.update(leased_until=now + LEASE, attempts_made=F("attempts_made") + 1)
    _pace(hook, len(messages), now)
    return messages


def _pace(hook: AlertHook, calls: int, now: datetime) -> None:
    next_call_at = max(hook.next_call_at or now, now) + timedelta(seconds=calls / MAX_PER_SECOND)
    paused_until = now + PROBE if hook.failures and calls else hook.paused_until
    AlertHook.objects.filter(pk=hook.pk).update(next_call_at=next_call_at, paused_until=paused_until)


def _is_free(now: datetime) -> Q:
    paced = Q(next_call_at=None) | Q(next_call_at__lte=now)
    return paced & (Q(paused_until=None) | Q(paused_until__lte=now))


def _due(now: datetime) -> QuerySet[HookMessage]:
    due = HookMessage.objects.filter(state=MessageState.WAITING, next_attempt_at__lte=now)
    return due.filter(Q(leased_until=None) | Q(leased_until__lt=now))
