"""Keeps the messages to webhooks bounded and their secrets short-lived, and reports erasures that were set aside.

A message is dropped when it has waited as long as the retry schedule, when its webhook was disabled, or when too many
wait for the webhook; then the oldest are dropped. The Alerts page shows how many were.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from audience.background import isolation
from audience.database import clock
from audience.models import Erasure, FailedWork, Queue
from postbacks.models import AlertHook, HookEvent, HookMessage, MessageState
from postbacks.monitoring.alerts import hook_results, hook_secrets, hooks
from postbacks.monitoring.alerts.notices import SCHEDULE
from postbacks.outbox import hook_messages

ERASURE_FAILED = HookEvent.ERASURE_FAILED.value
MAX_WAITING = 50_000  # messages to one webhook
MAX_AGE = timedelta(seconds=sum(SCHEDULE))
TOO_OLD = "It was not received within 21 hours."
TOO_MANY = f"More than {MAX_WAITING:,} messages waited for this webhook."
DISABLED = "The webhook was disabled."


def tidy() -> None:
    """Drop messages that are not sent any more, forget secrets that sign no more, and report failed erasures.

    Failing webhooks are isolated.
    """
    now = clock.now()
    has_waiting = Exists(HookMessage.objects.filter(hook=OuterRef("pk"), state=MessageState.WAITING))
    is_affected = Q(has_waiting) | ~Q(previous_secrets="") | Q(events__contains=[ERASURE_FAILED])
    tidied = isolation.process_each(
        Queue.UPKEEP,
        AlertHook.objects.filter(is_affected).order_by("pk"),
        lambda hook: _tidy(hook, now),
        failure_key=lambda hook: isolation.FailureKey(f"webhook {hook.pk}", hook.game_id),
    )
    list(tidied)


def _tidy(hook: AlertHook, now: datetime) -> None:
    waiting = hooks.waiting_messages(hook)
    if not hook.enabled:
        _drop(hook, waiting, DISABLED, now)
    _drop(hook, waiting.filter(created_at__lt=now - MAX_AGE), TOO_OLD, now)
    excess = waiting.order_by("-created_at").values("pk")[MAX_WAITING:]
    _drop(hook, waiting.filter(pk__in=excess), TOO_MANY, now)
    _forget_secrets(hook, now)
    if hook.enabled and ERASURE_FAILED in hook.events:
        report_failed_erasures(game_id=hook.game_id)


@transaction.atomic
def _drop(hook: AlertHook, messages: QuerySet[HookMessage], why: str, now: datetime) -> None:
    unleased = messages.filter(Q(leased_until=None) | Q(leased_until__lt=now))
    dropped = unleased.update(state=MessageState.DROPPED, result=why, finished_at=now, leased_until=None)
    hook_results.count_dropped(hook_id=hook.pk, number=dropped, now=now)


@transaction.atomic
def _forget_secrets(hook: AlertHook, now: datetime) -> None:
    """Delete the rotated secrets whose overlap is over."""
    if hook.previous_secrets:
        row = AlertHook.objects.select_for_update(no_key=True).get(pk=hook.pk)
        row.previous_secrets = hook_secrets.unexpired(row, now)
        row.save(update_fields=["previous_secrets"])


@transaction.atomic
def report_failed_erasures(*, game_id: int) -> int:
    """Store the messages about erasures of the game that were set aside, once for each time; return their number."""
    failures = FailedWork.objects.of(Queue.ERASURE).set_aside().filter(game=game_id)
    count = 0
    for failure in failures.select_for_update(skip_locked=True, of=("self",)):
        set_aside_at = str(failure.set_aside_at)
        erasure = Erasure.objects.filter(game=game_id, pk=failure.row).first()
        if erasure is not None and failure.kept.get("reported") != set_aside_at:
            count += hook_messages.add_for_erasure(erasure, HookEvent.ERASURE_FAILED)
            failure.kept = {**failure.kept, "reported": set_aside_at}
            failure.save(update_fields=["kept"])
    return count
