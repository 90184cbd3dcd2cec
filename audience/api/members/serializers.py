"""Representations of members."""

from rest_framework import serializers

from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Membership, Role

EXAMPLE = {
    "id": 7,
    "email": "ada@studio.example",
    "username": "ada",
    "role": "marketer",
    "is_active": True,
    "is_administrator": False,
    "has_second_factor": True,
    "last_login_at": "2026-11-20T08:12:44Z",
    "joined_at": "2026-11-02T09:30:00Z",
}


class MemberSerializer(ReadSerializer):
    """A member. The context has `secured`: the ids of users with a second factor, None for those who may not know."""

    id = serializers.IntegerField()
    email = serializers.CharField(source="user.email", help_text="Empty for accounts without one.")
    username = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(Role.choices)
    is_active = serializers.BooleanField(source="user.is_active", help_text="False: the account is closed.")
    is_administrator = serializers.BooleanField(source="user.is_superuser", help_text="Of the whole installation.")
    has_second_factor = serializers.SerializerMethodField(help_text="Null unless the token is an admin’s.")
    last_login_at = serializers.SerializerMethodField(help_text="Null unless the token is an admin’s.")
    joined_at = serializers.DateTimeField(source="created_at")

    def get_has_second_factor(self, member: Membership) -> bool | None:
        secured = self.context["secured"]
        return None if secured is None else member.user_id in secured

    def get_last_login_at(self, member: Membership) -> str | None:
        last = member.user.last_login
        is_shown = self.context["secured"] is not None
        return serializers.DateTimeField().to_representation(last) if last and is_shown else None


class MemberChangeSerializer(StrictSerializer):
    role = serializers.ChoiceField(Role.choices)
