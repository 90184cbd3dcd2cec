"""Representations of webhooks and their messages."""

from typing import Any

from rest_framework import serializers

from audience.api.toolkit.fields import OverlapHours
from audience.api.toolkit.serializers import ReadSerializer, StrictSerializer
from postbacks.models import ALERT_EVENTS, AlertHook, HookEvent, NoticeKind, NoticeState
from postbacks.monitoring.alerts import hooks

HOOK_EXAMPLE: dict[str, Any] = {
    "id": 4,
    "host": "hooks.studio.example",
    "url": "https://hooks.studio.example/afterclick",
    "events": ["alert.opened", "alert.recovered"],
    "enabled": True,
    "disabled_because": "",
    "created_at": "2026-11-02T09:30:00Z",
}
NEW_HOOK_EXAMPLE = {**HOOK_EXAMPLE, "secret": "whsec_0dJ4b1cWm2rQh6t8uY3xZ5kVnL7pAaEe"}
MESSAGE_EXAMPLE: dict[str, Any] = {
    "id": "71a2b3c4-d5e6-4f70-8192-a3b4c5d6e7f8",
    "kind": "test",
    "label": "Test",
    "state": "sent",
    "attempts_made": 1,
    "message": "It answered 200.",
    "alert": None,
    "created_at": "2026-11-21T10:00:00Z",
    "finished_at": "2026-11-21T10:00:01Z",
}


class HookSerializer(ReadSerializer):
    """A URL of the studio that receives signed messages."""

    id = serializers.IntegerField()
    host = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField(help_text="Only for the role of an admin, since its path may be secret.")
    events = serializers.ListField(child=serializers.ChoiceField(HookEvent.choices))
    enabled = serializers.BooleanField()
    disabled_because = serializers.CharField(help_text="Why it was disabled automatically; empty otherwise.")
    created_at = serializers.DateTimeField()

    def get_host(self, hook: AlertHook) -> str:
        return hooks.host_of(hook.url)

    def get_url(self, hook: AlertHook) -> str | None:
        return hook.url if self.context["view"].is_admin else None


class NewHookSerializer(HookSerializer):
    """A webhook with its secret, which is shown only in this answer."""

    secret = serializers.CharField()

    def to_representation(self, pair: tuple[AlertHook, str]) -> dict[str, Any]:
        hook, secret = pair
        return {**HookSerializer(hook, context=self.context).data, "secret": secret}


class EventsField(serializers.ListField):
    """The events that are sent to the webhook."""

    child = serializers.ChoiceField(HookEvent.choices)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=1, max_length=len(HookEvent), **kwargs)


class HookCreateSerializer(StrictSerializer):
    url = serializers.CharField(max_length=500, help_text="An https:// URL of your own server.")
    events = EventsField(default=list(ALERT_EVENTS))


class HookChangeSerializer(StrictSerializer):
    events = EventsField()


class HookRotateSerializer(StrictSerializer):
    overlap_hours = OverlapHours()


class MessageSerializer(ReadSerializer):
    """A message to a webhook, and what it answered."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(NoticeKind.choices)
    label = serializers.CharField()  # type: ignore[assignment]  # the name of a property of fields
    state = serializers.ChoiceField(NoticeState.choices)
    attempts_made = serializers.IntegerField()
    message = serializers.CharField(help_text="The result of the last attempt.")
    alert = serializers.UUIDField(source="alert_id", allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
