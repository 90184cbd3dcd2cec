"""What operators look up and repair. Players' data is read here and changed by the API only."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from audience.models import (
    ApiKey,
    Batch,
    Conversion,
    Device,
    Erasure,
    Event,
    Game,
    Group,
    Identity,
    Membership,
    Person,
    Rejection,
    Touch,
)

admin.site.site_header = "Afterclick"
admin.site.site_title = "Afterclick"
admin.site.index_title = "Administration"


class BoundedPaginator(Paginator[Any]):
    """Counts to 5,000 and no further: a table of events is too long to be counted for a page number."""

    LIMIT = 5_000

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by().values("pk")[: self.LIMIT].count() if isinstance(rows, QuerySet) else len(rows)


class ReadOnly(admin.ModelAdmin[Any]):
    """A record: looked at here, written elsewhere."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MembershipInline(admin.TabularInline[Membership, Game]):
    model = Membership
    extra = 1
    autocomplete_fields = ["user"]


@admin.register(Game)
class GameAdmin(admin.ModelAdmin[Game]):
    list_display = ["name", "slug", "attribution_window_days", "strict_consent", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]

    def has_delete_permission(self, request: HttpRequest, obj: Game | None = None) -> bool:
        # It would take every event and every receipt with it: a job for the shell, with a backup beside it.
        return False


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    list_display = ["user", "game", "role", "created_at"]
    list_filter = ["role", "game"]
    list_select_related = ["user", "game"]
    search_fields = ["user__email", "user__username", "game__name"]
    autocomplete_fields = ["user", "game"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnly):
    """Keys are made, rotated and revoked in the Hub, where a secret is shown once; here they get another rate limit."""

    list_display = ["name", "prefix", "game", "kind", "environment", "dialect", "last_used_at", "state"]
    list_filter = ["kind", "environment", "dialect", "game"]
    list_select_related = ["game"]
    search_fields = ["name", "prefix", "game__name"]
    readonly_fields = [
        *("game", "name", "kind", "environment", "dialect", "prefix", "state"),
        *("created_by", "created_at", "last_used_at", "expires_at", "revoked_at", "replaced_by"),
    ]
    fields = ["rate_limit", *readonly_fields]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "Revoked"
        if not key.is_live:
            return "Replaced"
        return f"Rotating until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "Live"


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["id", "received_at", "kind", "name", "user_id", "anonymous_id", "dialect", "game_id", "test"]
    list_filter = ["kind", "dialect", "test"]
    search_fields = ["message_id__exact", "user_id__exact", "anonymous_id__exact"]
    search_help_text = "A whole message id, user id or anonymous id."
    ordering = ["-id"]


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "accepted", "duplicates", "rejected", "state", "error"]
    list_filter = ["state", "dialect", "game"]
    list_select_related = ["game"]
    ordering = ["-id"]


@admin.register(Rejection)
class RejectionAdmin(ReadOnly):
    list_display = ["id", "game", "received_at", "dialect", "message_id", "errors"]
    list_filter = ["dialect", "game"]
    list_select_related = ["game"]
    search_fields = ["message_id__exact"]
    ordering = ["-id"]


class IdentityInline(admin.TabularInline[Identity, Person]):
    model = Identity
    fields = ["namespace", "value", "first_seen_at"]
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Person)
class PersonAdmin(ReadOnly):
    list_display = ["id", "game", "first_seen_at", "last_seen_at"]
    list_filter = ["game"]
    list_select_related = ["game"]
    search_fields = ["identities__value__exact"]
    search_help_text = "A whole id of any namespace."
    ordering = ["-last_seen_at"]
    inlines = [IdentityInline]


@admin.register(Touch)
class TouchAdmin(ReadOnly):
    list_display = ["clicked_at", "network", "click_key", "person_id", "game"]
    list_filter = ["network", "game"]
    list_select_related = ["game"]
    search_fields = ["click_id__exact"]
    ordering = ["-id"]


@admin.register(Conversion)
class ConversionAdmin(ReadOnly):
    list_display = ["id", "event_at", "trigger", "value", "currency", "game", "touch", "reason", "test"]
    list_filter = ["trigger", "reason", "test", "game"]
    list_select_related = ["game", "touch"]
    search_fields = ["id__exact", "message_id__exact", "user_id__exact"]
    ordering = ["-event_at"]


@admin.register(Erasure)
class ErasureAdmin(ReadOnly):
    list_display = ["id", "game", "namespace", "state", "requested_by", "requested_at", "finished_at", "error"]
    list_filter = ["state", "game"]
    list_select_related = ["game"]
    ordering = ["-requested_at"]


@admin.register(Device)
class DeviceAdmin(ReadOnly):
    list_display = ["device_id", "game", "person_id", "updated_at"]
    list_filter = ["game"]
    list_select_related = ["game"]
    search_fields = ["device_id__exact"]
    # A push token is a secret of the player's device.
    exclude = ["token"]
    ordering = ["-id"]


@admin.register(Group)
class GroupAdmin(ReadOnly):
    list_display = ["group_id", "game", "updated_at"]
    list_filter = ["game"]
    list_select_related = ["game"]
    search_fields = ["group_id__exact"]
    exclude = ["members"]
    ordering = ["-id"]
