"""Representations of consent decisions."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import PlayerIdField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.hub.toolkit.masking import masked
from audience.privacy.decisions import MAX_SOURCE_LENGTH
from consent.models import ConsentDecision, Level

LEVELS = [choice for choice in Level.choices if choice[0] != Level.NOT_SET]
EXAMPLE: dict[str, Any] = {
    "anonymous_id": "0c6b4a3e-8f5a-4d2c-b4a5-f60b0f6e1d2c",
    "level": "anonymous",
    "source": "support",
    "decided_at": "2026-11-20T08:12:44Z",
}


class DecisionSerializer(ReadSerializer):
    """A consent decision of an anonymous ID."""

    anonymous_id = serializers.CharField(help_text="In the form in which IDs are compared: UUIDs in lower case.")
    level = serializers.ChoiceField(LEVELS)
    source = serializers.CharField(  # type: ignore[assignment]  # of the decision
        help_text="Where it was decided; `message` if an event stated it."
    )
    decided_at = serializers.DateTimeField()


class NewDecisionSerializer(StrictSerializer):
    """A decision, which is in force from now on."""

    anonymous_id = PlayerIdField()
    level = serializers.ChoiceField(LEVELS)
    source = serializers.CharField(  # type: ignore[assignment]  # of the decision
        max_length=MAX_SOURCE_LENGTH, default="management API", help_text="Where the player decided."
    )


def decision_values(decision: ConsentDecision, *, addresses: bool) -> dict[str, Any]:
    return {
        "anonymous_id": masked(decision.anonymous_id, addresses=addresses),
        "level": decision.level,
        "source": decision.source,
        "decided_at": decision.decided_at,
    }
