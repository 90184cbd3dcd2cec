"""Representations of health, of what needs attention, of alerts and of webhooks."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Queue
from postbacks.api.postbacks.serializers import HEALTH_EXAMPLE, ActivitySerializer, HealthSummarySerializer
from postbacks.configs.sending_state import SendingState, state_of
from postbacks.hub.overview.attention import BAD, AttentionItem
from postbacks.hub.overview.set_aside_work import DIGEST
from postbacks.hub.toolkit.config_rows import ConfigRow
from postbacks.models import Alert, AlertEnding, AlertFrequency
from postbacks.monitoring.health.types import Health

QUEUES = [(DIGEST, "Stored requests"), *Queue.choices]
ATTENTION_EXAMPLE = {
    "severity": "error",
    "title": "On hold",
    "subject": "TikTok Ads CABC1234567890",
    "cause": "Nothing is sent; 3 conversions are on hold.",
    "next_step": "Rotate the access token.",
    "since": "2026-11-21T08:00:00Z",
    "page": "https://afterclick.example/g/starfall/integrations/tiktok/",
    "queue": "",
    "is_server_wide": False,
}
HEALTH_OF_GAME_EXAMPLE: dict[str, Any] = {
    "postbacks": [
        {
            "postback": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55",
            "network": "tiktok",
            "pixel_id": "CABC1234567890",
            "state": "active",
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
        }
    ],
    "attention": [ATTENTION_EXAMPLE],
}
ALERT_EXAMPLE: dict[str, Any] = {
    "id": "5a6b7c8d-0e1f-4a2b-8c3d-4e5f60718293",
    "postback": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55",
    "network": "tiktok",
    "pixel_id": "CABC1234567890",
    "health": "on_hold",
    "cause": "TikTok Ads does not accept this access token.",
    "next_step": "Rotate the access token.",
    "opened_at": "2026-11-21T08:00:00Z",
    "recovered_at": None,
    "ending": None,
}


class PostbackHealthSerializer(ReadSerializer):
    """The health of a postback."""

    postback = serializers.UUIDField(source="config.pk")
    network = serializers.CharField(source="config.network")
    pixel_id = serializers.CharField(source="config.pixel_id")
    state = serializers.SerializerMethodField()
    health = HealthSummarySerializer(allow_null=True)
    activity = ActivitySerializer(source="*")

    @extend_schema_field(serializers.ChoiceField(SendingState.choices))
    def get_state(self, row: ConfigRow) -> str:
        return state_of(row.config)


class AttentionSerializer(ReadSerializer):
    """Something that needs attention, as the Overview lists it."""

    severity = serializers.SerializerMethodField()
    title = serializers.CharField()
    subject = serializers.CharField()
    cause = serializers.CharField()
    next_step = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    page = serializers.SerializerMethodField(help_text="The page of the Hub; null without one.")
    queue = serializers.CharField(help_text="For a retry of work that was set aside; else empty.")
    is_server_wide = serializers.BooleanField(help_text="Whether it concerns every game.")

    @extend_schema_field(serializers.ChoiceField(["error", "warning"]))
    def get_severity(self, item: AttentionItem) -> str:
        return "error" if item.tone == BAD else "warning"

    def get_page(self, item: AttentionItem) -> str | None:
        return f"{settings.PUBLIC_URL}{item.href}" if item.href else None


class GameHealthSerializer(ReadSerializer):
    postbacks = PostbackHealthSerializer(many=True)
    attention = AttentionSerializer(many=True)


class RetrySerializer(StrictSerializer):
    queue = serializers.ChoiceField(QUEUES, help_text="`queue` of what needs attention.")


class RetriedSerializer(ReadSerializer):
    retried = serializers.IntegerField(help_text="How many rows were queued again.")


class AlertSerializer(ReadSerializer):
    """A period of bad health of one postback."""

    id = serializers.UUIDField()
    postback = serializers.UUIDField(source="config_id")
    network = serializers.CharField(source="config.network")
    pixel_id = serializers.CharField(source="config.pixel_id")
    health = serializers.ChoiceField(Health.choices)
    cause = serializers.CharField()
    next_step = serializers.CharField()
    opened_at = serializers.DateTimeField()
    recovered_at = serializers.DateTimeField(allow_null=True, help_text="Null while it is on.")
    ending = serializers.ChoiceField(AlertEnding.choices, allow_null=True)

    def to_representation(self, alert: Alert) -> dict[str, Any]:
        return {**super().to_representation(alert), "ending": alert.ending or None}


class AlertChoiceSerializer(ReadSerializer):
    """How the member of the token receives alerts."""

    frequency = serializers.ChoiceField(AlertFrequency.choices)


class AlertChoiceBodySerializer(StrictSerializer):
    frequency = serializers.ChoiceField(AlertFrequency.choices)
