"""FailedWork: a row of a queue that failed, with its attempts, its last error, and whether it is set aside."""

from datetime import datetime

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull

from audience.database import clock
from audience.models.games import Game


class Queue(models.TextChoices):
    """The kinds of work whose failing rows are retried alone (not the queues of Celery). Batches keep their own state;
    BATCH is for batches whose row cannot be updated."""

    BATCH = "batch", "Requests that cannot be updated"
    FAN_OUT = "fan_out", "Fan-out of conversions"
    SENDING = "sending", "Sending of postbacks"
    CLOSING = "closing", "Recording of answers"
    CONFIRMATION = "confirmation", "Confirmations of deliveries"
    CHECK = "check", "Credential checks"
    UPKEEP = "upkeep", "Maintenance of postbacks"
    ALERT = "alert", "Alerts"
    NOTICE = "notice", "Alert messages"
    ALERT_DIGEST = "alert_digest", "Daily digests"
    REPLAY = "replay", "Replays"
    ERASURE = "erasure", "Erasures"
    ROLLUP = "rollup", "Counts for charts"
    PRUNE = "prune", "Pruning"
    PARTITION = "partition", "Partitions"


class FailedWorkQuerySet(models.QuerySet["FailedWork"]):
    def of(self, queue: Queue) -> "FailedWorkQuerySet":
        return self.filter(queue=queue)

    def set_aside(self) -> "FailedWorkQuerySet":
        """Work that failed too often and is retried only on request."""
        return self.exclude(set_aside_at=None)

    def due(self, now: datetime | None = None) -> "FailedWorkQuerySet":
        """Work that may be retried at `now`, by default the present time; the longest waiting first."""
        return self.filter(set_aside_at=None, next_attempt_at__lte=now or clock.now()).order_by("next_attempt_at", "pk")

    def make_due(self) -> int:
        """Make this work due at once and reset its attempts; return the number of rows."""
        return self.update(attempts=0, next_attempt_at=clock.now(), set_aside_at=None)

    def not_due(self, queue: Queue, now: datetime | None = None) -> "FailedWorkQuerySet":
        """Work of a queue that may not be retried at `now`: not yet due, or set aside."""
        return self.of(queue).filter(~Q(set_aside_at=None) | Q(next_attempt_at__gt=now or clock.now()))


class FailedWork(models.Model):
    """A row of a queue that failed when it was processed alone. Deleted on success, so the table is normally empty.

    While it exists, its row is excluded when rows of the queue are processed together
    (audience/background/isolation.py).
    """

    game = models.ForeignKey(
        Game,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="failed_work",
        db_index=False,
        help_text="Empty for a step that concerns every game.",
    )
    queue = models.CharField(max_length=16, choices=Queue.choices)
    row = models.CharField(max_length=200, help_text="The primary key of the row, or the name of the step.")
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True, help_text="The error of the last attempt, without data.")
    # Data for the next attempt that is in no other row, such as the verdict of an answer. No data of a player.
    kept = models.JSONField(default=dict, blank=True, editable=False)
    first_failed_at = models.DateTimeField(default=clock.now)
    next_attempt_at = models.DateTimeField(default=clock.now)
    set_aside_at = models.DateTimeField(null=True, blank=True)

    objects = FailedWorkQuerySet.as_manager()

    class Meta:
        verbose_name = "failed work"
        verbose_name_plural = "failed work"
        constraints = [
            models.UniqueConstraint(
                fields=["game", "queue", "row"], nulls_distinct=False, name="one_failure_per_row_of_a_queue"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_queue_display()}: {self.row}"


def not_failed(queue: Queue) -> Q:
    """Return a condition that excludes failed rows from a query over the table of a queue, which has a `game`."""
    # One lookup in the unique index per row. Above some 200,000 failed rows PostgreSQL no longer hashes a NOT IN list
    # and scans it for each row instead; a join would change the plans of queries that rely on an index.
    failed = FailedWork.objects.of(queue).filter(game=OuterRef("game"), row=Cast(OuterRef("pk"), models.CharField()))
    return Q(IsNull(Subquery(failed.values("pk")[:1]), True))
