"""Sends failed deliveries again, one or all that match a filter, with the same event id.

A replay queues its deliveries a few at a time, so that it can be canceled; the limiter sets the pace. Its progress is
the state of its deliveries, so it may be advanced twice or interrupted. A delivery or a replay that fails stops no
other (audience/background/isolation.py).
"""

import uuid
from datetime import datetime
from typing import Any

import structlog
from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from audience.accounts import audit_log
from audience.background import isolation
from audience.background.wakeup import wake
from audience.database import clock
from audience.models import FailedWork, Queue
from postbacks.configs.sending_state import Block, block_of
from postbacks.delivery import failed_deliveries, replay_rows
from postbacks.delivery.failed_deliveries import FailureCounts
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState, PostbackConfig, Replay, ReplayState
from postbacks.outbox.fan_out import DELIVER_TASK

logger = structlog.get_logger(__name__)

REPLAY_TASK = "postbacks.tasks.replay"
BATCH = 500
MAX_BACKLOG = 1000  # deliveries of one replay that wait to be sent at a time
OPEN = (DeliveryState.WAITING, DeliveryState.HELD)


class NotSendable(Exception):
    """Why a delivery cannot be sent again, as a sentence for the user."""


class ReplayRefused(Exception):
    """Why a replay cannot begin, as a sentence for the user."""


@transaction.atomic
def start(
    *,
    config: PostbackConfig,
    failed_from: datetime | None,
    failed_until: datetime | None,
    verdict: str,
    requested_by: Any,
) -> Replay:
    """Start to send again what failed in this period (None: no limit) with this verdict ('': any).

    Later failures are not included. Raises ReplayRefused if the config cannot send, has a running replay, or
    has no failed delivery that can still be sent.
    """
    row = replay_rows.lock_config(config.pk)
    if problem := block_of(row):
        raise ReplayRefused(problem)
    if Replay.objects.filter(config=row, state=ReplayState.RUNNING).exists():
        raise ReplayRefused("A replay of this postback is running. Wait until it is done, or cancel it.")
    now = clock.now()
    until = min(failed_until, now) if failed_until else now
    counts = failed_deliveries.preview(row, failed_from=failed_from, failed_until=until, verdict=verdict)
    if not counts.sendable:
        raise ReplayRefused(_nothing_sendable(counts))
    replay = Replay.objects.create(
        game_id=row.game_id,
        config=row,
        failed_from=failed_from,
        failed_until=until,
        verdict=verdict,
        total=counts.sendable + counts.past_deadline,
        past_deadline=counts.past_deadline,
        requested_by=requested_by,
    )
    wake(REPLAY_TASK)
    logger.info("replay_started", replay_id=str(replay.pk), config_id=str(row.pk), total=replay.total)
    return replay


def _nothing_sendable(counts: FailureCounts) -> str:
    if not counts.total:
        return "No failed deliveries match. Choose a longer period or another kind of failure."
    if counts.disabled:
        return (
            f"None of the {counts.total} can be sent: their deadline has passed, or the postback is disabled for "
            "their event."
        )
    return f"None of the {counts.total} can be sent, because their deadlines have passed."


def advance(*, limit: int = BATCH) -> bool:
    """Queue up to `limit` deliveries of every running replay, and close the replays that are done.

    Returns whether any replay can continue at once. Safe to run concurrently: each replay is locked.
    """
    rows = FailedWork.objects.of(Queue.REPLAY).filter(kept__has_key="replay").due()
    isolation.retry(Queue.REPLAY, _queue_again, rows=rows[: isolation.MAX_RETRIES_PER_SWEEP])
    running = Replay.objects.filter(state=ReplayState.RUNNING).order_by("created_at").values_list("pk", "game_id")
    can_continue = isolation.process_each(
        Queue.REPLAY,
        list(running),
        lambda row: _advance(row[0], limit),
        failure_key=lambda row: isolation.FailureKey(str(row[0]), row[1]),
    )
    return any(list(can_continue))


@transaction.atomic
def _advance(pk: uuid.UUID, limit: int) -> bool:
    rows = Replay.objects.select_for_update(skip_locked=True)
    replay = rows.filter(pk=pk, state=ReplayState.RUNNING).first()
    if replay is None:
        return False
    # Locked, so that a hold at this moment misses none of the deliveries queued here.
    config = replay_rows.lock_config(replay.config_id)
    if config.deleted_at:
        replay_rows.finish(replay, ReplayState.CANCELLED)
        return False
    waiting = Delivery.objects.filter(replay=replay, state__in=OPEN).count()
    count = 0 if block_of(config) else max(min(limit, MAX_BACKLOG - waiting), 0)
    queued = _queue(replay, config, count) if count else 0
    if not queued and not waiting and not replay_rows.sendable(replay, config).exists():
        replay_rows.finish(replay, ReplayState.DONE, config)
    return bool(queued) and queued == limit


