"""Joins of browsers with players, claim codes, and modeled matches."""

from django.contrib import admin

from audience.admin.base import ReadOnly, fields_of, hub_page
from audience.models import ClaimCode, Join, ModeledMatch

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


@admin.register(ModeledMatch)
class ModeledMatchAdmin(ReadOnly):
    list_display = ["id", "result", "conversion", "game", "decided_at"]
    list_filter = ["result", "game"]
    list_select_related = ["game", "conversion"]
    search_fields = ["conversion__id__exact"]
    search_help_text = "The full ID of a conversion."
    is_search_indexed = True
    ordering = ["-id"]
    view_on_site = hub_page("joins")
