"""Representations of API keys."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import OverlapHours, ParsedField, TimeField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.database import clock
from audience.games import keys
from audience.games.key_usage import used_since_rotation
from audience.hub.keys.forms import MAX_LINES, parse_event_name
from audience.intake.requests.restrictions import parse_network, parse_origin
from audience.models import ApiKey, Dialect, Environment, KeyKind

STATES = ("live", "rotating", "ended")
EXAMPLE = {
    "id": 12,
    "name": "Payment backend",
    "kind": "server",
    "environment": "production",
    "dialect": "immutable",
    "prefix": "sk_imapik-server-1f3c9a2",
    "state": "live",
    "allowed_events": ["purchase"],
    "allowed_origins": [],
    "allowed_addresses": ["192.0.2.0/24"],
    "rate_limit": None,
    "created_at": "2026-11-02T09:30:00Z",
    "last_used_at": "2026-11-20T08:12:44Z",
    "expires_at": None,
    "revoked_at": None,
    "replaced_by": None,
    "is_used_after_rotation": False,
}
REVOKED_EXAMPLE = {**EXAMPLE, "state": "ended", "revoked_at": "2026-11-21T10:00:00Z"}
NEW_EXAMPLE = {**EXAMPLE, "value": "sk_imapik-server-1f3c9a2b7d40e8c65a1f9b3d27c8e04a6b5d9f13"}


class KeySerializer(ReadSerializer):
    """A key. Only the beginning of its value is stored, except of publishable keys."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(KeyKind.choices)
    environment = serializers.ChoiceField(Environment.choices)
    dialect = serializers.ChoiceField(Dialect.choices)
    prefix = serializers.CharField(help_text="The first characters.")
    state = serializers.SerializerMethodField(help_text=f"One of: {', '.join(STATES)}.")
    allowed_events = serializers.ListField(child=serializers.CharField())
    allowed_origins = serializers.ListField(child=serializers.CharField())
    allowed_addresses = serializers.ListField(child=serializers.CharField())
    rate_limit = serializers.IntegerField(allow_null=True, help_text="Requests per second; null for 1000.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    replaced_by = serializers.IntegerField(source="replaced_by_id", allow_null=True, help_text="Its successor.")
    is_used_after_rotation = serializers.SerializerMethodField()

    def get_state(self, key: ApiKey) -> str:
        return "rotating" if key.is_rotating else "live" if key.is_live else "ended"

    def get_is_used_after_rotation(self, key: ApiKey) -> bool:
        return used_since_rotation(key)


class NewKeySerializer(KeySerializer):
    """A key with its value, which is shown only in this answer."""

    value = serializers.CharField()

    def to_representation(self, new: keys.NewKey) -> dict[str, Any]:
        return {**KeySerializer(new.key).data, "value": new.value}


class RestrictionsSerializer(StrictSerializer):
    """What a key may be used for, and until when; empty lists allow everything."""

    allowed_events = serializers.ListField(
        child=ParsedField(parse_event_name), max_length=MAX_LINES, default=list, help_text="Names of track events."
    )
    allowed_origins = serializers.ListField(
        child=ParsedField(parse_origin), max_length=MAX_LINES, default=list, help_text="Such as https://game.example."
    )
    allowed_addresses = serializers.ListField(
        child=ParsedField(parse_network), max_length=MAX_LINES, default=list, help_text="Addresses or CIDR ranges."
    )
    expires_at = TimeField(allow_null=True, default=None, help_text="Null: it does not end.")

    def validate_expires_at(self, value: Any) -> Any:
        if value and value <= clock.now():
            raise serializers.ValidationError("This time is over. To end a key at once, revoke it.")
        return value


class KeyCreateSerializer(RestrictionsSerializer):
    """A new key."""

    name = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(KeyKind.choices, default=KeyKind.PUBLISHABLE)
    environment = serializers.ChoiceField(Environment.choices, default=Environment.PRODUCTION)
    dialect = serializers.ChoiceField(
        Dialect.choices, default=Dialect.IMMUTABLE, help_text="Response format on shared routes."
    )
    rate_limit = serializers.IntegerField(min_value=1, max_value=1_000_000, allow_null=True, default=None)


class KeyChangeSerializer(RestrictionsSerializer):
    """The values to change; what is left out stays."""

    name = serializers.CharField(max_length=80)
    rate_limit = serializers.IntegerField(min_value=1, max_value=1_000_000, allow_null=True)


class KeyRotateSerializer(StrictSerializer):
    overlap_hours = OverlapHours()


def changes_of(data: dict[str, Any]) -> keys.RestrictionChanges:
    """Return the restrictions that a validated body of a change has."""
    changes: keys.RestrictionChanges = {}
    if "allowed_events" in data:
        changes["events"] = data["allowed_events"]
    if "allowed_origins" in data:
        changes["origins"] = data["allowed_origins"]
    if "allowed_addresses" in data:
        changes["addresses"] = data["allowed_addresses"]
    if "expires_at" in data:
        changes["expires_at"] = data["expires_at"]
    return changes


def restrictions_of(data: dict[str, Any]) -> keys.Restrictions:
    """Return the restrictions of a validated body."""
    return keys.Restrictions(
        events=data["allowed_events"],
        origins=data["allowed_origins"],
        addresses=data["allowed_addresses"],
        expires_at=data["expires_at"],
    )
