"""Joins of browsers with players, and claim codes."""

from django.contrib import admin

from audience.admin.base import ReadOnly, fields_of, hub_page
from audience.models import ClaimCode, Join

SEARCHED = "A full anonymous ID, or the full ID of a player."


@admin.register(Join)
class JoinAdmin(ReadOnly):
    list_display = ["id", "kind", "anonymous_id", "player_id", "game", "joined_at"]
    list_filter = ["kind", "game"]
    list_select_related = ["game"]
    search_fields = ["anonymous_id__exact", "player_id__exact"]
    search_help_text = SEARCHED
    is_search_indexed = True
    fields = fields_of(Join, exclude=["key"])
    ordering = ["-id"]
    view_on_site = hub_page("joins")


@admin.register(ClaimCode)
class ClaimCodeAdmin(ReadOnly):
    list_display = ["id", "anonymous_id", "player_id", "game", "created_at", "expires_at"]
    list_filter = ["game"]
    list_select_related = ["game"]
    search_fields = ["anonymous_id__exact", "player_id__exact"]
    search_help_text = SEARCHED
    is_search_indexed = True
    fields = fields_of(ClaimCode, exclude=["digest"])
    ordering = ["-id"]
    view_on_site = hub_page("joins")
