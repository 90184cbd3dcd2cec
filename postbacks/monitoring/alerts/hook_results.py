"""Stores the results of calls: the state of each message, and the pause of a webhook that fails.

A result that cannot be stored stops no other, and its message is not sent again until it is stored.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from postbacks.models import AlertHook, HookMessage, MessageState
from postbacks.monitoring.alerts import hooks
from postbacks.monitoring.alerts.hook_calls import HookAnswer, HookResult
from postbacks.monitoring.alerts.notices import OUTCOME_NOT_STORED, SCHEDULE

logger = structlog.get_logger(__name__)

# Seconds until the next call after the 1st, 2nd, ... failure in a row; then always the last.
PAUSES = (1, 5, 15, 60, 300, 900)
MAX_PAUSE_SECONDS = 3600.0  # that a receiver may ask for with Retry-After


@dataclass(frozen=True, slots=True)
class SentMessage:
    message: HookMessage
    answer: HookAnswer


def store(sent: Sequence[SentMessage]) -> None:
    """Store the results of these calls. A 410 disables the webhook."""
    dropped = isolation.process_together(Queue.NOTICE, sent, _store, failure_key=_failure_key)
    counts: dict[int, int] = defaultdict(int)
    for hook_id in (pk for pks in dropped for pk in pks):
        counts[hook_id] += 1
    by_hook: dict[int, list[SentMessage]] = defaultdict(list)
    for one in sent:
        by_hook[one.message.hook_id].append(one)
    for hook_id, results in by_hook.items():
        _update_hook(results, dropped=counts[hook_id])


def store_again(failure: FailedWork) -> None:
    """Store a result that could not be stored before, without its text."""
    kept = failure.kept
    row = HookMessage.objects.filter(hook=kept["hook"], pk=failure.row, attempts_made=kept["attempt"]).first()
    if row is not None:
        _store([SentMessage(row, HookAnswer(HookResult(kept["result"]), OUTCOME_NOT_STORED))])


def _failure_key(sent: SentMessage) -> isolation.FailureKey:
    message = sent.message
    kept = {"hook": message.hook_id, "result": sent.answer.result.value, "attempt": message.attempts_made}
    return isolation.FailureKey(str(message.pk), message.game_id, kept)


@transaction.atomic
def _store(sent: Sequence[SentMessage]) -> list[int]:
    """Store the results of messages that no other worker has claimed meanwhile; return the webhook of each dropped."""
    now, dropped = clock.now(), []
    for one in sent:
        message, result = one.message, one.answer.result
        rows = HookMessage.objects.filter(game=message.game_id, pk=message.pk, attempts_made=message.attempts_made)
        rows = rows.filter(state=MessageState.WAITING)
        is_last = result == HookResult.GONE or message.attempts_made > len(SCHEDULE)
        if result == HookResult.FAILED and not is_last:
            pause = timedelta(seconds=SCHEDULE[message.attempts_made - 1])
            rows.update(result=one.answer.message, next_attempt_at=now + pause, leased_until=None)
            continue
        state = MessageState.SENT if result == HookResult.ACCEPTED else MessageState.DROPPED
        if rows.update(result=one.answer.message, state=state, leased_until=None, finished_at=now):
            dropped += [message.hook_id] if state == MessageState.DROPPED else []
    return dropped


def _update_hook(sent: Sequence[SentMessage], *, dropped: int) -> None:
    """Store what happened last, and pause the webhook if none of these calls was accepted."""
    now, hook, last = clock.now(), sent[-1].message.hook, sent[-1].answer
    if any(one.answer.result == HookResult.GONE for one in sent):
        hooks.disable_gone(hook=hook)
    is_working = any(one.answer.result == HookResult.ACCEPTED for one in sent)
    failures = 0 if is_working else hook.failures + 1
    rows = AlertHook.objects.filter(pk=hook.pk)
    rows.update(
        failures=failures,
        paused_until=None if is_working else _paused_until(failures, last, now),
        last_result=last.message,
        last_result_at=now,
    )
    count_dropped(hook_id=hook.pk, number=dropped, now=now)
    if not is_working:
        logger.warning("hook_failed", hook_id=hook.pk, failures=failures)


def _paused_until(failures: int, last: HookAnswer, now: datetime) -> datetime:
    pause = float(PAUSES[min(failures, len(PAUSES)) - 1])
    return now + timedelta(seconds=max(pause, min(last.retry_after or 0.0, MAX_PAUSE_SECONDS)))


def count_dropped(*, hook_id: int, number: int, now: datetime) -> None:
    """Add to the number of messages that the webhook never received, which its page shows."""
    if number:
        AlertHook.objects.filter(pk=hook_id).update(dropped=F("dropped") + number, dropped_at=now)
        logger.warning("hook_messages_dropped", hook_id=hook_id, messages=number)
