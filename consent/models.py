"""Consent decisions of players. This app imports no other app of the project."""

from typing import Any

from django.db import models
from django.db.models import Value


class Level(models.TextChoices):
    """How much may be sent to ad networks, least first. NOT_SET means no decision; on a message it counts as NONE."""

    NOT_SET = "not_set", "Not set"
    NONE = "none", "None"
    ANONYMOUS = "anonymous", "Anonymous"
    FULL = "full", "Full"


# The source of decisions stated by messages. Decisions recorded by PUT never have it.
STATED = "message"


class DecisionQuerySet(models.QuerySet["ConsentDecision"]):
    def for_ids(self, game_id: int, anonymous_ids: list[str]) -> "DecisionQuerySet":
        """Return the decisions of any of these anonymous ids, newest first."""
        return self.filter(game_id=game_id, anonymous_id__in=anonymous_ids).order_by("-decided_at", "-id")

    def recorded(self) -> "DecisionQuerySet":
        """Return the decisions recorded by PUT."""
        return self.exclude(source=STATED)


class ConsentDecision(models.Model):
    """One decision, recorded by PUT or stated by a message. The newest of an anonymous id is in force."""

    game_id = models.BigIntegerField()
    anonymous_id = models.CharField(max_length=256)
    level = models.CharField(max_length=10, choices=[c for c in Level.choices if c[0] != Level.NOT_SET])
    source = models.CharField(max_length=128)
    decided_at = models.DateTimeField()
    evidence = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        help_text="What the message stated about it: consent strings, the source and version of the banner.",
    )

    objects = DecisionQuerySet.as_manager()

    class Meta:
        indexes = [
            # DecisionQuerySet.for_ids: the newest decision of an anonymous id.
            models.Index(fields=["game_id", "anonymous_id", "-decided_at", "-id"], name="consent_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.anonymous_id}: {self.level}"

    @property
    def statements(self) -> list[tuple[str, Any]]:
        """The evidence by name. A template reads `evidence.items` as the value of a key "items", if that was sent."""
        return list(self.evidence.items())

    @property
    def source_label(self) -> str:
        return source_label(self.source)


def source_label(source: str) -> str:
    """Return the label of a source on pages."""
    return "stated with an event" if source == STATED else source
