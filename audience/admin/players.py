"""Players, clicks, conversions and erasures."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from audience.admin.base import ReadOnly, ReadOnlyInline, confirmed_action, fields_of, hub_page, masks
from audience.hub.people.views import erasure_identity
from audience.models import Conversion, Device, Erasure, Group, Identity, Ownership, Person, ReceiptKey, Touch
from audience.privacy.erasure import request_erasure
from audience.templatetags.hub import amount


class IdentityInline(ReadOnlyInline):
    model = Identity
    fields = ["namespace", "value", "first_seen_at", "owners", "named_at"]


@admin.register(Person)
@masks("traits")
class PersonAdmin(ReadOnly):
    list_display = ["id", "game", "first_seen_at", "last_seen_at"]
    list_filter = ["game"]
    search_fields = ["identities__value__exact"]
    search_help_text = "A full ID of any namespace."
    fields = fields_of(Person, exclude=["trait_times"], masked=["traits"])
    ordering = ["-first_seen_at"]
    inlines = [IdentityInline]
    actions = ["erase"]

    def view_on_site(self, person: Person) -> str:
        return reverse("person", kwargs={"slug": person.game.slug, "pk": person.pk})

    def has_erase_permission(self, request: HttpRequest) -> bool:
        """The delete permission allows erasing; the row itself cannot be deleted."""
        return request.user.has_perm("audience.delete_person")

    @confirmed_action(
        "Erase",
        permission="erase",
        title="Erase these players?",
        warning="Their events, IDs, traits, clicks and conversions are deleted. This cannot be undone.",
    )
    def erase(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for person in queryset.select_related("game"):
            identity = erasure_identity(person)
            if identity is None:
                text = f"Player {person.pk} cannot be erased because it has no user ID or anonymous ID."
                self.message_user(request, text, messages.WARNING)
                continue
            request_erasure(
                game=person.game,
                namespace=identity.namespace,
                subject=identity.as_sent,
                requested_by=request.user.get_username(),
            )
            self.message_user(request, f"The erasure of player {person.pk} is in progress.", messages.SUCCESS)


@admin.register(Ownership)
class OwnershipAdmin(ReadOnly):
    list_display = ["identity", "user", "first_at", "last_at", "source", "game"]
    list_filter = ["source", "game"]
    list_select_related = ["identity", "user", "game"]
    search_fields = ["identity__value__exact", "user__value__exact"]
    search_help_text = "A full ID: the shared ID, or a user ID."
    ordering = ["-id"]


@admin.register(Touch)
class TouchAdmin(ReadOnly):
    list_display = ["clicked_at", "network", "click_key", "person_id", "game"]
    list_filter = ["network", "game"]
    search_fields = ["click_id__exact"]
    ordering = ["-id"]


# Columns copied from the event, which may contain secrets; shown masked.
CONVERSION_PAYLOAD_FIELDS = ("message_id", "order_id", "properties", "context", "integrations")


@admin.register(Conversion)
@masks(*CONVERSION_PAYLOAD_FIELDS)
class ConversionAdmin(ReadOnly):
    list_display = ["id", "event_at", "trigger", "paid", "game", "touch", "reason", "test"]
    list_filter = ["trigger", "reason", "value_problem", "test", ("fanned_out_at", admin.EmptyFieldListFilter), "game"]
    list_select_related = ["game", "touch"]
    search_fields = ["id__exact", "message_id__exact", "user_id__exact"]
    fields = [*fields_of(Conversion, exclude=["value"], masked=CONVERSION_PAYLOAD_FIELDS), "paid"]
    ordering = ["-event_at"]

    @admin.display(description="Value", ordering="value")
    def paid(self, conversion: Conversion) -> str:
        return "" if conversion.value is None else amount(conversion.value, conversion.currency)

    def view_on_site(self, conversion: Conversion) -> str:
        return reverse("conversion", kwargs={"slug": conversion.game.slug, "pk": conversion.pk})


@admin.register(Erasure)
class ErasureAdmin(ReadOnly):
    list_display = ["id", "game", "namespace", "state", "requested_by", "requested_at", "finished_at", "error"]
    list_filter = ["state", "game"]
    search_fields = ["subject_hash__exact", "requested_by"]
    search_help_text = (
        "The full keyed hash of the ID, or who requested the erasure. To search by the ID itself, use "
        "the game's Privacy page."
    )
    ordering = ["-requested_at"]
    view_on_site = hub_page("privacy")


@admin.register(ReceiptKey)
class ReceiptKeyAdmin(ReadOnly):
    """Lists the games with a key; the key itself is not shown."""

    list_display = ["game", "created_at"]
    fields = ("game", "created_at")
    ordering = ["pk"]


@admin.register(Device)
@masks("details")
class DeviceAdmin(ReadOnly):
    list_display = ["device_id", "game", "person_id", "updated_at"]
    list_filter = ["game"]
    search_fields = ["device_id__exact"]
    # A push token is a secret of the player's device.
    fields = fields_of(Device, exclude=["token"], masked=["details"])
    ordering = ["-id"]


@admin.register(Group)
@masks("traits")
class GroupAdmin(ReadOnly):
    list_display = ["group_id", "game", "updated_at"]
    list_filter = ["game"]
    search_fields = ["group_id__exact"]
    fields = fields_of(Group, masked=["traits"])
    ordering = ["-id"]
