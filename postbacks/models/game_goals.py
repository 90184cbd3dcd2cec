"""Goals that are defined once for a game and used by several postbacks."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from audience.database import clock
from audience.models import AuditedInGame, Game


class GameGoal(AuditedInGame, models.Model):
    """Which events count. PostbackConfig.goals of each postback that uses it has a copy, with the network's own name or
    object id (postbacks/configs/game_goals.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="game_goals", db_index=False)
    name = models.CharField(max_length=64)
    event = models.CharField(max_length=100)
    # As in PostbackConfig.goals; null without a condition.
    condition = models.JSONField(null=True, blank=True)
    once = models.BooleanField(default=False)
    server_only = models.BooleanField(default=False)
    repeat_orders = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Every change creates a version.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "name"], name="one_goal_per_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def definition(self) -> dict[str, Any]:
        """The part of a copy that is the same in every postback, with the reference to this row."""
        return {
            "event": self.event,
            "once": self.once,
            "condition": self.condition,
            "server_only": self.server_only,
            "repeat_orders": self.repeat_orders,
            "game_goal": str(self.pk),
        }
