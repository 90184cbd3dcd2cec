"""What came in."""

from django.contrib import admin

from audience.admin.reading import ReadOnly
from audience.models import Batch, Event, Rejection


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["id", "received_at", "kind", "name", "user_id", "anonymous_id", "dialect", "game_id", "test"]
    list_filter = ["kind", "dialect", "test"]
    search_fields = ["message_id__exact", "user_id__exact", "anonymous_id__exact"]
    search_help_text = "A whole message id, user id or anonymous id."
    ordering = ["-id"]


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "accepted", "duplicates", "rejected", "state", "error"]
    list_filter = ["state", "dialect", "game"]
    list_select_related = ["game"]
    ordering = ["-id"]


@admin.register(Rejection)
class RejectionAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "message_id", "errors"]
    list_filter = ["dialect", "game"]
    list_select_related = ["game"]
    search_fields = ["message_id__exact"]
    ordering = ["-id"]
