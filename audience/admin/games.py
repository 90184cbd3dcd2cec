"""Games, their exchange rates and events of goals."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from audience.accounts import members
from audience.admin.base import DeclaredFilters, ReadOnly, ReadOnlyInline, hub_page
from audience.models import ExchangeRate, Game, GoalEvent, Membership, Role


class MembershipInline(ReadOnlyInline):
    """Changed on the pages of the members, so that a game always has an admin."""

    model = Membership
    fields = ["user", "role"]
    show_change_link = True


@admin.register(Game)
class GameAdmin(DeclaredFilters, admin.ModelAdmin[Game]):
    list_display = [
        "name",
        "slug",
        "attribution_window_days",
        "strict_consent",
        "untagged_fbclid_is_paid",
        "limited_data_use",
        "created_at",
    ]
    list_filter = ["strict_consent", "untagged_fbclid_is_paid", "limited_data_use", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]
    # Changed on their page of the Hub, which checks the addresses.
    exclude = ["joins", "reward_text", "return_addresses"]

    def get_form(self, request: HttpRequest, obj: Game | None = None, change: bool = False, **kwargs: Any) -> Any:
        # The admin renders help texts as HTML, where the model's <slug> would be a tag.
        return super().get_form(
            request, obj, change, help_texts={"slug": "Part of its URL in the Hub: /g/slug/"}, **kwargs
        )

    def view_on_site(self, game: Game) -> str:
        return reverse("overview", kwargs={"slug": game.slug})

    def get_inlines(self, request: HttpRequest, obj: Game | None) -> Any:
        return self.inlines if obj else []

    def save_model(self, request: HttpRequest, obj: Game, form: Any, change: bool) -> None:
        """Make the user who adds a game its admin, as in the Hub."""
        super().save_model(request, obj, form, change)
        creator: Any = request.user
        if not change:
            members.add(game=obj, user=creator, role=Role.ADMIN)

    def has_delete_permission(self, request: HttpRequest, obj: Game | None = None) -> bool:
        # It would delete every event and erasure receipt; use the shell after a backup.
        return False


@admin.register(ExchangeRate)
class ExchangeRateAdmin(ReadOnly):
    list_display = ["currency", "rate", "game"]
    list_filter = ["currency", "game"]
    list_select_related = ["game"]
    ordering = ["game__name", "currency", "pk"]
    view_on_site = hub_page("game-settings")


@admin.register(GoalEvent)
class GoalEventAdmin(ReadOnly):
    """Created from the goals of postbacks."""

    list_display = ["name", "game", "created_at"]
    list_filter = ["game"]
    search_fields = ["name", "game__name"]
