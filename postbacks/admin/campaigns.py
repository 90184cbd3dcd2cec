"""Ads as their clicks name them, what they cost, and what Steam counts."""

from django.contrib import admin

from audience.admin.base import ReadOnly, hub_page
from audience.admin.newest_rows import NewestRows
from audience.templatetags.hub import amount
from postbacks.admin.network_filter import network_filter
from postbacks.models import AdCost, Advert, CostUpload, SteamUpload, SteamVisits


class UploadAdmin(ReadOnly):
    list_display = ["name", "uploaded_at", "uploaded_by", "rows", "replaced", "first_day", "last_day", "game"]
    list_filter = ["game"]
    list_select_related = ["game"]
    newest = [NewestRows(by="uploaded_at", of="game", if_chosen=True), NewestRows()]
    search_fields = ["name", "uploaded_by"]
    ordering = ["-uploaded_at", "-pk"]


@admin.register(Advert)
class AdvertAdmin(ReadOnly):
    list_display = ["campaign", "ad_group", "ad", "network", "game"]
    list_filter = [network_filter("network"), "game"]
    list_select_related = ["game"]
    search_fields = ["campaign", "ad_group", "ad"]
    ordering = ["-pk"]
    view_on_site = hub_page("campaigns")


@admin.register(AdCost)
class AdCostAdmin(ReadOnly):
    """Read-only: an upload for the same days and campaigns replaces rows."""

    list_display = ["day", "network", "campaign", "spent", "clicks", "impressions", "game"]
    list_filter = [network_filter("network"), "day", "game"]
    list_select_related = ["game"]
    newest = [NewestRows(by="day", of="game", if_chosen=True), NewestRows()]
    search_fields = ["campaign"]
    ordering = ["-day", "-pk"]
    fields = ("game", "day", "network", "campaign", "spent", "clicks", "impressions")
    view_on_site = hub_page("costs")

    @admin.display(description="spend")
    def spent(self, cost: AdCost) -> str:
        return amount(cost.spend, cost.currency)


@admin.register(CostUpload)
class CostUploadAdmin(UploadAdmin):
    view_on_site = hub_page("costs")


@admin.register(SteamVisits)
class SteamVisitsAdmin(ReadOnly):
    """Read-only: an upload for the same days replaces rows."""

    list_display = ["day", "campaign", "source", "visits", "wishlists", "purchases", "activations", "game"]
    list_filter = ["day", "game"]
    list_select_related = ["game"]
    newest = [NewestRows(by="day", of="game", if_chosen=True), NewestRows()]
    search_fields = ["campaign", "source"]
    ordering = ["-day", "-pk"]
    view_on_site = hub_page("steam-numbers")


@admin.register(SteamUpload)
class SteamUploadAdmin(UploadAdmin):
    view_on_site = hub_page("steam-numbers")
