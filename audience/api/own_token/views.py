"""The token of the request itself."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import Operation
from audience.api.toolkit.serializers import ReadSerializer
from audience.api.toolkit.views import ApiViewSet
from audience.models import ApiToken, Role, Scope, TokenState

EXAMPLE = {
    "name": "Nightly export",
    "prefix": "aftk_1f3c9a2",
    "scopes": ["read"],
    "state": "live",
    "game": "sky-raiders",
    "role": "viewer",
    "user": None,
    "created_at": "2026-11-02T09:30:00Z",
    "expires_at": "2027-01-01T00:00:00Z",
}


class OwnTokenSerializer(ReadSerializer):
    """The token of the request: either of a `game`, with a `role` of its own, or of a `user`."""

    name = serializers.CharField()
    prefix = serializers.CharField(help_text="The first characters.")
    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices))
    state = serializers.ChoiceField(TokenState.choices, help_text="`rotating`: a successor exists.")
    game = serializers.CharField(source="game.slug", allow_null=True, default=None)
    role = serializers.SerializerMethodField(help_text=f"Null for a user’s; else one of: {', '.join(Role.values)}.")
    user = serializers.EmailField(source="user.email", allow_null=True, default=None, help_text="The user’s email.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)

    def get_role(self, token: ApiToken) -> str | None:
        return token.role or None


class OwnTokenViewSet(ApiViewSet):
    tag = "Tokens"
    # A token of any scope may read itself.
    operations = {"retrieve": Operation(frozenset(Scope), None)}

    @extend_schema(responses=OwnTokenSerializer, examples=[OpenApiExample("Token", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request) -> Response:
        """Return the token of this request. To find out what it may do, and when it ends."""
        return Response(OwnTokenSerializer(self.token).data)
