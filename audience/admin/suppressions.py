"""The ids of erased players whose events are refused."""

from django.contrib import admin

from audience.admin.base import ReadOnly, fields_of, hub_page
from audience.models import Suppression


@admin.register(Suppression)
class SuppressionAdmin(ReadOnly):
    list_display = ["id", "game", "erasure", "created_at"]
    list_filter = ["game"]
    list_select_related = ["game", "erasure"]
    search_fields = ["erasure__id__exact"]
    search_help_text = "The ID of the erasure."
    fields = fields_of(Suppression, exclude=["hashes"])
    ordering = ["-created_at"]
    view_on_site = hub_page("privacy")
