"""Retrying work that was set aside, from the admin, the Overview or the command line."""

import structlog
from auditlog.models import LogEntry
from django.db import transaction

from audience.accounts import audit_log
from audience.background import wakeup
from audience.database import clock
from audience.models import Batch, BatchState, FailedWork, Game, Queue
from audience.models.events import BatchQuerySet
from audience.models.failed_work import FailedWorkQuerySet

logger = structlog.get_logger(__name__)

# The tasks of the beat that process each queue (config/task_settings.py).
TASKS: dict[str, tuple[str, ...]] = {
    Queue.BATCH: (wakeup.DIGEST,),
    Queue.FAN_OUT: ("postbacks.tasks.fan_out",),
    Queue.SENDING: ("postbacks.tasks.deliver",),
    Queue.CLOSING: ("postbacks.tasks.deliver",),
    Queue.CONFIRMATION: ("postbacks.tasks.confirm",),
    Queue.CHECK: ("postbacks.tasks.sweep_checks",),
    Queue.UPKEEP: ("postbacks.tasks.sweep_checks",),
    Queue.ALERT: ("postbacks.tasks.alerts",),
    Queue.NOTICE: ("postbacks.tasks.notices", "postbacks.tasks.hook_messages"),
    Queue.ALERT_DIGEST: ("postbacks.tasks.digests",),
    Queue.REPLAY: ("postbacks.tasks.replay",),
    Queue.ERASURE: ("audience.tasks.erase",),
    Queue.ROLLUP: ("audience.tasks.roll_up", "audience.tasks.count_events", "postbacks.tasks.roll_up"),
    Queue.PRUNE: ("audience.tasks.prune", "postbacks.tasks.prune"),
    Queue.PARTITION: ("audience.tasks.make_partitions",),
}


@transaction.atomic
def retry_set_aside(work: FailedWorkQuerySet) -> int:
    """Make this work due at once and reset its attempts; return the number of rows."""
    rows = list(work.order_by("pk").select_for_update(of=("self",)).values_list("pk", "game", "queue"))
    FailedWork.objects.filter(pk__in=[pk for pk, _, _ in rows]).make_due()
    for task in sorted({task for _, _, queue in rows for task in TASKS[queue]}):
        wakeup.wake(task)
    _record("set-aside work", [game for _, game, _ in rows])
    if rows:
        logger.info("set_aside_retried", rows=len(rows), queues=sorted({queue for _, _, queue in rows}))
    return len(rows)


@transaction.atomic
def retry_failed_batches(batches: BatchQuerySet) -> int:
    """Make the failed batches of a query pending again and reset their attempts; return their number."""
    failed = batches.filter(state=BatchState.FAILED).order_by("pk").select_for_update(of=("self",))
    rows = list(failed.values_list("pk", "game"))
    Batch.objects.filter(pk__in=[pk for pk, _ in rows]).update(
        state=BatchState.PENDING, attempts=0, next_attempt_at=clock.now()
    )
    if rows:
        wakeup.wake(wakeup.DIGEST)
        logger.info("batches_retried", batches=len(rows))
    _record("requests set aside", [game for _, game in rows])
    return len(rows)


def _record(field: str, game_ids: list[int | None]) -> None:
    """Add an entry to the audit log of each game: `field` with the number of the game's rows that are retried."""
    for game in Game.objects.filter(pk__in={pk for pk in game_ids if pk}):
        changes = {field: (str(game_ids.count(game.pk)), "tried again")}
        audit_log.record(game=game, subject=game, action=LogEntry.Action.UPDATE, changes=changes)
