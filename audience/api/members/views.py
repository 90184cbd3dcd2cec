"""Members: list, change a role, remove. The Hub's page is audience/hub/members/."""

from collections.abc import Sequence
from typing import Any

from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from audience.accounts import members, second_factor
from audience.api.members.serializers import EXAMPLE, MemberChangeSerializer, MemberSerializer
from audience.api.toolkit.filtering import FlagParameter, QuerySerializer
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.views import GameViewSet
from audience.hub.toolkit.access import has_role
from audience.models import Membership, Role, Scope


class MemberFilter(filters.FilterSet):
    role = filters.ChoiceFilter(choices=Role.choices)


class RemovalQuery(QuerySerializer):
    revoke_tokens = FlagParameter(default=False, help_text="Also revoke the service tokens that the member created.")


class MemberViewSet(GameViewSet):
    tag = "Members"
    operations = {
        "list": reads(Scope.MEMBERS),
        "retrieve": reads(Scope.MEMBERS),
        "partial_update": requires(Scope.MEMBERS, Role.ADMIN),
        "destroy": requires(Scope.MEMBERS, Role.ADMIN),
    }
    queries = {"destroy": RemovalQuery}
    filterset_class = MemberFilter
    queryset = Membership.objects.none()
    serializer_class = MemberSerializer

    @extend_schema(examples=[OpenApiExample("Member", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the members of a game. Who joined last is first."""
        rows = Membership.objects.filter(game=self.game).select_related("user")
        page = self.paginate_queryset(self.filter_queryset(rows)) or []
        return self.get_paginated_response(self._shown(page))

    @extend_schema(examples=[OpenApiExample("Member", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a member."""
        return Response(self._shown([self._member(id)])[0])

    @extend_schema(
        request=MemberChangeSerializer,
        examples=[
            OpenApiExample("Role", {"role": "marketer"}, request_only=True),
            OpenApiExample("Member", EXAMPLE, response_only=True),
        ],
    )
    def partial_update(self, request: Request, game: str, id: str) -> Response:
        """Change the role of a member. A game always has an admin.

        Service tokens that the member created keep their own role.
        """
        member = self._member(id)
        data = self.body(MemberChangeSerializer, partial=True)
        try:
            if "role" in data:
                members.change_role(membership=member, role=Role(data["role"]))
        except members.MembersError as error:
            raise Conflict(str(error), field="role") from None
        return Response(self._shown([member])[0])

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, game: str, id: str) -> Response:
        """Remove a member. A game always has an admin.

        The member's own tokens lose access. Service tokens that the member created keep working, unless
        `revoke_tokens` is true.
        """
        try:
            members.remove(membership=self._member(id), revoke_tokens=self.query()["revoke_tokens"])
        except members.MembersError as error:
            raise Conflict(str(error)) from None
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _member(self, id: str) -> Membership:
        return get_object_or_404(Membership.objects.select_related("user", "game"), game=self.game, pk=id)

    def _shown(self, rows: Sequence[Membership]) -> Any:
        """Return the representations. Sign-ins and second factors are for admins, as on the page."""
        is_admin = has_role(self.membership, Role.ADMIN)
        secured = second_factor.users_with_second_factor(row.user_id for row in rows) if is_admin else None
        return MemberSerializer(rows, many=True, context={"secured": secured}).data
