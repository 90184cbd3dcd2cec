"""Games, members, invitations and keys."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from audience.admin.base import DeclaredFilters, ReadOnly, confirmed_action, hub_page
from audience.games.keys import revoke_key
from audience.models import ApiKey, ExchangeRate, Game, GoalEvent, Invitation, Membership
from audience.wording import dates


class MembershipInline(admin.TabularInline[Membership, Game]):
    model = Membership
    extra = 1
    # Not an autocomplete field: it sets style attributes, which the content security policy forbids.
    raw_id_fields = ["user"]


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

    def get_form(self, request: HttpRequest, obj: Game | None = None, change: bool = False, **kwargs: Any) -> Any:
        # The admin renders help texts as HTML, where the model's <slug> would be a tag.
        return super().get_form(
            request, obj, change, help_texts={"slug": "Part of its URL in the Hub: /g/slug/"}, **kwargs
        )

    def view_on_site(self, game: Game) -> str:
        return reverse("overview", kwargs={"slug": game.slug})

    def has_delete_permission(self, request: HttpRequest, obj: Game | None = None) -> bool:
        # It would delete every event and erasure receipt; use the shell after a backup.
        return False


@admin.register(Membership)
class MembershipAdmin(DeclaredFilters, admin.ModelAdmin[Membership]):
    list_display = ["user", "game", "role", "created_at"]
    list_filter = ["role", "game"]
    search_fields = ["user__email", "user__username", "game__name"]
    raw_id_fields = ["user"]
    view_on_site = hub_page("members")


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    """Created and revoked in the Hub, which mails the link. The link is not stored."""

    list_display = ["email", "game", "role", "invited_by", "created_at", "state"]
    list_filter = ["role", "game"]
    list_select_related = ["game", "invited_by"]
    search_fields = ["email", "game__name"]
    exclude = ["digest"]
    view_on_site = hub_page("members")

    @admin.display(description="State")
    def state(self, invitation: Invitation) -> str:
        if invitation.accepted_at:
            return "Accepted"
        if invitation.revoked_at:
            return "Revoked"
        return "Open" if invitation.is_open else "Expired"


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


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """Keys are created, restricted and rotated in the Hub, where a secret is shown once; here they are revoked and
    their rate limit is set."""

    list_display = ["name", "prefix", "game", "kind", "environment", "dialect", "last_used_at", "state"]
    list_filter = ["kind", "environment", "dialect", ("revoked_at", admin.EmptyFieldListFilter), "game"]
    search_fields = ["name", "prefix", "game__name"]
    readonly_fields = [
        *("game", "name", "kind", "environment", "dialect", "prefix", "state"),
        *("allowed_events", "allowed_origins", "allowed_addresses"),
        *("created_by", "created_at", "last_used_at", "expires_at", "revoked_at", "replaced_by"),
    ]
    fields = ["rate_limit", *readonly_fields]
    actions = ["revoke"]
    view_on_site = hub_page("keys")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "Revoked"
        if not key.is_live:
            return "Replaced" if key.replaced_by_id else "Ended"
        until = f" until {dates.moment(key.expires_at)}" if key.expires_at else ""
        return f"Rotating{until}" if key.is_rotating else f"Live{until}"

    @confirmed_action(
        "Revoke",
        permission="change",
        title="Revoke these keys?",
        warning="Every request with one of these keys is rejected from then on, and events sent with it are lost.",
    )
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for key in queryset.filter(revoked_at=None):
            revoke_key(key=key)
            self.log_change(request, key, "Revoked.")
        self.message_user(request, "The keys were revoked.", messages.SUCCESS)
