"""Tracking links."""

from django.contrib import admin

from audience.admin.base import ReadOnly, hub_page
from audience.models import TrackingLink


@admin.register(TrackingLink)
class TrackingLinkAdmin(ReadOnly):
    list_display = ["name", "game", "slug", "destination", "consent", "created_at", "archived_at"]
    list_filter = ["game", "consent"]
    list_select_related = ["game"]
    search_fields = ["slug__exact"]
    search_help_text = "The full slug, as in /go/<slug>."
    view_on_site = hub_page("links")
