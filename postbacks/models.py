"""What is sent back: a PostbackConfig per pixel, a Delivery per conversion and config, an attempt per call."""

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from audience.models import Conversion, Game, Reason, Trigger
from postbacks.fields import EncryptedJSONField
from postbacks.networks import NETWORKS

if TYPE_CHECKING:
    from postbacks.networks.base import Network


class ConfigQuerySet(models.QuerySet["PostbackConfig"]):
    def kept(self) -> "ConfigQuerySet":
        """Those not deleted; the deleted ones stay for the log's sake, without their credential."""
        return self.filter(deleted_at=None)


class PostbackConfig(models.Model):
    """Where conversions of one game go on one network. It exists only once the network has accepted its credential."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="postback_configs")
    network = models.CharField(max_length=16)
    pixel_id = models.CharField(max_length=64)
    credential = EncryptedJSONField(default=dict, editable=False)
    triggers = ArrayField(models.CharField(max_length=16, choices=Trigger.choices))
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Every change makes one.")
    validated_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ConfigQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["game", "network", "pixel_id"], condition=Q(deleted_at=None), name="one_config_per_pixel"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.label} {self.pixel_id}"

    @property
    def kind(self) -> "Network":
        return NETWORKS[self.network]


class CheckState(models.TextChoices):
    PENDING = "pending", "Asking the network"
    PASSED = "passed", "Accepted"
    REFUSED = "refused", "Refused"
    UNVERIFIED = "unverified", "Could not verify"


class CheckQuerySet(models.QuerySet["CredentialCheck"]):
    def pending(self) -> "CheckQuerySet":
        return self.filter(state=CheckState.PENDING)


class CredentialCheck(models.Model):
    """Proposed settings on their way to the network. Passed, they are applied; in every case the credential is wiped.

    The test code is not here: it travels sealed in the task's argument only.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+")
    network = models.CharField(max_length=16)
    config = models.ForeignKey(
        PostbackConfig,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="checks",
        help_text="The config being changed; none when one is being added.",
    )
    pixel_id = models.CharField(max_length=64)
    credential = EncryptedJSONField(default=dict, editable=False)
    triggers = ArrayField(models.CharField(max_length=16, choices=Trigger.choices))
    enabled = models.BooleanField(default=True)
    state = models.CharField(max_length=10, choices=CheckState.choices, default=CheckState.PENDING)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    provider_code = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True, help_text="The answer in the network's own words, with what to do.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = CheckQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["created_at"], condition=Q(state="pending"), name="check_pending")]

    def __str__(self) -> str:
        return f"{self.network} {self.pixel_id}: {self.state}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Not sent"
    CANCELLED = "cancelled", "Cancelled"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self) -> "DeliveryQuerySet":
        """Waiting, their time come, and in nobody's hands: never taken, or the lease of a dead worker ran out."""
        now = timezone.now()
        return (
            self.filter(state=DeliveryState.WAITING, next_attempt_at__lte=now)
            .filter(Q(leased_until=None) | Q(leased_until__lt=now))
            .order_by("next_attempt_at")
        )


class Delivery(models.Model):
    """One conversion on its way to one config, or, `skipped`, the recorded reason why it does not go."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+")
    # None once the player was erased.
    conversion = models.ForeignKey(Conversion, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    config = models.ForeignKey(PostbackConfig, on_delete=models.CASCADE, related_name="deliveries")
    network = models.CharField(max_length=16)
    trigger = models.CharField(max_length=16, choices=Trigger.choices)
    event_id = models.CharField(max_length=128, help_text="What the network deduplicates by: the same on every retry.")
    event_at = models.DateTimeField()
    config_version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    first_attempt_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["conversion", "config"], name="one_delivery_per_conversion_and_config"),
        ]
        indexes = [
            # DeliveryQuerySet.due: the send queue is the waiting rows only.
            models.Index(fields=["next_attempt_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["config", "-created_at"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.network} {self.trigger} {self.event_id}"


class AttemptStatus(models.TextChoices):
    SENDING = "sending", "Sending"
    SUCCESS = "success", "Success"
    FAILED = "failed", "Failed"
    RETRIED = "retried", "Retried"


class DeliveryAttempt(models.Model):
    """One call to the network: written before it, closed after it. The rows are the delivery log."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    config = models.ForeignKey(PostbackConfig, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    config_version = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    status = models.CharField(max_length=8, choices=AttemptStatus.choices, default=AttemptStatus.SENDING)
    # postbacks.networks.base.Verdict, blank while sending.
    verdict = models.CharField(max_length=12, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    provider_code = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempts_are_numbered")]
        indexes = [
            # The delivery log and the health of a config: its newest attempts.
            models.Index(fields=["config", "-started_at"], name="attempt_newest"),
            # Attempts whose worker died in mid-call.
            models.Index(fields=["started_at"], condition=Q(finished_at=None), name="attempt_open"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}: {self.status}"
