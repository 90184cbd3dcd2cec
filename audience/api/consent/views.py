"""Consent decisions: the history of an anonymous ID, and setting one. The Hub shows them on its page Privacy."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.consent.serializers import EXAMPLE, DecisionSerializer, NewDecisionSerializer, decision_values
from audience.api.toolkit.operations import requires
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.views import GameViewSet
from audience.ids.values import canonical, clean
from audience.models import Role, Scope
from audience.privacy.decisions import DecisionRefused, set_decision
from consent.models import ConsentDecision, Level


class DecisionFilter(filters.FilterSet):
    anonymous_id = filters.CharFilter(method="filter_id", required=True, label="The ID, compared exactly.")

    def filter_id(self, rows: Any, name: str, value: str) -> Any:
        return rows.filter(anonymous_id=canonical(clean(value)))


class ConsentViewSet(GameViewSet):
    tag = "Privacy"
    operations = {
        "list": requires(Scope.PRIVACY, Role.ADMIN),
        "update": requires(Scope.PRIVACY, Role.ADMIN),
    }
    filterset_class = DecisionFilter
    ordering_field = "decided_at"
    queryset = ConsentDecision.objects.none()
    serializer_class = DecisionSerializer

    @extend_schema(examples=[OpenApiExample("Decision", EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the consent decisions of an anonymous ID. The newest is first, and in force.

        Which level applies to a conversion also depends on what its event states; its trail says it.
        """
        page = self.paginate_queryset(self.filter_queryset(ConsentDecision.objects.filter(game_id=self.game.pk))) or []
        values = [decision_values(row, addresses=self.addresses) for row in page]
        return self.get_paginated_response(DecisionSerializer(values, many=True).data)

    @extend_schema(
        request=NewDecisionSerializer,
        responses=DecisionSerializer,
        examples=[
            OpenApiExample(
                "Withdraw",
                {"anonymous_id": EXAMPLE["anonymous_id"], "level": "none", "source": "support"},
                request_only=True,
            ),
            OpenApiExample("Recorded", {**EXAMPLE, "level": "none"}, response_only=True),
        ],
    )
    def update(self, request: Request, game: str) -> Response:
        """Record a consent decision of an anonymous ID. It is in force from now on, as one that a client records.

        A lower level also applies to conversions that are waiting. The decision and who made it are in the audit log.
        An ID of an erased player whose later events are refused is answered with 409.
        """
        data = self.body(NewDecisionSerializer)
        try:
            decision = set_decision(
                game=self.game,
                anonymous_id=data["anonymous_id"],
                level=Level(data["level"]),
                source=data["source"],
            )
        except DecisionRefused as refused:
            raise Conflict(str(refused), field="anonymous_id", code="suppressed") from None
        return Response(DecisionSerializer(decision_values(decision, addresses=self.addresses)).data)
