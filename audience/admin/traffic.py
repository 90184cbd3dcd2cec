"""Events, batches and rejections."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from audience.admin.base import ReadOnly, confirmation_page, fields_of, masks
from audience.background import retries
from audience.models import Batch, Event, Rejection

# Fields into which a sender may have put a push token, a key or a password; shown masked.
EVENT_PAYLOAD_FIELDS = ("name", "message_id", "links", "properties", "traits", "context", "integrations", "raw")
REJECTION_PAYLOAD_FIELDS = ("message_id", "errors", "frame", "subjects", "raw")


@admin.register(Event)
@masks(*EVENT_PAYLOAD_FIELDS)
class EventAdmin(ReadOnly):
    list_display = ["id", "received_at", "kind", "masked_name", "user_id", "anonymous_id", "dialect", "game_id", "test"]
    list_filter = ["kind", "dialect", "test"]
    search_fields = ["message_id__exact", "user_id__exact", "anonymous_id__exact"]
    search_help_text = "A whole message id (after “server:” if it came with a server’s key), user id or anonymous id."
    fields = [*fields_of(Event, besides=EVENT_PAYLOAD_FIELDS), *(f"masked_{name}" for name in EVENT_PAYLOAD_FIELDS)]
    ordering = ["-id"]


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "accepted", "duplicates", "rejected", "state", "error"]
    list_filter = ["state", "dialect", "game"]
    list_select_related = ["game"]
    ordering = ["-id"]
    actions = ["digest_again"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """The change permission allows digesting again; the row itself is read-only."""
        return request.user.has_perm("audience.change_batch")

    @admin.action(description="Digest again", permissions=["operate"])
    def digest_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        confirmation = confirmation_page(
            self,
            request,
            queryset,
            action="digest_again",
            title="Digest these requests again?",
            warning="Only those in the state Failed are: each is tried alone, and set aside again if it keeps failing.",
            button="Digest again",
        )
        if confirmation is None:
            number = retries.retry_batches(Batch.objects.filter(pk__in=queryset.values("pk")))
            level = messages.SUCCESS if number else messages.WARNING
            self.message_user(request, f"To be digested again: {number}.", level)
        return confirmation


@admin.register(Rejection)
@masks(*REJECTION_PAYLOAD_FIELDS)
class RejectionAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "masked_message_id", "masked_errors"]
    list_filter = ["dialect", "game"]
    list_select_related = ["game"]
    search_fields = ["message_id__exact"]
    fields = [
        *fields_of(Rejection, besides=REJECTION_PAYLOAD_FIELDS),
        *(f"masked_{name}" for name in REJECTION_PAYLOAD_FIELDS),
    ]
    ordering = ["-id"]
