"""Deliveries, replays, and the rate limiters of pixels."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from audience.admin.base import ReadOnly, ReadOnlyInline, confirmed_action, fields_of
from postbacks.delivery import replays
from postbacks.models import Delivery, DeliveryAttempt, Flow, Replay


class AttemptInline(ReadOnlyInline):
    model = DeliveryAttempt
    fields = fields_of(DeliveryAttempt, exclude=("id", "delivery", "config", "verdict", "payload"))
    ordering = ["number"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = [
        *("short_event_id", "network", "trigger", "state", "reason"),
        *("may_have_arrived", "attempts_made", "game", "config", "created_at"),
    ]
    list_filter = ["state", "may_have_arrived", "network", "reason", "game"]
    list_select_related = ["game", "config"]
    search_fields = ["=event_id", "config__pixel_id"]
    date_hierarchy = "created_at"
    fields = fields_of(Delivery)
    inlines = [AttemptInline]
    actions = ["send_again"]

    @admin.display(description="Event ID", ordering="event_id")
    def short_event_id(self, delivery: Delivery) -> str:
        """Return the beginning of the id, which is enough to identify a row."""
        return f"{delivery.event_id[:8]}…" if len(delivery.event_id) > 9 else delivery.event_id

    def view_on_site(self, delivery: Delivery) -> str | None:
        if delivery.conversion_id is None:
            return None
        return reverse("conversion", kwargs={"slug": delivery.game.slug, "pk": delivery.conversion_id})

    @confirmed_action(
        "Send again",
        permission="operate",
        title="Send these deliveries again?",
        warning="Each is sent with the same event ID as before, so the network counts it once.",
    )
    def send_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        sent = 0
        for row in queryset:
            try:
                replays.send_again(row)
            except replays.NotSendable as problem:
                self.message_user(request, f"{row.event_id}: {problem}", messages.WARNING)
                continue
            self.log_change(request, row, "The delivery was queued again.")
            sent += 1
        if sent:
            self.message_user(request, f"Queued again: {sent}.", messages.SUCCESS)


@admin.register(Replay)
class ReplayAdmin(ReadOnly):
    list_display = ["created_at", "config", "game", "state", "total", "queued", "past_deadline", "requested_by"]
    list_filter = ["state", "config__network", "game"]
    list_select_related = ["config", "game", "requested_by"]
    search_fields = ["config__pixel_id", "game__name"]
    ordering = ["-created_at"]

    def view_on_site(self, replay: Replay) -> str:
        return reverse("replays", kwargs={"slug": replay.game.slug, "network": replay.config.network})


@admin.register(Flow)
class FlowAdmin(ReadOnly):
    """The rate limiter and circuit breaker of each pixel."""

    list_display = ["pixel_id", "network", "failures", "open_until", "probing", "limited_at", "next_slot_at"]
    list_filter = ["network", "probing", ("open_until", admin.EmptyFieldListFilter)]
    search_fields = ["pixel_id"]
    ordering = ["network", "pixel_id"]
