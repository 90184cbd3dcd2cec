"""Rejected messages: list, retrieve, replay. The Hub's pages are audience/hub/events/."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.events.queries import MessageQuery, filter_of
from audience.api.rejections.serializers import (
    DETAIL_EXAMPLE,
    EXAMPLE,
    REPLAYED_EXAMPLE,
    RejectionDetailSerializer,
    RejectionSerializer,
    ReplayedRejectionSerializer,
    detail_values,
    rejection_values,
    violation_values,
)
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.pagination import CURSOR, INVALID_CURSOR, answer, cursor_of, limit_of
from audience.api.toolkit.patterns import NUMBER
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.views import GameViewSet
from audience.hub.events import selection
from audience.intake.rejections import (
    REVALIDATION_TEXTS,
    RevalidationStatus,
    revalidate_rejection,
    revalidation_obstacle,
)
from audience.models import Rejection, Role, Scope


class RejectionViewSet(GameViewSet):
    tag = "Events"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "replay": requires(Scope.POSTBACKS, Role.MARKETER),
    }
    without_body = frozenset({"replay"})
    queries = {"list": MessageQuery}
    list_actions = frozenset()
    lookup_value_regex = NUMBER
    queryset = Rejection.objects.none()
    serializer_class = RejectionSerializer

    @extend_schema(examples=[OpenApiExample("Rejected message", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List rejected messages. The newest is first. `kind` and `name` find the text as a whole value of the message.

        `id` finds an ID as it was sent.
        """
        filters = filter_of(self.query(), self.game, status="rejected")
        position = cursor_of(request)
        if position and selection.parse_cursor(position) == (None, None):
            raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
        found = selection.select(self.game, filters.starting(before=position), size=limit_of(request))
        values = [rejection_values(row, addresses=self.addresses) for row in found.rows]
        return answer(request, RejectionSerializer(values, many=True).data, older=found.older)

    @extend_schema(
        responses=RejectionDetailSerializer,
        examples=[OpenApiExample("Rejected message", DETAIL_EXAMPLE, response_only=True)],
    )
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a rejected message with its content."""
        values = detail_values(self._rejection(id), addresses=self.addresses)
        return Response(RejectionDetailSerializer(values).data)

    @extend_schema(
        request=None,
        responses=ReplayedRejectionSerializer,
        examples=[OpenApiExample("Still rejected", REPLAYED_EXAMPLE, response_only=True)],
    )
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, game: str, id: str) -> Response:
        """Validate a rejected message again. The current rules and the original time of receipt apply.

        If it is valid now, it is accepted, and the rejection no longer exists. A message that cannot be validated, such
        as one whose key was deleted, is answered with 409.
        """
        row = self._rejection(id)
        try:
            result = revalidate_rejection(rejection=row, requested_by=self.actor)
        except Rejection.DoesNotExist:
            raise Http404 from None
        text = REVALIDATION_TEXTS[result.status]
        if result.status == RevalidationStatus.IMPOSSIBLE:
            raise Conflict(f"{text} {revalidation_obstacle(row)}".strip(), code="impossible")
        errors = violation_values(result.errors, addresses=self.addresses)
        values = {"status": result.status.value, "message": text, "errors": errors}
        return Response(ReplayedRejectionSerializer(values).data)

    def stored_data(self, data: Any) -> Any:
        return {**data, "errors": []}  # errors may have values of a player

    def _rejection(self, id: str) -> Any:
        rows = selection.with_titles(Rejection.objects.select_related("key"))
        return get_object_or_404(rows, game=self.game, pk=id)
