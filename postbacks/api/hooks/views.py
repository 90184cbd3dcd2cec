"""Webhooks: their events, secrets and messages. The Hub's page is postbacks/hub/alerts/."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from audience.api.toolkit import patterns
from audience.api.toolkit.fields import overlap_of
from audience.api.toolkit.operations import reads, requires
from audience.api.toolkit.problems import Refused
from audience.api.toolkit.views import GameViewSet
from audience.hub.toolkit.access import has_role
from audience.models import Role, Scope
from postbacks.api.hooks.serializers import (
    HOOK_EXAMPLE,
    MESSAGE_EXAMPLE,
    NEW_HOOK_EXAMPLE,
    HookChangeSerializer,
    HookCreateSerializer,
    HookRotateSerializer,
    HookSerializer,
    MessageSerializer,
    NewHookSerializer,
)
from postbacks.models import AlertHook, Notice
from postbacks.monitoring.alerts import hooks


class HookViewSet(GameViewSet):
    tag = "Webhooks"
    operations = {
        "list": reads(Scope.POSTBACKS),
        "retrieve": reads(Scope.POSTBACKS),
        "create": requires(Scope.POSTBACKS, Role.ADMIN),
        "partial_update": requires(Scope.POSTBACKS, Role.ADMIN),
        "rotate": requires(Scope.POSTBACKS, Role.ADMIN),
        "enable": requires(Scope.POSTBACKS, Role.ADMIN),
        "disable": requires(Scope.POSTBACKS, Role.ADMIN),
        "send_test": requires(Scope.POSTBACKS, Role.ADMIN),
        "destroy": requires(Scope.POSTBACKS, Role.ADMIN),
        "messages": reads(Scope.POSTBACKS),
    }
    without_body = frozenset({"disable", "enable", "send_test"})
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
        data = self.body(HookCreateSerializer)
        try:
            pair = hooks.add_hook(game=self.game, url=data["url"], events=data["events"], created_by=self.user)
        except hooks.HookRefused as refused:
            raise Refused(str(refused), field=refused.field) from refused
        return self._with_secret(pair)

    @extend_schema(
        request=HookChangeSerializer,
        examples=[
            OpenApiExample("Outcomes", {"events": ["conversion.failed", "erasure.completed"]}, request_only=True),
            OpenApiExample("Changed", HOOK_EXAMPLE, response_only=True),
        ],
    )
    def partial_update(self, request: Request, game: str, id: str) -> Response:
        """Choose the events of a webhook. Waiting messages about other events are deleted."""
        hook = self._hook(id)
        data = self.body(HookChangeSerializer, partial=True)
        if "events" in data:
            hooks.change_events(hook=hook, events=data["events"])
        return self._answered(hook)

    @extend_schema(
        request=HookRotateSerializer,
        responses={201: NewHookSerializer},
        examples=[
            OpenApiExample("A day", {"overlap_hours": 24}, request_only=True),
            OpenApiExample("Rotated", NEW_HOOK_EXAMPLE, response_only=True, status_codes=["201"]),
        ],
    )
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, game: str, id: str) -> Response:
        """Replace the secret of a webhook. During the overlap, messages are signed with both secrets. The new one is
        only in this answer.
        """
        overlap = overlap_of(self.body(HookRotateSerializer))
        hook = self._hook(id)
        return self._with_secret((hook, hooks.rotate_secret(hook=hook, overlap=overlap)))

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
        """Disable a webhook. Nothing is sent to it."""
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
        hooks.delete_hook(hook=self._hook(id))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        responses=MessageSerializer(many=True),
        filters=False,
        examples=[OpenApiExample("Message", MESSAGE_EXAMPLE, response_only=True)],
    )
    @action(detail=True)
    def messages(self, request: Request, game: str, id: str) -> Response:
        """List the messages about alerts to a webhook. The newest is first."""
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

    def _with_secret(self, pair: tuple[AlertHook, str]) -> Response:
        data = NewHookSerializer(pair, context=self.get_serializer_context()).data
        return Response(data, status=status.HTTP_201_CREATED)
