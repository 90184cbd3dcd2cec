"""What an operator may look at, and one thing to do: send a failed delivery again. The Hub does the rest."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from postbacks import replays
from postbacks.models import CredentialCheck, Delivery, DeliveryAttempt, PostbackConfig


class ReadOnly:
    """Seen by whom the permissions let see, changed by nobody."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _of(model: type[Model], *, besides: tuple[str, ...] = ()) -> list[Any]:
    return [field.name for field in model._meta.fields if field.name not in besides]


@admin.register(PostbackConfig)
class PostbackConfigAdmin(ReadOnly, admin.ModelAdmin[PostbackConfig]):
    """Read-only: what it says has been accepted by the network, and an edit here would not have been."""

    list_display = ["pixel_id", "network", "game", "enabled", "has_credential", "version", "validated_at", "deleted_at"]
    list_filter = ["network", "enabled", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["game"]
    search_fields = ["pixel_id", "game__name"]
    fields = (*_of(PostbackConfig, besides=("credential", "previous_credential")), "has_credential")
    show_full_result_count = False

    @admin.display(description="credential")
    def has_credential(self, config: PostbackConfig) -> str:
        if config.credential.sealed:
            return "•••• unreadable: its key is missing"
        return "•••• set" if config.credential else "none"


@admin.register(CredentialCheck)
class CredentialCheckAdmin(ReadOnly, admin.ModelAdmin[CredentialCheck]):
    list_display = ["created_at", "network", "pixel_id", "game", "state", "http_status", "provider_code"]
    list_filter = ["network", "state"]
    list_select_related = ["game"]
    search_fields = ["pixel_id", "game__name"]
    date_hierarchy = "created_at"
    fields = _of(CredentialCheck, besides=("credential",))
    show_full_result_count = False


class AttemptInline(ReadOnly, admin.TabularInline[DeliveryAttempt, Delivery]):
    model = DeliveryAttempt
    fields = [
        "number",
        "status",
        "http_status",
        "latency_ms",
        "provider_code",
        "message",
        "request_id",
        "config_version",
        "started_at",
        "finished_at",
    ]
    ordering = ["number"]
    extra = 0


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin[Delivery]):
    list_display = [
        "event_id",
        "network",
        "trigger",
        "state",
        "reason",
        "attempts_made",
        "game",
        "config",
        "created_at",
    ]
    list_filter = ["state", "network", "reason", "game"]
    list_select_related = ["game", "config"]
    search_fields = ["=event_id", "config__pixel_id"]
    date_hierarchy = "created_at"
    fields = _of(Delivery)
    inlines = [AttemptInline]
    actions = ["send_again"]
    show_full_result_count = False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """The row itself is nobody's to edit; the right to change it is the right to send it again."""
        return request.user.has_perm("postbacks.change_delivery")

    @admin.action(description="Send again", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        sent = 0
        for row in queryset:
            try:
                replays.send_again(row)
            except replays.NotSendable as problem:
                self.message_user(request, f"{row.event_id}: {problem}", messages.WARNING)
                continue
            self.log_change(request, row, "Sent again.")
            sent += 1
        if sent:
            self.message_user(request, f"Queued again: {sent}.", messages.SUCCESS)
