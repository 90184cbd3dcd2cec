"""Work that failed: which row of which queue, how often, with which error, and whether it was set aside."""

from datetime import datetime

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Cast
from django.db.models.lookups import IsNull

from audience.database import clock
from audience.models.keys import Game


class Queue(models.TextChoices):
    """The queues whose rows are tried alone. Of requests to digest a Batch has a state of its own, where one can be
    written on it."""

    BATCH = "batch", "Requests that cannot be updated"
    FAN_OUT = "fan_out", "Fan-out of conversions"
    SENDING = "sending", "Sending of postbacks"
    CLOSING = "closing", "Recording of answers"
    CHECK = "check", "Credential checks"
    UPKEEP = "upkeep", "Upkeep of postbacks"
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
        """Tried often enough: left alone until a person has it tried again."""
        return self.exclude(set_aside_at=None)

    def due(self, now: datetime | None = None) -> "FailedWorkQuerySet":
        """To be tried again, alone, the longest waiting first."""
        return self.filter(set_aside_at=None, next_attempt_at__lte=now or clock.now()).order_by("next_attempt_at", "pk")

    def try_again(self) -> int:
        """Have these tried again at once, with all their attempts; how many."""
        return self.update(attempts=0, next_attempt_at=clock.now(), set_aside_at=None)

    def not_due(self, queue: Queue, now: datetime | None = None) -> "FailedWorkQuerySet":
        """Rows of a queue that may not be tried now: their time has not come, or they were set aside."""
        return self.of(queue).filter(~Q(set_aside_at=None) | Q(next_attempt_at__gt=now or clock.now()))


class FailedWork(models.Model):
    """A row that failed when it was tried alone. A success removes it again, so that the table is normally empty.

    While it is here, its row is left out whenever rows of its queue are processed together
    (audience/background/isolation.py).
    """

    game = models.ForeignKey(
        Game,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="failed_work",
        db_index=False,
        help_text="None for a step that concerns every game.",
    )
    queue = models.CharField(max_length=16, choices=Queue.choices)
    row = models.CharField(max_length=200, help_text="The primary key of the row, or the name of the step.")
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.TextField(blank=True, help_text="What the last attempt failed with; it quotes no data.")
    # What a further attempt needs and no other row holds, such as the verdict of an answer. Nothing of a player.
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
    """A condition that leaves out what failed, for a query over a queue's table, which has a `game`.

    What failed is tried on its own, so that it fails no other row again.
    """
    # One look into the unique index for each row that is read, however much has failed: from 200,000 rows on PostgreSQL
    # no longer hashes a list of them, and reads it through for each row. As a join it would change the plan of a query
    # that is made for an index.
    same = FailedWork.objects.of(queue).filter(game=OuterRef("game"), row=Cast(OuterRef("pk"), models.CharField()))
    return Q(IsNull(Subquery(same.values("pk")[:1]), True))
