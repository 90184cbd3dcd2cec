"""Games: list, create and rename. The Hub's pages are audience/hub/games/ and postbacks/hub/game_settings/."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Value
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.games.serializers import (
    EXAMPLE,
    GameChangeSerializer,
    GameCreateSerializer,
    GameSerializer,
    values_of,
)
from audience.api.toolkit.operations import Operation, require_second_factor, requires
from audience.api.toolkit.preconditions import etag_of, require_match, with_etag
from audience.api.toolkit.problems import Refused
from audience.api.toolkit.routers import GAME_SLUG
from audience.api.toolkit.views import GameViewSet
from audience.games import game_settings, new_game
from audience.models import Game, Role, Scope

# Both the list of games and a game's name are needed to manage members, and to manage postbacks.
READING = frozenset({Scope.READ, Scope.MEMBERS, Scope.POSTBACKS})


class GamesViewSet(GameViewSet):
    tag = "Games"
    operations = {
        "list": Operation(READING, None),
        "retrieve": Operation(READING, Role.VIEWER),
        "create": requires(Scope.MEMBERS, None),
        "partial_update": requires(Scope.POSTBACKS, Role.ADMIN),
    }
    etag_actions = frozenset({"retrieve", "partial_update"})
    lookup_url_kwarg = "game"
    lookup_value_regex = GAME_SLUG
    queryset = Game.objects.none()
    serializer_class = GameSerializer

    @extend_schema(examples=[OpenApiExample("Game", EXAMPLE, response_only=True)])
    def list(self, request: Request) -> Response:
        """List the games that the token may see. The newest is first. A token of a game sees only that game."""
        page: Iterable[Any] = self.paginate_queryset(self.filter_queryset(self._visible())) or ()
        values = [values_of(row, row.role) for row in page]
        return self.get_paginated_response(GameSerializer(values, many=True).data)

    @extend_schema(examples=[OpenApiExample("Game", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str) -> Response:
        """Return a game. Its other settings are below /settings/."""
        return self._shown()

    @extend_schema(
        request=GameCreateSerializer,
        responses={201: GameSerializer},
        examples=[
            OpenApiExample("Game", {"name": "Sky Raiders", "slug": "sky-raiders-staging"}, request_only=True),
            OpenApiExample("Created", EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request) -> Response:
        """Create a game. Requires the token of an administrator of the installation, who becomes its admin."""
        if not new_game.may_create(self.user):
            raise PermissionDenied(new_game.ADMINISTRATORS_ONLY, "missing_role")
        require_second_factor(self.user)
        data = self.body(GameCreateSerializer)
        try:
            slug = new_game.free_slug(name=data["name"], slug=data["slug"])
            # A script that states a slug uses it in its next requests.
            only_this = bool(data["slug"])
            game = new_game.create_game(name=data["name"], slug=slug, created_by=self.user, only_this_slug=only_this)
        except new_game.GameRefused as refused:
            raise Refused(str(refused), field="slug") from None
        response = Response(GameSerializer(values_of(game, Role.ADMIN)).data, status=status.HTTP_201_CREATED)
        return with_etag(response, _etag(game))

    @extend_schema(
        request=GameChangeSerializer,
        examples=[
            OpenApiExample("Rename", {"name": "Sky Raiders"}, request_only=True),
            OpenApiExample("Renamed", EXAMPLE, response_only=True),
        ],
    )
    def partial_update(self, request: Request, game: str) -> Response:
        """Rename a game. Its `slug` never changes."""
        data = self.body(GameChangeSerializer, partial=True)
        with transaction.atomic():
            game_settings.lock(self.game)
            require_match(request, _etag(self.game))
            game_settings.rename_game(game=self.game, name=data.get("name", self.game.name))
        return self._shown()

    def _visible(self) -> QuerySet[Game]:
        if self.token.game_id is None:
            return Game.objects.with_role_of(self.user)
        return Game.objects.filter(pk=self.token.game_id).annotate(role=Value(self.token.role))

    def _shown(self) -> Response:
        response = Response(GameSerializer(values_of(self.game, self.membership.role)).data)
        return with_etag(response, _etag(self.game))


def _etag(game: Game) -> str:
    return etag_of(game_settings.version(game, game_settings.GENERAL))
