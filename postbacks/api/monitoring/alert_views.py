"""Alerts, how a member receives them, and the webhooks that receive them. The Hub's page is postbacks/hub/alerts/."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import patterns
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Conflict, Refused
from audience.api.toolkit.queries import PagedQuery, PeriodQuery, times_of
from audience.api.toolkit.views import GameViewSet
from audience.database import clock
from audience.hub.toolkit.access import has_role
from audience.models import Role, Scope
from postbacks.api.monitoring.serializers import (
    ALERT_EXAMPLE,
    HOOK_EXAMPLE,
    MESSAGE_EXAMPLE,
    NEW_HOOK_EXAMPLE,
    AlertChoiceBodySerializer,
    AlertChoiceSerializer,
    AlertSerializer,
    HookCreateSerializer,
    HookSerializer,
    MessageSerializer,
    NewHookSerializer,
)
from postbacks.models import Alert, AlertFrequency, AlertHook, Notice
from postbacks.monitoring.alerts import hooks, listed, recipients

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


class HookViewSet(GameViewSet):
    tag = "Health and alerts"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.ADMIN),
        "enable": requires(Scope.POSTBACKS, Role.ADMIN),
        "disable": requires(Scope.POSTBACKS, Role.ADMIN),
        "send_test": requires(Scope.POSTBACKS, Role.ADMIN),
        "destroy": requires(Scope.POSTBACKS, Role.ADMIN),
        "messages": reads(Scope.POSTBACKS),
    }
    list_actions = frozenset({"list", "messages"})
    queryset = AlertHook.objects.none()
    serializer_class = HookSerializer
    lookup_value_regex = patterns.NUMBER

    @property
    def is_admin(self) -> bool:
        """Whether the URLs may be shown."""
        return has_role(self.membership, Role.ADMIN)

    @extend_schema(examples=[OpenApiExample("Webhook", HOOK_EXAMPLE, response_only=True)])
    def list(self, request: Request, game: str) -> Response:
        """List the webhooks of a game. The newest is first."""
        return self.paginated(AlertHook.objects.filter(game=self.game), HookSerializer)

    @extend_schema(examples=[OpenApiExample("Webhook", HOOK_EXAMPLE, response_only=True)])
    def retrieve(self, request: Request, game: str, id: str) -> Response:
        """Return a webhook. Its secret is never shown again."""
        return self._answered(self._hook(id))

    @extend_schema(
        request=HookCreateSerializer,
        responses={201: NewHookSerializer},
        examples=[
            OpenApiExample("URL", {"url": HOOK_EXAMPLE["url"]}, request_only=True),
            OpenApiExample("Created", NEW_HOOK_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request, game: str) -> Response:
        """Create a webhook. Its `secret`, by which the receiver verifies signatures, is only in this answer."""
        url = self.body(HookCreateSerializer)["url"]
        try:
            pair = hooks.add_hook(game=self.game, url=url, created_by=self.user)
        except hooks.HookRefused as refused:
            raise Refused(str(refused), field="url") from refused
        data = NewHookSerializer(pair, context=self.get_serializer_context()).data
        return Response(data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, examples=[OpenApiExample("Enabled", HOOK_EXAMPLE, response_only=True)])
    @action(detail=True, methods=["post"])
    def enable(self, request: Request, game: str, id: str) -> Response:
        """Enable a webhook."""
        return self._set_enabled(id, enabled=True)

    @extend_schema(
        request=None, examples=[OpenApiExample("Disabled", {**HOOK_EXAMPLE, "enabled": False}, response_only=True)]
    )
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, game: str, id: str) -> Response:
        """Disable a webhook. Alerts are not sent to it."""
        return self._set_enabled(id, enabled=False)

    @extend_schema(
        request=None,
        responses={202: MessageSerializer},
        examples=[OpenApiExample("Queued", {**MESSAGE_EXAMPLE, "state": "waiting"}, response_only=True)],
    )
    @action(detail=True, methods=["post"], url_path="test")
    def send_test(self, request: Request, game: str, id: str) -> Response:
        """Send a test message. What the webhook answers is in its messages."""
        notice = hooks.request_test(hook=self._hook(id))
        return Response(MessageSerializer(notice).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, game: str, id: str) -> Response:
        """Delete a webhook and its secret."""
        self._hook(id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        responses=MessageSerializer(many=True),
        filters=False,
        examples=[OpenApiExample("Message", MESSAGE_EXAMPLE, response_only=True)],
    )
    @action(detail=True)
    def messages(self, request: Request, game: str, id: str) -> Response:
        """List the messages to a webhook. The newest is first."""
        rows = Notice.objects.filter(game=self.game, hook=self._hook(id)).select_related("alert")
        return self.paginated(rows, MessageSerializer)

    def _set_enabled(self, id: str, *, enabled: bool) -> Response:
        hook = self._hook(id)
        hooks.set_hook_enabled(hook=hook, enabled=enabled)
        return self._answered(hook)

    def _hook(self, id: str) -> AlertHook:
        return get_object_or_404(AlertHook, game=self.game, pk=id)

    def _answered(self, hook: AlertHook) -> Response:
        data: Any = HookSerializer(hook, context=self.get_serializer_context()).data
        return Response(data)
