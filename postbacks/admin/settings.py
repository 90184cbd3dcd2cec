"""Postbacks, their versions, the goals of games, and checks of credentials."""

from django.contrib import admin
from django.urls import reverse

from audience.admin.base import ReadOnly, fields_of
from postbacks.models import ConfigVersion, CredentialCheck, GameGoal, PostbackConfig


@admin.register(PostbackConfig)
class PostbackConfigAdmin(ReadOnly):
    """Read-only: the network has to accept settings first, which an edit here would skip."""

    list_display = ["pixel_id", "network", "game", "enabled", "has_credential", "version", "validated_at", "deleted_at"]
    list_filter = [
        *("network", "enabled"),
        ("held_at", admin.EmptyFieldListFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
        "game",
    ]
    list_select_related = ["game"]
    search_fields = ["pixel_id", "game__name"]
    fields = (*fields_of(PostbackConfig, exclude=("credential", "previous_credential")), "has_credential")

    def view_on_site(self, config: PostbackConfig) -> str:
        return reverse("integration", kwargs={"slug": config.game.slug, "network": config.network})

    @admin.display(description="credential")
    def has_credential(self, config: PostbackConfig) -> str:
        if config.credential.ciphertext:
            return "•••• cannot be decrypted: the key is missing"
        return "•••• set" if config.credential else "none"


@admin.register(ConfigVersion)
class ConfigVersionAdmin(ReadOnly):
    list_display = ["config", "number", "change", "set_by", "set_at", "enabled"]
    list_filter = ["enabled", "config__network", "set_at"]
    list_select_related = ["config", "set_by"]
    search_fields = ["pixel_id", "change", "config__game__name"]
    ordering = ["-set_at", "-pk"]


@admin.register(CredentialCheck)
class CredentialCheckAdmin(ReadOnly):
    list_display = ["created_at", "network", "pixel_id", "game", "purpose", "state", "http_status", "provider_code"]
    list_filter = ["network", "purpose", "state", "game"]
    list_select_related = ["game"]
    search_fields = ["pixel_id", "game__name"]
    date_hierarchy = "created_at"
    fields = fields_of(CredentialCheck, exclude=("credential",))


@admin.register(GameGoal)
class GameGoalAdmin(ReadOnly):
    """Read-only: an edit here would skip the copies in the postbacks that use the goal."""

    list_display = ["name", "event", "game", "once", "server_only", "version", "updated_at"]
    list_filter = ["once", "server_only", "game"]
    list_select_related = ["game"]
    search_fields = ["name", "event", "game__name"]
    ordering = ["game__name", "name"]

    def view_on_site(self, goal: GameGoal) -> str:
        return reverse("goals", kwargs={"slug": goal.game.slug})
