"""Events, batches and rejections."""

from django.contrib import admin, messages
from django.http import HttpRequest

from audience.admin.base import ReadOnly, fields_of, masks
from audience.admin.lists import GameFilter
from audience.admin.newest_rows import NewestRows
from audience.admin.operations import confirmed_action
from audience.background import set_aside
from audience.models import Batch, Event, Rejection

# Columns that may contain a push token, a key or a password from the sender; shown masked.
EVENT_PAYLOAD_FIELDS = ("name", "message_id", "links", "properties", "traits", "context", "integrations", "raw")
REJECTION_PAYLOAD_FIELDS = ("message_id", "errors", "frame", "subjects", "raw")


@admin.register(Event)
@masks(*EVENT_PAYLOAD_FIELDS)
class EventAdmin(ReadOnly):
    list_display = ["id", "received_at", "kind", "masked_name", "user_id", "anonymous_id", "dialect", "game_id", "test"]
    list_filter = ["kind", "dialect", "test", GameFilter]
    newest = [NewestRows(of="game", if_chosen=True), NewestRows()]
    search_fields = ["message_id__exact", "user_id__exact", "anonymous_id__exact", "device_id__exact"]
    search_help_text = (
        "A full message ID (after “server:” if it was sent with a server key), user ID, anonymous ID or device ID."
    )
    is_search_indexed = True
    fields = fields_of(Event, masked=EVENT_PAYLOAD_FIELDS)
    ordering = ["-id"]


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "accepted", "duplicates", "rejected", "state", "error"]
    list_filter = ["state", "dialect", "game"]
    list_select_related = ["game"]
    newest = [NewestRows(when={"state__exact": "failed"}, where={"state": "failed"}), NewestRows()]
    ordering = ["-id"]
    actions = ["digest_again"]

    @confirmed_action(
        "Process again",
        permission="operate",
        title="Process these requests again?",
        warning="Only requests in the state Failed are processed again. Each is tried separately, and set aside "
        "again if it keeps failing.",
    )
    def digest_again(self, request: HttpRequest, rows: list[Batch]) -> None:
        number = set_aside.retry_failed_batches(Batch.objects.filter(pk__in=[row.pk for row in rows]))
        level = messages.SUCCESS if number else messages.WARNING
        self.message_user(request, f"Queued again: {number}.", level)


@admin.register(Rejection)
@masks(*REJECTION_PAYLOAD_FIELDS)
class RejectionAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "masked_message_id", "masked_errors"]
    list_filter = ["dialect", "game"]
    list_select_related = ["game"]
    newest = [NewestRows(of="game", if_chosen=True), NewestRows()]
    search_fields = ["message_id__exact"]
    search_help_text = "A full message ID."
    fields = fields_of(Rejection, masked=REJECTION_PAYLOAD_FIELDS)
    ordering = ["-id"]
