"""Checks of credentials with the networks."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models import Game, Trigger
from postbacks.models.configs import PostbackConfig
from postbacks.models.fields import EncryptedJSONField
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network


class CheckState(models.TextChoices):
    PENDING = "pending", "Checking with the network"
    PASSED = "passed", "Accepted"
    REFUSED = "refused", "Refused"
    UNVERIFIED = "unverified", "Not verified"


class Purpose(models.TextChoices):
    """Why a credential is checked."""

    SAVE = "save", "Settings being saved"
    SUSPICION = "suspicion", "Refused during a delivery"
    DAILY = "daily", "Daily check"
    RELEASE = "release", "Before releasing deliveries on hold"
    TEST = "test", "Test conversion"


class CheckQuerySet(models.QuerySet["CredentialCheck"]):
    def pending(self) -> "CheckQuerySet":
        return self.filter(state=CheckState.PENDING)


class CredentialCheck(models.Model):
    """A request to the network to find out whether a credential works for a pixel.

    SAVE proposes settings that are applied if it passes; other purposes check a config as it is. The credential is
    deleted afterward. The test code is encrypted in the task's argument and not stored here; the row only states that
    there is one, so that nothing is sent without it if it is lost.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Without an index of its own: check_of_game begins with the game.
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+", db_index=False)
    network = models.CharField(max_length=16)
    purpose = models.CharField(max_length=10, choices=Purpose.choices, default=Purpose.SAVE)
    config = models.ForeignKey(
        PostbackConfig,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="checks",
        db_index=False,
        help_text="The postback being changed or checked. None if one is being added.",
    )
    config_version = models.PositiveIntegerField(
        null=True, blank=True, help_text="The version when the check was requested. A later one is not overwritten."
    )
    pixel_id = models.CharField(max_length=64)
    credential = EncryptedJSONField(default=dict, editable=False)
    triggers = ArrayField(models.CharField(max_length=16, choices=Trigger.choices), blank=True)
    goals = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    time_zone = models.CharField(max_length=64, default="UTC", db_default="UTC")
    has_test_code = models.BooleanField(default=False, help_text="Whether its event may only be sent with a test code.")
    state = models.CharField(max_length=10, choices=CheckState.choices, default=CheckState.PENDING)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    provider_code = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True, help_text="The answer of the network, and what to do.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The actor of the entry in the audit log if a token was used (audience/accounts/audit_log.py).
    requested_as = models.CharField(max_length=254, blank=True, default="", db_default="", editable=False)
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = CheckQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], condition=Q(state="pending"), name="check_pending"),
            # The latest checks of a config, for its page and the frequency of checks.
            models.Index(fields=["config", "-created_at"], name="check_newest"),
            models.Index(fields=["game", "-created_at"], name="check_of_game"),
        ]

    def __str__(self) -> str:
        return f"{self.network} {self.pixel_id}: {self.state}"

    @property
    def kind(self) -> Network:
        return NETWORKS[self.network]
