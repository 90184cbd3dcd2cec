"""Representations of invitations."""

from typing import Any

from rest_framework import serializers

from audience.accounts import mail
from audience.accounts.members import NewInvitation
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from audience.models import Invitation, Role

STATES = ("waiting", "expired")
EXAMPLE = {
    "id": 3,
    "email": "grace@studio.example",
    "role": "viewer",
    "state": "waiting",
    "invited_by": "ada@studio.example",
    "created_at": "2026-11-20T09:30:00Z",
    "expires_at": "2026-11-27T09:30:00Z",
}
SENT_EXAMPLE = {**EXAMPLE, "is_mailed": True}
LINK_EXAMPLE = {**EXAMPLE, "link": "https://afterclick.studio.example/accounts/invitations/Jx3.../"}


class InvitationSerializer(ReadSerializer):
    """An invitation that was neither accepted nor revoked. An expired one can be sent again."""

    id = serializers.IntegerField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(Role.choices)
    state = serializers.SerializerMethodField(help_text=f"One of: {', '.join(STATES)}.")
    invited_by = serializers.SerializerMethodField(help_text="Email address or user name; null for a game’s token.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()

    def get_state(self, invitation: Invitation) -> str:
        return "waiting" if invitation.is_open else "expired"

    def get_invited_by(self, invitation: Invitation) -> str | None:
        user = invitation.invited_by
        return (user.email or user.get_username()) if user else None


class SentInvitationSerializer(InvitationSerializer):
    """An invitation whose new link is mailed after this answer."""

    is_mailed = serializers.BooleanField(
        help_text="False: this installation has no mail server. An administrator of it can copy the link."
    )

    def to_representation(self, new: NewInvitation) -> dict[str, Any]:
        return {**InvitationSerializer(new.invitation).data, "is_mailed": mail.has_mail_server()}


class LinkSerializer(InvitationSerializer):
    """An invitation with its new link, which is only in this answer."""

    link = serializers.URLField()

    def to_representation(self, new: NewInvitation) -> dict[str, Any]:
        return {**InvitationSerializer(new.invitation).data, "link": new.link}


class InviteSerializer(StrictSerializer):
    email = serializers.EmailField(max_length=254, help_text="The invitation works only for this address.")
    role = serializers.ChoiceField(Role.choices, default=Role.VIEWER)
