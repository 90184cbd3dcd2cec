"""Representations of a game's service tokens."""

from typing import Any

from rest_framework import serializers

from audience.accounts.tokens import MAX_NAME, NewToken
from audience.api.toolkit.fields import OverlapHours, TimeField
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import ApiToken, Role, Scope, TokenState

EXAMPLE = {
    "id": 4,
    "name": "CI",
    "prefix": "aftk_1f3c9a2",
    "role": "admin",
    "scopes": ["read", "keys"],
    "state": "live",
    "created_by": "ada@studio.example",
    "created_at": "2026-11-02T09:30:00Z",
    "last_used_at": "2026-11-20T08:12:44Z",
    "expires_at": "2027-01-01T00:00:00Z",
    "revoked_at": None,
    "replaced_by": None,
}
REVOKED_EXAMPLE = {**EXAMPLE, "state": "revoked", "revoked_at": "2026-11-21T10:00:00Z"}
NEW_EXAMPLE = {**EXAMPLE, "last_used_at": None, "value": "aftk_1f3c9a2b7d40e8c65a1f9b3d27c8e04a6b5d9f13"}


class TokenSerializer(ReadSerializer):
    """A service token of a game. Only the beginning of its value is stored."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="The first characters.")
    role = serializers.ChoiceField(Role.choices)
    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices))
    state = serializers.ChoiceField(TokenState.choices)
    created_by = serializers.SerializerMethodField(help_text="Email address or user name; null for a token.")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    replaced_by = serializers.IntegerField(source="replaced_by_id", allow_null=True, help_text="Its successor.")

    def get_created_by(self, token: ApiToken) -> str | None:
        user = token.created_by
        return (user.email or user.get_username()) if user else None


class NewTokenSerializer(TokenSerializer):
    """A token with its value, which is only in this answer."""

    value = serializers.CharField()

    def to_representation(self, new: NewToken) -> dict[str, Any]:
        return {**TokenSerializer(new.token).data, "value": new.value}


class TokenCreateSerializer(StrictSerializer):
    name = serializers.CharField(max_length=MAX_NAME)
    role = serializers.ChoiceField(Role.choices)
    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices), min_length=1, max_length=len(Scope))
    expires_at = TimeField(allow_null=True, default=None, help_text="Null: it does not end.")


class TokenRotateSerializer(StrictSerializer):
    overlap_hours = OverlapHours()
