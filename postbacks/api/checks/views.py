"""Checks of credentials: their state and the network's answer."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import patterns
from audience.api.toolkit.operations import reads
from audience.api.toolkit.views import GameViewSet
from audience.models import Scope
from postbacks.api.checks.serializers import EXAMPLE, CheckSerializer
from postbacks.models import CredentialCheck


class CheckViewSet(GameViewSet):
    tag = "Postbacks"
    operations = {"retrieve": reads(Scope.POSTBACKS)}
    list_actions = frozenset()
    queryset = CredentialCheck.objects.none()
    serializer_class = CheckSerializer
    lookup_value_regex, id_schema = patterns.UUID, patterns.UUID_SCHEMA

    @extend_schema(examples=[OpenApiExample("Passed", EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a check. Read it every second until its state is no longer `pending`, for five minutes at most."""
        rows = CredentialCheck.objects.filter(game=self.game).select_related("requested_by").defer("credential")
        return Response(CheckSerializer(get_object_or_404(rows, pk=id)).data)
