"""Representations of the checks of credentials."""

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer
from postbacks.models import CheckState, CredentialCheck, Purpose

EXAMPLE = {
    "id": "0b6d3f6e-4d0a-4c1c-9f0e-6c2b6a1f7d11",
    "purpose": "save",
    "state": "passed",
    "message": "TikTok Ads accepted the test event for pixel code CABC1234567890.",
    "network": "tiktok",
    "pixel_id": "CABC1234567890",
    "postback": "6f2f1a34-51c9-4be6-9c2a-0d2d3a6f1b55",
    "http_status": 200,
    "provider_code": "0",
    "requested_by": "ada@studio.example",
    "created_at": "2026-11-21T10:00:00Z",
    "finished_at": "2026-11-21T10:00:01Z",
}
PENDING_EXAMPLE = {
    **EXAMPLE,
    "state": "pending",
    "message": "",
    "postback": None,
    "http_status": None,
    "provider_code": "",
    "finished_at": None,
}


class CheckSerializer(ReadSerializer):
    """A request to the network that finds out whether a credential works, or a test conversion."""

    id = serializers.UUIDField()
    purpose = serializers.ChoiceField(Purpose.choices)
    state = serializers.ChoiceField(
        CheckState.choices, help_text="`pending` until it ends. `unverified`: the network could not be reached."
    )
    message = serializers.CharField(help_text="What the network answered, and what to do.")
    network = serializers.CharField()
    pixel_id = serializers.CharField()
    postback = serializers.UUIDField(
        source="config_id", allow_null=True, help_text="Null until the check of a new postback passes."
    )
    http_status = serializers.IntegerField(allow_null=True)
    provider_code = serializers.CharField(help_text="The code of the network.")
    requested_by = serializers.SerializerMethodField(help_text="An email address; empty for Afterclick itself.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_requested_by(self, check: CredentialCheck) -> str:
        return check.requested_by.email if check.requested_by else ""


class StartedCheckSerializer(ReadSerializer):
    """The check that was started. Read it until its state is no longer `pending`."""

    check = CheckSerializer()
