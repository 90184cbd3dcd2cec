"""Descriptions of events, and the batches that the event catalog has not counted yet."""

from django.contrib import admin

from audience.admin.base import ReadOnly, hub_page
from audience.models import DescribedEvent, UncountedBatches


@admin.register(DescribedEvent)
class DescribedEventAdmin(ReadOnly):
    list_display = ["name", "game", "description", "required", "updated_at", "updated_by"]
    list_filter = ["game"]
    list_select_related = ["game", "updated_by"]
    search_fields = ["name__exact"]
    search_help_text = "The full name of the event."
    ordering = ["game", "name"]
    view_on_site = hub_page("catalog")


@admin.register(UncountedBatches)
class UncountedBatchesAdmin(ReadOnly):
    list_display = ["id", "game", "batch_ids"]
    list_filter = ["game"]
    list_select_related = ["game"]
    ordering = ["id"]
