"""The history of a postback: its versions and the checks of its credential."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads
from audience.models import Scope
from postbacks.api.checks.serializers import EXAMPLE as CHECK_EXAMPLE
from postbacks.api.checks.serializers import CheckSerializer
from postbacks.api.postbacks.base import PostbackBase
from postbacks.api.postbacks.serializers import VersionSerializer
from postbacks.api.postbacks.settings import GOAL_EXAMPLE
from postbacks.models import ConfigVersion, CredentialCheck, PostbackConfig

VERSION_EXAMPLE = {
    "number": 3,
    "change": "Goals changed",
    "pixel_id": "CABC1234567890",
    "triggers": ["game_launch", "purchase"],
    "goals": [GOAL_EXAMPLE],
    "enabled": True,
    "set_by": "ada@studio.example",
    "set_at": "2026-11-20T16:00:00Z",
}


class HistoryActions(PostbackBase):
    operations = {"versions": reads(Scope.POSTBACKS), "checks": reads(Scope.POSTBACKS)}
    list_actions = frozenset({"versions", "checks"})

    @extend_schema(
        responses=VersionSerializer(many=True),
        filters=False,
        examples=[OpenApiExample("Version", VERSION_EXAMPLE, response_only=True)],
    )
    @action(detail=True, filterset_class=None, ordering_field="set_at")
    def versions(self, request: Request, game: str, id: str) -> Response:
        """List the versions of a postback. The newest is first; a deleted postback keeps them."""
        rows = ConfigVersion.objects.filter(config=self._any_config(id)).select_related("set_by")
        return self.paginated(rows, VersionSerializer)

    @extend_schema(
        responses=CheckSerializer(many=True),
        filters=False,
        examples=[OpenApiExample("Check", CHECK_EXAMPLE, response_only=True)],
    )
    @action(detail=True, filterset_class=None, ordering_field="created_at")
    def checks(self, request: Request, game: str, id: str) -> Response:
        """List the checks of a postback's credential. The newest is first."""
        rows = CredentialCheck.objects.filter(config=self._any_config(id)).select_related("requested_by")
        return self.paginated(rows.defer("credential"), CheckSerializer)

    def _any_config(self, id: str) -> Any:
        """Return the id of a postback of the game, which may be deleted. Raises Http404."""
        rows = PostbackConfig.objects.filter(game=self.game).only("pk")
        return get_object_or_404(rows, pk=id).pk
