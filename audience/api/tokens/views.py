"""Service tokens of a game: list, create, rotate, revoke. The Hub's page is audience/hub/tokens/.

All of it requires an admin, so that no token is created with a higher role than the role of its creator.
"""

from typing import Any

from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.accounts import tokens
from audience.api.tokens.serializers import (
    EXAMPLE,
    NEW_EXAMPLE,
    REVOKED_EXAMPLE,
    NewTokenSerializer,
    TokenCreateSerializer,
    TokenRotateSerializer,
    TokenSerializer,
)
from audience.api.toolkit.fields import overlap_of
from audience.api.toolkit.filtering import FlagFilter
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict, Refused
from audience.api.toolkit.views import GameViewSet
from audience.models import ApiToken, Role, Scope


class TokenFilter(filters.FilterSet):
    role = filters.ChoiceFilter(choices=Role.choices)
    live = FlagFilter(method="filter_live", label="Whether the token works now.")

    def filter_live(self, rows: Any, name: str, value: bool) -> Any:
        live = ApiToken.objects.live().values("pk")
        return rows.filter(pk__in=live) if value else rows.exclude(pk__in=live)


class TokenViewSet(GameViewSet):
    tag = "Tokens"
    operations = {
        "list": reads(Scope.MEMBERS, Role.ADMIN),
        "retrieve": reads(Scope.MEMBERS, Role.ADMIN),
        "create": requires(Scope.MEMBERS, Role.ADMIN),
        "rotate": requires(Scope.MEMBERS, Role.ADMIN),
        "revoke": requires(Scope.MEMBERS, Role.ADMIN),
    }
    without_body = frozenset({"revoke"})
    filterset_class = TokenFilter
    queryset = ApiToken.objects.none()
    serializer_class = TokenSerializer

    @extend_schema(examples=[OpenApiExample("Token", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the service tokens of a game. The newest is first. Tokens of members are not included."""
        return self.paginated(ApiToken.objects.filter(game=self.game).select_related("created_by"), TokenSerializer)

    @extend_schema(examples=[OpenApiExample("Token", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a service token."""
        return Response(TokenSerializer(self._token(id)).data)

    @extend_schema(
        request=TokenCreateSerializer,
        responses={201: NewTokenSerializer},
        examples=[
            OpenApiExample("CI", {"name": "CI", "role": "admin", "scopes": ["read", "keys"]}, request_only=True),
            OpenApiExample("Created", NEW_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Create a service token of a game. Its `value` is only in this answer. It cannot have a scope that the token
        of the request does not have."""
        data = self.body(TokenCreateSerializer)
        try:
            new = tokens.create_game_token(
                game=self.game,
                name=data["name"],
                role=Role(data["role"]),
                scopes=[Scope(scope) for scope in data["scopes"]],
                expires_at=data["expires_at"],
                created_by=self.user,
                made_with=self.token,
            )
        except tokens.TokenRefused as refused:
            raise _problem(refused) from None
        return Response(NewTokenSerializer(new).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        request=TokenRotateSerializer,
        responses={201: NewTokenSerializer},
        examples=[
            OpenApiExample("A day", {"overlap_hours": 24}, request_only=True),
            OpenApiExample("Successor", NEW_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, game: str, id: str) -> Response:
        """Create the successor of a token. It has the same role and scopes; the old token works during the overlap."""
        overlap = overlap_of(self.body(TokenRotateSerializer))
        token = self._token(id)
        try:
            new = tokens.rotate_token(token=token, overlap=overlap, rotated_by=self.user, made_with=self.token)
        except tokens.TokenRefused as refused:
            raise _problem(refused) from None
        return Response(NewTokenSerializer(new).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, examples=[OpenApiExample("Revoked", REVOKED_EXAMPLE, response_only=True)])
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, game: str, id: str) -> Response:
        """Revoke a token. Requests with it are refused from then on. Revoking it again changes nothing."""
        token = self._token(id)
        tokens.revoke_token(token=token)
        return Response(TokenSerializer(token).data)

    def _token(self, id: str) -> ApiToken:
        return get_object_or_404(ApiToken.objects.select_related("created_by"), game=self.game, pk=id)


def _problem(refused: tokens.TokenRefused) -> Refused:
    """Return the error of the request: of a value, or of the present state."""
    return Refused(str(refused), field=refused.field) if refused.field else Conflict(str(refused))
