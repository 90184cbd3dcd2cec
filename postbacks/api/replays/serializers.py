"""Representations of replays."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import TimeField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from postbacks.delivery.failed_deliveries import ReplayProgress
from postbacks.models import ReplayState
from postbacks.networks.interface.call import Verdict

# The kinds of failure, as the form of the Hub has them.
FAILURES = [
    (Verdict.CREDENTIAL.value, "Credential refused"),
    (Verdict.TRANSIENT.value, "Network not reachable"),
    (Verdict.PAYLOAD.value, "Event refused"),
]
EXAMPLE: dict[str, Any] = {
    "id": "0d4a2b1c-6f7e-4c8d-9b10-11a2b3c4d5e6",
    "postback": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55",
    "failed_from": "2026-11-20T22:00:00Z",
    "failed_until": "2026-11-21T06:00:00Z",
    "verdict": "transient",
    "state": "running",
    "total": 120,
    "progress": {
        "delivered": 40,
        "failed": 1,
        "waiting": 60,
        "unknown": 0,
        "not_sent": 0,
        "past_deadline": 9,
        "remaining": 10,
    },
    "requested_by": "ada@studio.example",
    "created_at": "2026-11-21T09:00:00Z",
    "finished_at": None,
}
COUNTS_EXAMPLE = {
    "dry_run": True,
    "total": 132,
    "sendable": 111,
    "past_deadline": 9,
    "disabled": 12,
    "since": "2026-11-20T22:04:51Z",
    "blocked": "",
}


class ProgressSerializer(ReadSerializer):
    """The deliveries of a replay by what became of them."""

    delivered = serializers.IntegerField()
    failed = serializers.IntegerField()
    waiting = serializers.IntegerField()
    unknown = serializers.IntegerField(help_text="A call ended without an answer.")
    not_sent = serializers.IntegerField()
    past_deadline = serializers.IntegerField(source="replay.past_deadline")
    remaining = serializers.IntegerField(help_text="Not queued yet; of a replay that is over, never queued.")


class ReplaySerializer(ReadSerializer):
    """Failed deliveries of a postback that are sent again, with the same event IDs."""

    id = serializers.UUIDField(source="replay.pk")
    postback = serializers.UUIDField(source="replay.config_id")
    failed_from = serializers.DateTimeField(source="replay.failed_from", allow_null=True)
    failed_until = serializers.DateTimeField(source="replay.failed_until", allow_null=True)
    verdict = serializers.CharField(source="replay.verdict", help_text="The kind of failure; empty for any.")
    state = serializers.ChoiceField(ReplayState.choices, source="replay.state")
    total = serializers.IntegerField(source="replay.total")
    progress = ProgressSerializer(source="*")
    requested_by = serializers.SerializerMethodField(help_text="An email address; empty for a token of the game.")
    created_at = serializers.DateTimeField(source="replay.created_at")
    finished_at = serializers.DateTimeField(source="replay.finished_at", allow_null=True)

    def get_requested_by(self, progress: ReplayProgress) -> str:
        user = progress.replay.requested_by
        return user.email if user else ""


class ReplayCountsSerializer(ReadSerializer):
    """What a replay with this filter would do. Nothing was stored."""

    dry_run = serializers.BooleanField()
    total = serializers.IntegerField(help_text="Failed deliveries that match.")
    sendable = serializers.IntegerField()
    past_deadline = serializers.IntegerField()
    disabled = serializers.IntegerField(help_text="The postback is disabled for their event.")
    since = serializers.DateTimeField(allow_null=True, help_text="The first failure.")
    blocked = serializers.CharField(help_text="Why no replay can start now; empty if one can.")


class CanceledSerializer(ReadSerializer):
    replay = ReplaySerializer()
    stopped = serializers.IntegerField(help_text="Deliveries that were queued and are failed again.")


class ReplayCreateSerializer(StrictSerializer):
    """Which failed deliveries to send again."""

    postback = serializers.UUIDField()
    failed_from = TimeField(required=False, allow_null=True, default=None)
    failed_until = TimeField(required=False, allow_null=True, default=None, help_text="Not included; now by default.")
    verdict = serializers.ChoiceField(FAILURES, required=False, help_text="The kind of failure; any by default.")
    dry_run = serializers.BooleanField(default=False, help_text="Only count, and store nothing.")

    def validate(self, attrs: Any) -> Any:
        start, end = attrs["failed_from"], attrs["failed_until"]
        if start and end and end <= start:
            raise serializers.ValidationError({"failed_until": ["The end must be later than the start."]})
        return attrs