def _queue(replay: Replay, config: PostbackConfig, limit: int) -> int:
    rows = replay_rows.sendable(replay, config).order_by("finished_at").select_for_update(skip_locked=True)
    ids = list(rows.values_list("pk", flat=True)[:limit])
    if not ids:
        return 0
    queued = isolation.process_together(
        Queue.REPLAY,
        ids,
        lambda part: replay_rows.requeue(Delivery.objects.filter(pk__in=part), replay=replay),
        failure_key=lambda pk: isolation.FailureKey(str(pk), replay.game_id, {"replay": str(replay.pk)}),
    )
    Replay.objects.filter(pk=replay.pk).update(queued=F("queued") + sum(queued))
    wake(DELIVER_TASK, config.network)
    logger.info("replay_advanced", replay_id=str(replay.pk), queued=sum(queued))
    return len(ids)


@transaction.atomic
def _queue_again(failure: FailedWork) -> None:
    """Queue a delivery that could not be queued before, unless its replay is over."""
    replay = Replay.objects.select_for_update().filter(pk=failure.kept["replay"], state=ReplayState.RUNNING).first()
    if replay is not None:
        config = replay_rows.lock_config(replay.config_id)
        rows = replay_rows.unqueued(replay, config).filter(pk=failure.row)
        Replay.objects.filter(pk=replay.pk).update(queued=F("queued") + replay_rows.requeue(rows, replay=replay))
        wake(DELIVER_TASK, config.network)


@transaction.atomic
def cancel(*, replay: Replay) -> int:
    """Stop a replay: its waiting deliveries that are not leased fail again. Returns how many; 0 if it was over."""
    row = Replay.objects.select_for_update().get(pk=replay.pk)
    if row.state != ReplayState.RUNNING:
        return 0
    unleased = Q(leased_until=None) | Q(leased_until__lt=clock.now())
    waiting = Delivery.objects.filter(unleased, replay=row, state__in=OPEN)
    ids = list(waiting.select_for_update(skip_locked=True).order_by("pk").values_list("pk", flat=True))
    DeliveryAttempt.objects.filter(delivery__in=ids).close_abandoned()
    last_attempt = DeliveryAttempt.objects.filter(delivery=OuterRef("pk")).order_by("-number")
    Delivery.objects.filter(pk__in=ids).update(
        state=DeliveryState.FAILED,
        replay=None,
        next_attempt_at=None,
        leased_until=None,
        finished_at=Coalesce(Subquery(last_attempt.values("finished_at")[:1]), clock.now()),
    )
    row.queued = max(row.queued - len(ids), 0)
    row.save(update_fields=["queued"])
    replay_rows.finish(row, ReplayState.CANCELLED)
    return len(ids)


@transaction.atomic
def send_again(delivery: Delivery) -> None:
    """Queue one failed delivery, with the same event id. Raises NotSendable with the reason."""
    config = replay_rows.lock_config(delivery.config_id)
    row = Delivery.objects.select_for_update().get(pk=delivery.pk)
    row.config = config
    if problem := refusal(row):
        raise NotSendable(problem)
    replay_rows.requeue(Delivery.objects.filter(pk=row.pk))
    changes = {"delivery": (str(row.pk), "sent again")}
    audit_log.record(game=row.game, subject=config, action=LogEntry.Action.UPDATE, changes=changes)
    wake(DELIVER_TASK, row.network)
    logger.info("delivery_requeued", delivery_id=str(row.pk))


def refusal(row: Delivery) -> str:
    """Return why a delivery cannot be sent again, as a sentence; '' if it can. Reads `config`."""
    now = clock.now()
    if row.state != DeliveryState.FAILED:
        return f"Only a failed delivery can be sent again; this one is {row.get_state_display().lower()}."
    if row.is_unmatched:
        return "The network does not know this click and would refuse the event again."
    if row.conversion_id is None:
        return "The player's data was erased."
    block = block_of(row.config)
    if row.trigger not in failed_deliveries.events_of(row.config) or block in (Block.DELETED, Block.DISABLED):
        return "The postback is disabled for this event, or was deleted."
    if block in (Block.ON_HOLD, Block.HELD_BY_USER):
        return block
    if row.safe_until and row.safe_until <= now:
        return "The first attempt was more than 47 hours ago, so the network would count the event twice."
    return "The event is too old for the network to accept." if row.dead_after <= now else ""
