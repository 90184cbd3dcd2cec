"""Invitations: list, create, send again, revoke. The Hub's page is audience/hub/members/."""

from functools import partial

from django.db import transaction
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.accounts import mail, members
from audience.api.invitations.serializers import (
    EXAMPLE,
    LINK_EXAMPLE,
    SENT_EXAMPLE,
    InvitationSerializer,
    InviteSerializer,
    LinkSerializer,
    SentInvitationSerializer,
)
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.views import GameViewSet
from audience.models import Invitation, Role, Scope


class InvitationViewSet(GameViewSet):
    tag = "Members"
    operations = {
        "list": reads(Scope.MEMBERS, Role.ADMIN),
        "retrieve": reads(Scope.MEMBERS, Role.ADMIN),
        "create": requires(Scope.MEMBERS, Role.ADMIN),
        "resend": requires(Scope.MEMBERS, Role.ADMIN),
        "link": requires(Scope.MEMBERS, Role.ADMIN),
        "revoke": requires(Scope.MEMBERS, Role.ADMIN),
    }
    without_body = frozenset({"link", "resend", "revoke"})
    queryset = Invitation.objects.none()
    serializer_class = InvitationSerializer

    @extend_schema(examples=[OpenApiExample("Invitation", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the invitations that were neither accepted nor revoked. The newest is first."""
        rows = Invitation.objects.pending().filter(game=self.game).select_related("invited_by")
        return self.paginated(rows, InvitationSerializer)

    @extend_schema(examples=[OpenApiExample("Invitation", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return an invitation that was neither accepted nor revoked."""
        return Response(InvitationSerializer(self._pending(id)).data)

    @extend_schema(
        request=InviteSerializer,
        responses={201: SentInvitationSerializer},
        examples=[
            OpenApiExample("Viewer", {"email": "grace@studio.example", "role": "viewer"}, request_only=True),
            OpenApiExample("Invited", SENT_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Invite an email address. A link is mailed there, which works for 7 days."""
        data = self.body(InviteSerializer)
        try:
            new = members.invite(game=self.game, email=data["email"], role=Role(data["role"]), invited_by=self.user)
        except members.MembersError as error:
            raise Conflict(str(error), field="email") from None
        return self._sent(new, status.HTTP_201_CREATED)

    @extend_schema(
        request=None,
        responses=SentInvitationSerializer,
        examples=[OpenApiExample("Sent", SENT_EXAMPLE, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, game: str, id: str) -> Response:
        """Send an invitation again. It has a new link, which works for 7 days; the earlier link no longer works."""
        try:
            new = members.renew(invitation=self._invitation(id))
        except members.MembersError as error:
            raise Conflict(str(error)) from None
        return self._sent(new, status.HTTP_200_OK)

    @extend_schema(
        request=None, responses=LinkSerializer, examples=[OpenApiExample("Link", LINK_EXAMPLE, response_only=True)]
    )
    @action(detail=True, methods=["post"])
    def link(self, request: Request, game: str, id: str) -> Response:
        """Create a new link of an invitation and return it. Requires the token of a superuser of the installation,
        since anyone with the link can join as the invited address. It is not mailed."""
        try:
            new = members.renew_for_copying(invitation=self._invitation(id), requested_by=self.user)
        except members.MembersError as error:
            raise Conflict(str(error)) from None
        return Response(LinkSerializer(new).data)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, game: str, id: str) -> Response:
        """Revoke an invitation. Its link no longer works."""
        try:
            members.revoke(invitation=self._invitation(id))
        except members.MembersError as error:
            raise Conflict(str(error)) from None
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _invitation(self, id: str) -> Invitation:
        return get_object_or_404(Invitation.objects.select_related("game"), game=self.game, pk=id)

    def _pending(self, id: str) -> Invitation:
        return get_object_or_404(Invitation.objects.pending().select_related("invited_by"), game=self.game, pk=id)

    def _sent(self, new: members.NewInvitation, code: int) -> Response:
        # After the commit: the transaction of an Idempotency-Key holds a lock on the game.
        transaction.on_commit(partial(mail.send_invitation, new))
        return Response(SentInvitationSerializer(new).data, status=code)
