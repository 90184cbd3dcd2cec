"""Alerts, and how a member receives them. The Hub's page is postbacks/hub/alerts/."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict
from audience.api.toolkit.queries import PagedQuery, PeriodQuery, times_of
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.models import Role, Scope
from postbacks.api.monitoring.serializers import (
    ALERT_EXAMPLE,
    AlertChoiceBodySerializer,
    AlertChoiceSerializer,
    AlertSerializer,
)
from postbacks.models import Alert, AlertFrequency
from postbacks.monitoring.alerts import listed, recipients

NO_MEMBER = "A token of a game has no email address. Use the token of a member."


class AlertQuery(PagedQuery, PeriodQuery):
    """Alerts that were on at any time of the period; all without one."""


class AlertViewSet(GameViewSet):
    tag = "Health and alerts"
    operations = {"list": reads(Scope.POSTBACKS)}
    queries = {"list": AlertQuery}
    list_actions = frozenset()
    ordering_field = "opened_at"
    queryset = Alert.objects.none()
    serializer_class = AlertSerializer

    @extend_schema(examples=[OpenApiExample("Alert", ALERT_EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the alerts of a game. The newest is first."""
        query, rows = self.query(), listed.alerts_of(self.game)
        if "from" in query or "to" in query:
            since, until = times_of(query, zone=self.game.zone, now=clock.now(), days=1)
            rows = listed.alerts_between(self.game, since, until)
        return self.get_paginated_response(AlertSerializer(self.paginate_queryset(rows), many=True).data)


class AlertChoiceViewSet(GameViewSet):
    tag = "Health and alerts"
    operations = {"retrieve": reads(Scope.POSTBACKS), "update": requires(Scope.POSTBACKS, Role.VIEWER)}
    conflicting_reads = frozenset({"retrieve"})
    serializer_class = AlertChoiceSerializer

    @extend_schema(
        responses={200: AlertChoiceSerializer},
        examples=[OpenApiExample("At once", {"frequency": "at_once"}, response_only=True)],
    )
    def retrieve(self, request: Request, game: str) -> Response:
        """Return how the member of the token receives alerts by email."""
        self._require_member()
        chosen = recipients.choice_of(game=self.game, user=self.user, role=self.membership.role)
        return Response({"frequency": chosen})

    @extend_schema(
        request=AlertChoiceBodySerializer,
        responses={200: AlertChoiceSerializer},
        examples=[OpenApiExample("Daily", {"frequency": "daily"})],
    )
    def update(self, request: Request, game: str) -> Response:
        """Choose how the member of the token receives alerts by email."""
        self._require_member()
        frequency = AlertFrequency(self.body(AlertChoiceBodySerializer)["frequency"])
        recipients.choose(game=self.game, user=self.user, frequency=frequency)
        return Response({"frequency": frequency})

    def _require_member(self) -> None:
        if self.user is None:
            raise Conflict(NO_MEMBER)
