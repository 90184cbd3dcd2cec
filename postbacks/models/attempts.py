"""The delivery log, a DeliveryAttempt per call to a network, and its counts."""

from datetime import timedelta

from django.db import models
from django.db.models import Q, Value

from audience.database import clock
from audience.wording import dates
from postbacks.models.configs import PostbackConfig
from postbacks.models.deliveries import Delivery, DeliveryState


class AttemptStatus(models.TextChoices):
    SENDING = "sending", "Sending"
    SUCCESS = "success", "Success"
    FAILED = "failed", "Failed"
    RETRIED = "retried", "Retried"


DOTS = {
    AttemptStatus.SENDING: "busy",
    AttemptStatus.SUCCESS: "good",
    AttemptStatus.FAILED: "bad",
    AttemptStatus.RETRIED: "warn",
}


# The message of an attempt whose worker was killed.
STOPPED = "The worker stopped before the answer arrived."
STOPPED_AND_SENT_AGAIN = "The worker stopped before the answer arrived. Sent again with the same event ID."
# Longer than any lease (postbacks/delivery/leases.py), so that no worker still has the attempt.
ABANDONED_AFTER = timedelta(minutes=2)


class AttemptQuerySet(models.QuerySet["DeliveryAttempt"]):
    def close_abandoned(self, *, sent_again: bool = False) -> int:
        """Close attempts that a killed worker left open; return their number. To be called only for expired leases.

        Whether the request was sent is unknown, so each delivery is marked as possibly arrived.
        """
        still_open = self.filter(status=AttemptStatus.SENDING)
        ids = list(still_open.values_list("delivery", flat=True))
        Delivery.objects.filter(pk__in=ids).exclude(state=DeliveryState.DELIVERED).update(may_have_arrived=True)
        status, message = (
            (AttemptStatus.RETRIED, STOPPED_AND_SENT_AGAIN) if sent_again else (AttemptStatus.FAILED, STOPPED)
        )
        return still_open.update(status=status, finished_at=clock.now(), message=message)

    def of_finished_deliveries(self) -> "AttemptQuerySet":
        """Abandoned attempts of deliveries that an erasure canceled meanwhile, which claims do not read."""
        abandoned = self.filter(finished_at=None, started_at__lt=clock.now() - ABANDONED_AFTER)
        return abandoned.exclude(delivery__state__in=(DeliveryState.WAITING, DeliveryState.HELD))


class DeliveryAttempt(models.Model):
    """One call to the network, stored before it and closed after it. The rows are the delivery log.

    Their foreign keys have no database constraint: the check would lock the delivery and config again, row by row.
    """

    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="attempts", db_index=False, db_constraint=False
    )
    config = models.ForeignKey(
        PostbackConfig, on_delete=models.CASCADE, related_name="attempts", db_index=False, db_constraint=False
    )
    number = models.PositiveSmallIntegerField()
    config_version = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=8, choices=AttemptStatus.choices, default=AttemptStatus.SENDING)
    # postbacks.networks.interface.call.Verdict, blank while sending.
    verdict = models.CharField(max_length=12, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    provider_code = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True)
    request_id = models.CharField(max_length=512, blank=True)
    # The JSON body as it was sent (it never holds the credential); None when nothing was, or the player was erased.
    payload = models.JSONField(null=True, blank=True)
    # The match keys that the event stated in a form that was not sent (MatchKey.name).
    unusable = models.JSONField(default=list, blank=True, db_default=Value([], models.JSONField()))

    objects = AttemptQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempts_are_numbered")]
        indexes = [
            # The delivery log and the health of a config: its newest attempts.
            models.Index(fields=["config", "-started_at"], name="attempt_newest"),
            # The log filtered by status, the hourly chart, and the time of the last success.
            models.Index(fields=["config", "status", "-started_at"], name="attempt_by_status"),
            # Attempts whose worker died during the call.
            models.Index(fields=["config", "started_at"], condition=Q(finished_at=None), name="attempt_open"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}: {self.status}"

    @property
    def dot(self) -> str:
        """The CSS class of the status dot."""
        return DOTS[AttemptStatus(self.status)]


class AttemptCount(models.Model):
    """Finished attempts by minute of their start, status, and latency: `bucket` is an index into BOUNDS of
    postbacks/reporting/latency.py, -1 without an answer.
    """

    pk = models.CompositePrimaryKey("config_id", "starts_at", "status", "bucket")
    config_id = models.UUIDField()
    starts_at = models.DateTimeField()
    status = models.CharField(max_length=8)
    bucket = models.SmallIntegerField()
    number = models.IntegerField()

    class Meta:
        managed = False
        db_table = "postbacks_attemptcount"

    def __str__(self) -> str:
        return f"{self.number} {self.status} from {dates.moment(self.starts_at)}"
