"""Deliveries, replays, and the rate limiters of pixels."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from audience.admin.base import ReadOnly, ReadOnlyInline, fields_of
from audience.admin.newest_rows import NewestRows
from audience.admin.operations import confirmed_action, for_each
from postbacks.admin.network_filter import network_filter
from postbacks.delivery import replays
from postbacks.models import Delivery, DeliveryAttempt, Flow, Replay


class AttemptInline(ReadOnlyInline):
    model = DeliveryAttempt
    fields = fields_of(DeliveryAttempt, exclude=("id", "delivery", "config", "verdict", "payload"))
    ordering = ["number"]


def of_state(by: str, state: str) -> NewestRows:
    """Return the newest deliveries of a state, which has an index on (postback, `by`)."""
    return NewestRows(by=by, of="config", when={"state__exact": state}, where={"state": state})


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = [
        *("short_event_id", "network", "trigger", "state", "reason"),
        *("may_have_arrived", "attempts_made", "game", "config", "created_at"),
    ]
    list_filter = ["state", "may_have_arrived", network_filter("network"), "reason", "config", "game"]
    list_select_related = ["game", "config"]
    newest = [
        *(of_state(by, state) for by, state in (("finished_at", "failed"), ("event_at", "held"))),
        of_state("next_attempt_at", "waiting"),
        NewestRows(by="created_at", of="config", if_chosen=True),
        NewestRows(by="event_at", of="game"),
    ]
    search_fields = ["id__exact", "conversion__exact", "conversion__message_id__exact", "event_id__exact"]
    search_help_text = (
        "A full ID of the delivery, conversion or message. An event ID that the sender set is found among the newest "
        "rows only."
    )
    is_search_indexed = True
    searched_in_newest = ["event_id__exact"]
    ordering = ["-event_at"]
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
        explain=lambda row: replays.refusal(row) or "it is sent again",
    )
    def send_again(self, request: HttpRequest, rows: list[Delivery]) -> None:
        def send(row: Delivery) -> str:
            replays.send_again(row)
            return "The delivery was queued again."

        for_each(self, request, rows, send, refusals=(replays.NotSendable,))


@admin.register(Replay)
class ReplayAdmin(ReadOnly):
    list_display = ["created_at", "config", "game", "state", "total", "queued", "past_deadline", "requested_by"]
    list_filter = ["state", network_filter("config__network"), "game"]
    newest = ()  # a user starts each
    list_select_related = ["config", "game", "requested_by"]
    search_fields = ["config__pixel_id", "game__name"]
    ordering = ["-created_at"]

    def view_on_site(self, replay: Replay) -> str:
        return reverse("replays", kwargs={"slug": replay.game.slug, "network": replay.config.network})


@admin.register(Flow)
class FlowAdmin(ReadOnly):
    """The rate limiter and circuit breaker of each pixel."""

    list_display = ["pixel_id", "network", "failures", "open_until", "probing", "limited_at", "next_slot_at"]
    list_filter = [network_filter("network"), "probing", ("open_until", admin.EmptyFieldListFilter)]
    search_fields = ["pixel_id"]
    ordering = ["network", "pixel_id"]
