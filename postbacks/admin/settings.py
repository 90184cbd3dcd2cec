"""The versions of postbacks, the goals of games, and checks of credentials."""

from django.contrib import admin
from django.urls import reverse

from audience.admin.base import ReadOnly, fields_of
from audience.admin.newest_rows import NewestRows
from postbacks.admin.network_filter import network_filter
from postbacks.models import ConfigVersion, CredentialCheck, GameGoal


@admin.register(ConfigVersion)
class ConfigVersionAdmin(ReadOnly):
    list_display = ["config", "number", "change", "set_by", "set_at", "enabled"]
    list_filter = ["enabled", network_filter("config__network"), "set_at"]
    list_select_related = ["config", "set_by"]
    search_fields = ["pixel_id", "change", "config__game__name"]
    ordering = ["-set_at", "-pk"]


@admin.register(CredentialCheck)
class CredentialCheckAdmin(ReadOnly):
    list_display = ["created_at", "network", "pixel_id", "game", "purpose", "state", "http_status", "provider_code"]
    list_filter = [network_filter("network"), "purpose", "state", "config", "game"]
    list_select_related = ["game"]
    newest = [
        NewestRows(by="created_at", of="config", if_chosen=True),
        NewestRows(by="created_at", of="game"),
    ]
    search_fields = ["pixel_id", "game__name"]
    ordering = ["-created_at"]
    fields = fields_of(CredentialCheck, exclude=("credential",))


@admin.register(GameGoal)
class GameGoalAdmin(ReadOnly):
    """Read-only: an edit here would skip the copies in the postbacks that use the goal."""

    list_display = ["name", "event", "game", "once", "server_only", "version", "updated_at"]
    list_filter = ["once", "server_only", "game"]
    newest = ()  # a user adds each
    list_select_related = ["game"]
    search_fields = ["name", "event", "game__name"]
    ordering = ["game__name", "name"]

    def view_on_site(self, goal: GameGoal) -> str:
        return reverse("goals", kwargs={"slug": goal.game.slug})
