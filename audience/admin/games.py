"""Games, their exchange rates and events of goals."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from audience.accounts import members
from audience.admin.base import DeclaredFilters, ReadOnly, ReadOnlyInline, hub_page
from audience.models import ExchangeRate, Game, GoalEvent, Membership, Role

# The settings page asks about, or applies, the consequences: a shorter retention deletes events, and the figures of
# days are computed again in another time zone or currency. The slug is in the address of every page.
CHANGED_IN_THE_HUB = ("slug", "time_zone", "reporting_currency", "kept_days")


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
    inlines = [MembershipInline]
    # Changed on their page of the Hub, which checks the addresses.
    exclude = ["joins", "reward_text", "return_addresses", "match_hours"]

    def get_readonly_fields(self, request: HttpRequest, obj: Game | None = None) -> Any:
        return CHANGED_IN_THE_HUB if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Game | None = None) -> Any:
        return {} if obj else {"slug": ["name"]}

    def get_fieldsets(self, request: HttpRequest, obj: Game | None = None) -> Any:
        """Show the fields that only the Hub changes in a section of their own, with a link to its page."""
        if obj is None:
            return super().get_fieldsets(request, obj)
        others = [name for name in self.get_fields(request, obj) if name not in CHANGED_IN_THE_HUB]
        url = reverse("game-settings", kwargs={"slug": obj.slug})
        text = format_html('The slug never changes. Change the others on the <a href="{}">settings page</a>.', url)
        read_only = {"fields": CHANGED_IN_THE_HUB, "description": text}
        return [(None, {"fields": others}), ("Changed in the Hub", read_only)]

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
