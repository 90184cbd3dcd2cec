"""Replays: sending many failed deliveries again."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from audience.database import clock
from audience.models import AuditedInGame, Game
from postbacks.models.configs import PostbackConfig


class ReplayState(models.TextChoices):
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Canceled"


class Replay(AuditedInGame, models.Model):
    """The failed deliveries of one config in a period, with one verdict, to be sent again.

    `total` is counted at creation; the deliveries that reference the replay show the outcome.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="+")
    config = models.ForeignKey(PostbackConfig, on_delete=models.CASCADE, related_name="replays", db_index=False)
    # The period of the failures: from (inclusive) and until (exclusive); None for no limit.
    failed_from = models.DateTimeField(null=True, blank=True)
    failed_until = models.DateTimeField(null=True, blank=True)
    # postbacks.networks.interface.call.Verdict of the failure; blank for any.
    verdict = models.CharField(max_length=12, blank=True)
    state = models.CharField(max_length=10, choices=ReplayState.choices, default=ReplayState.RUNNING)
    total = models.PositiveIntegerField(default=0)
    queued = models.PositiveIntegerField(default=0, help_text="Deliveries queued so far.")
    past_deadline = models.PositiveIntegerField(
        default=0, help_text="Deliveries not queued because their deadline has passed."
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["config", "-created_at"], name="replay_newest"),
            # replays.advance: the running replays.
            models.Index(fields=["created_at"], condition=Q(state="running"), name="replay_running"),
        ]

    def __str__(self) -> str:
        return f"replay of {self.total} by {self.config_id}: {self.state}"
