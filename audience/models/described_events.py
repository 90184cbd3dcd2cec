"""DescribedEvent: what a studio says about an event of its own."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from audience.database import clock
from audience.models.event_counts import MAX_PATH
from audience.models.games import AuditedInGame, Game

MAX_DESCRIPTION = 500


class PropertyType(models.TextChoices):
    """The JSON type of a property that a description may require; ANY requires only that it is present."""

    ANY = "any", "Any type"
    TEXT = "text", "Text"
    NUMBER = "number", "Number"
    BOOLEAN = "boolean", "True or false"
    LIST = "list", "List"
    OBJECT = "object", "Object"


class DescribedEvent(AuditedInGame, models.Model):
    """The description of a track event. `required` are properties that each event should have, as "path: type".

    Events without them are accepted; the event catalog warns of them.
    """

    game = models.ForeignKey(Game, on_delete=models.CASCADE, related_name="described_events", db_index=False)
    name = models.CharField(max_length=256)
    description = models.CharField(max_length=MAX_DESCRIPTION, blank=True)
    required = ArrayField(models.CharField(max_length=MAX_PATH + 16), default=list, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Every change creates a version.")
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["game", "name"], name="one_description_per_event")]

    def __str__(self) -> str:
        return self.name

    @property
    def required_types(self) -> dict[str, PropertyType]:
        """{path: type} of the required properties."""
        pairs: Any = (entry.rpartition(": ") for entry in self.required)
        return {path: PropertyType(kind) for path, _, kind in pairs}
