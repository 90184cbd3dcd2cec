"""Representations of postbacks, their versions, and what is not sent."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from audience.models import Trigger
from postbacks.api.postbacks.settings import GOAL_EXAMPLE, GoalSerializer
from postbacks.configs.sending_state import SendingState, state_of
from postbacks.configs.unsent_counts import UnsentCounts
from postbacks.hub.toolkit.config_rows import ConfigRow
from postbacks.models import ConfigVersion, PostbackConfig
from postbacks.monitoring.health import advice
from postbacks.monitoring.health.types import Health
from postbacks.networks import NETWORKS
from postbacks.outbox.goals import readable_goals

HEALTH_EXAMPLE = {
    "health": "healthy",
    "label": "Healthy",
    "since": None,
    "figures": "412 of 415 sends accepted.",
    "cause": "",
    "next_step": "",
}
EXAMPLE: dict[str, Any] = {
    "id": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55",
    "network": "tiktok",
    "pixel_id": "CABC1234567890",
    "triggers": ["game_launch", "purchase"],
    "goals": [GOAL_EXAMPLE],
    "enabled": True,
    "time_zone": "Europe/Berlin",
    "click_parameters": [],
    "credential": [{"name": "token", "is_stored": True, "value": None}],
    "version": 3,
    "state": "active",
    "held_since": None,
    "held_for": "",
    "message": "",
    "suspected_since": None,
    "can_roll_back_until": None,
    "health": HEALTH_EXAMPLE,
    "activity": {
        "delivered": 412,
        "ended": 415,
        "waiting": 2,
        "held": 0,
        "last_delivery_at": "2026-11-21T09:58:11Z",
        "overdue_since": None,
        "paused_until": None,
    },
    "validated_at": "2026-11-02T09:30:00Z",
    "checked_at": "2026-11-21T04:10:00Z",
    "created_at": "2026-11-02T09:30:00Z",
    "updated_at": "2026-11-20T16:00:00Z",
}
UNSENT_EXAMPLE = {
    "waiting": 12,
    "held": 3,
    "sending": 0,
    "text": "12 conversions are waiting and 3 are on hold; they will not be sent.",
}


class StoredPartSerializer(ReadSerializer):
    """A part of the stored credential."""

    name = serializers.CharField()
    is_stored = serializers.BooleanField()
    value = serializers.CharField(
        allow_null=True, help_text="Null for secret parts, and for tokens with the role of a viewer."
    )


class HealthSummarySerializer(ReadSerializer):
    """The health in the last 24 hours."""

    health = serializers.ChoiceField(Health.choices)
    label = serializers.CharField(source="health.label")  # type: ignore[assignment]
    since = serializers.DateTimeField(allow_null=True, help_text="Null while it is healthy.")
    figures = serializers.CharField()
    cause = serializers.CharField(help_text="With the network's answer, if there is one.")
    next_step = serializers.CharField()


class ActivitySerializer(ReadSerializer):
    """Deliveries of the last 24 hours, and what waits. Large numbers are those of the newest 1,000 rows."""

    delivered = serializers.IntegerField()
    ended = serializers.IntegerField(help_text="Delivered or failed.")
    waiting = serializers.IntegerField()
    held = serializers.IntegerField()
    last_delivery_at = serializers.DateTimeField(allow_null=True, help_text="When the network last accepted one.")
    overdue_since = serializers.DateTimeField(allow_null=True, help_text="When the oldest waiting one is due.")
    paused_until = serializers.DateTimeField(allow_null=True, help_text="The end of a pause of its pixel.")


class PostbackSerializer(ReadSerializer):
    """A postback with its state. Secrets are never shown."""

    id = serializers.UUIDField()
    network = serializers.CharField()
    pixel_id = serializers.CharField()
    triggers = serializers.ListField(child=serializers.ChoiceField(Trigger.choices))
    goals = GoalSerializer(many=True)
    enabled = serializers.BooleanField()
    time_zone = serializers.CharField()
    click_parameters = serializers.ListField(child=serializers.CharField())
    credential = StoredPartSerializer(many=True)
    version = serializers.IntegerField(help_text="Every change creates a version.")
    state = serializers.ChoiceField(SendingState.choices)
    held_since = serializers.DateTimeField(allow_null=True)
    held_for = serializers.CharField(
        help_text="What the network refused: `token` or `pixel`; `user`: a user put it on hold."
    )
    message = serializers.CharField(help_text="Why it is on hold.")
    suspected_since = serializers.DateTimeField(allow_null=True)
    can_roll_back_until = serializers.DateTimeField(allow_null=True)
    health = HealthSummarySerializer(allow_null=True)
    activity = ActivitySerializer()
    validated_at = serializers.DateTimeField()
    checked_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def to_representation(self, row: ConfigRow) -> Any:
        return super().to_representation(_values(row, shows_values=self.context["view"].addresses))


def _values(row: ConfigRow, *, shows_values: bool) -> dict[str, Any]:
    config = row.config
    names = ("id", "network", "pixel_id", "triggers", "enabled", "time_zone", "click_parameters", "version", "held_for")
    times = ("validated_at", "checked_at", "created_at", "updated_at")
    activity = ("delivered", "ended", "waiting", "held", "last_delivery_at", "overdue_since", "paused_until")
    return {
        **{name: getattr(config, name) for name in (*names, *times)},
        "goals": readable_goals(config.goals),
        "credential": _parts(config, shows_values=shows_values),
        "state": state_of(config),
        "held_since": config.held_at,
        "message": advice.without_personal_data(config.held_message, keep=config.pixel_id),
        "suspected_since": config.suspected_at,
        "can_roll_back_until": config.previous_until if config.can_roll_back else None,
        "health": row.health,
        "activity": {name: getattr(row, name) for name in activity},
    }


def _parts(config: PostbackConfig, *, shows_values: bool) -> list[dict[str, Any]]:
    fields = NETWORKS[config.network].credential_fields if config.network in NETWORKS else ()
    stored = config.credential
    return [
        {
            "name": part.name,
            "is_stored": bool(stored.get(part.name)),
            "value": stored.get(part.name, "") if part.kind == "plain" and shows_values else None,
        }
        for part in fields
    ]


class UnsentSerializer(ReadSerializer):
    """The deliveries that will not be sent."""

    waiting = serializers.IntegerField()
    held = serializers.IntegerField()
    sending = serializers.IntegerField(help_text="These are being sent now and may still arrive.")
    text = serializers.CharField(help_text="The same as a sentence; empty without any.")


class PausedSerializer(ReadSerializer):
    postback = PostbackSerializer()
    unsent = UnsentSerializer()

    def to_representation(self, pair: tuple[ConfigRow, UnsentCounts]) -> dict[str, Any]:
        row, unsent = pair
        return {
            "postback": PostbackSerializer(row, context=self.context).data,
            "unsent": UnsentSerializer(unsent).data,
        }


class VersionSerializer(ReadSerializer):
    """The settings at one version. Versions are never changed."""

    number = serializers.IntegerField()
    change = serializers.CharField(help_text="What this version changed.")
    pixel_id = serializers.CharField()
    triggers = serializers.ListField(child=serializers.CharField())
    goals = serializers.SerializerMethodField()
    enabled = serializers.BooleanField()
    set_by = serializers.SerializerMethodField(help_text="An email address; empty for Afterclick or a token.")
    set_at = serializers.DateTimeField()

    @extend_schema_field(GoalSerializer(many=True))
    def get_goals(self, version: ConfigVersion) -> list[dict[str, Any]]:
        return [dict(GoalSerializer(goal).data) for goal in readable_goals(version.goals)]

    def get_set_by(self, version: ConfigVersion) -> str:
        return version.set_by.email if version.set_by else ""
