"""The health of a game's postbacks, and what needs attention. The Hub's page is postbacks/hub/overview/."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.views import GameViewSet
from audience.models import Role, Scope
from postbacks.api.monitoring.serializers import (
    HEALTH_OF_GAME_EXAMPLE,
    GameHealthSerializer,
    RetriedSerializer,
    RetrySerializer,
)
from postbacks.hub.overview import attention, notices, set_aside_work
from postbacks.hub.overview.backlog import read_backlog
from postbacks.hub.toolkit.config_rows import config_rows


class HealthViewSet(GameViewSet):
    tag = "Health and alerts"
    operations = {"retrieve": reads(Scope.POSTBACKS), "retry": requires(Scope.POSTBACKS, Role.ADMIN)}
    serializer_class = GameHealthSerializer

    @extend_schema(
        responses={200: GameHealthSerializer},
        examples=[OpenApiExample("Health", HEALTH_OF_GAME_EXAMPLE, response_only=True)],
    )
    def retrieve(self, request: Request, game: str) -> Response:
        """Return the health of each postback in the last 24 hours, and everything that needs attention. The worst is
        first.
        """
        rows = config_rows(self.game)
        backlog = read_backlog(self.game, attention.sendable(rows))
        items = notices.notices_of(self.game, rows, backlog, user=self.user)
        return Response(GameHealthSerializer({"postbacks": rows, "attention": items}).data)

    @extend_schema(
        request=RetrySerializer,
        responses={200: RetriedSerializer},
        examples=[
            OpenApiExample("Requests", {"queue": "digest"}, request_only=True),
            OpenApiExample("Queued", {"retried": 3}, response_only=True),
        ],
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, game: str) -> Response:
        """Retry the work of a queue that was set aside after failures."""
        queue = self.body(RetrySerializer)["queue"]
        return Response({"retried": set_aside_work.retry(self.game, queue)})
