"""The deliveries of a replay: selects and queues them, and ends the replay."""

import uuid
from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet

from audience.database import clock
from audience.models import Queue
from audience.models.failed_work import not_failed
from postbacks.delivery import failed_deliveries
from postbacks.models import Delivery, DeliveryState, PostbackConfig, Replay, ReplayState

logger = structlog.get_logger(__name__)


def unqueued(replay: Replay, config: PostbackConfig) -> QuerySet[Delivery]:
    """Return the failed deliveries of the replay's filter that it has not queued: it queues each once."""
    failed = failed_deliveries.matching(
        config, failed_from=replay.failed_from, failed_until=replay.failed_until, verdict=replay.verdict
    )
    return failed.exclude(replay=replay)


def sendable(replay: Replay, config: PostbackConfig) -> QuerySet[Delivery]:
    sendable = unqueued(replay, config).filter(
        failed_deliveries.in_time(clock.now()), trigger__in=failed_deliveries.events_of(config)
    )
    return sendable.filter(not_failed(Queue.REPLAY))


@transaction.atomic
def requeue(rows: QuerySet[Delivery], **changes: Any) -> int:
    """Queue failed deliveries; return how many. Does not change the verdict, since a canceled replay needs it."""
    return rows.update(
        state=DeliveryState.WAITING,
        reason="",
        attempts_counted=0,
        next_attempt_at=clock.now(),
        leased_until=None,
        finished_at=None,
        **changes,
    )


def finish(replay: Replay, state: ReplayState, config: PostbackConfig | None = None) -> None:
    replay.state, replay.finished_at = state, clock.now()
    if config:
        replay.past_deadline = unqueued(replay, config).exclude(failed_deliveries.in_time(clock.now())).count()
    replay.save(update_fields=["state", "finished_at", "past_deadline"])
    logger.info("replay_closed", replay_id=str(replay.pk), state=str(state))


def lock_config(pk: uuid.UUID) -> PostbackConfig:
    """Return the config, locked against a change or a hold, but not against new deliveries of it."""
    return PostbackConfig.objects.defer("credential", "previous_credential").select_for_update(no_key=True).get(pk=pk)
