"""Players, clicks, conversions and erasures."""

from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import reverse

from audience.admin.base import ReadOnly, ReadOnlyInline, fields_of, hub_page, masks
from audience.admin.lists import values_filter
from audience.admin.newest_rows import NewestRows
from audience.admin.operations import confirmed_action
from audience.background import set_aside
from audience.digest import click_ids
from audience.models import (
    Conversion,
    Device,
    Erasure,
    FailedWork,
    GoalEvent,
    Group,
    Identity,
    Ownership,
    Person,
    Queue,
    ReceiptKey,
    Touch,
    Trigger,
)
from audience.privacy.erasure import request_erasure
from audience.reporting.people import erasure_identity
from audience.templatetags.hub import amount


def event_names() -> list[str]:
    """Return the names that conversions have: the built-in triggers, then the events of goals."""
    of_goals = GoalEvent.objects.order_by("name").values_list("name", flat=True).distinct()
    return list(dict.fromkeys([*Trigger.values, *of_goals[:MAX_EVENT_NAMES]]))


class IdentityInline(ReadOnlyInline):
    model = Identity
    fields = ["namespace", "value", "first_seen_at", "owners", "named_at"]


@admin.register(Person)
@masks("traits")
class PersonAdmin(ReadOnly):
    list_display = ["id", "game", "first_seen_at", "last_seen_at"]
    list_filter = ["game"]
    list_select_related = ["game"]
    newest = [NewestRows(by="first_seen_at", of="game")]
    search_fields = ["id__exact", "identities__value__exact"]
    search_help_text = "A full ID of any namespace, or the ID of the player in this list."
    is_search_indexed = True
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
    def erase(self, request: HttpRequest, rows: list[Person]) -> None:
        for person in rows:
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
    # Not by the source, which no index has.
    sortable_by = ["identity", "user", "first_at", "last_at", "game"]
    list_select_related = ["identity", "user", "game"]
    search_fields = ["identity__value__exact", "user__value__exact"]
    search_help_text = "A full ID: the shared ID, or a user ID."
    is_search_indexed = True
    ordering = ["-id"]


@admin.register(Touch)
class TouchAdmin(ReadOnly):
    list_display = ["clicked_at", "network", "click_key", "person_id", "game"]
    list_filter = [values_filter("network", "network", click_ids.networks), "game"]
    list_select_related = ["game"]
    newest = [NewestRows(by="clicked_at", of="game", if_chosen=True), NewestRows()]
    search_fields = ["click_id__exact"]
    search_help_text = "A full click ID."
    is_search_indexed = True
    ordering = ["-id"]


# Names that the filter of conversions offers at most, besides the built-in ones.
MAX_EVENT_NAMES = 200
# Columns copied from the event, which may contain secrets; shown masked.
CONVERSION_PAYLOAD_FIELDS = ("message_id", "order_id", "properties", "context", "integrations")


@admin.register(Conversion)
@masks(*CONVERSION_PAYLOAD_FIELDS)
class ConversionAdmin(ReadOnly):
    list_display = ["id", "event_at", "trigger", "paid", "game", "touch", "reason", "test"]
    list_filter = [
        values_filter("trigger", "trigger", event_names),
        *("reason", "value_problem", "test", ("fanned_out_at", admin.EmptyFieldListFilter), "game"),
    ]
    list_select_related = ["game", "touch"]
    newest = [
        NewestRows(by="created_at", when={"fanned_out_at__isempty": "1"}, where={"fanned_out_at": None}),
        NewestRows(by="event_at", of="game"),
    ]
    search_fields = ["id__exact", "message_id__exact", "order_id__exact", "person__identities__value__exact"]
    search_help_text = "A full ID of the conversion, message, order or player."
    is_search_indexed = True
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
    newest = [
        NewestRows(by="next_attempt_at", when={"state__exact": "pending"}, where={"state": "pending"}),
        NewestRows(by="requested_at", of="game"),
    ]
    list_select_related = ["game"]
    search_fields = ["id__exact", "linked_hashes__contains"]
    search_help_text = (
        "The full ID of the erasure, or the full keyed hash of the erased ID. To search by the ID itself, use the "
        "game's Privacy page."
    )
    is_search_indexed = True
    ordering = ["-requested_at"]
    actions = ["try_again"]
    view_on_site = hub_page("privacy")

    @confirmed_action(
        "Try again",
        permission="operate",
        title="Try these erasures again?",
        warning="Only erasures that failed are tried again, each separately and at once. One that keeps failing is set "
        "aside again.",
        explain=lambda erasure: f"{erasure.get_state_display()}{erasure.error and f', {erasure.error}'}",
    )
    def try_again(self, request: HttpRequest, rows: list[Erasure]) -> None:
        failed = FailedWork.objects.of(Queue.ERASURE).filter(row__in=[str(row.pk) for row in rows])
        number = set_aside.retry_set_aside(failed)
        level = messages.SUCCESS if number else messages.WARNING
        self.message_user(request, f"Queued again: {number}.", level)


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
    list_select_related = ["game"]
    search_fields = ["device_id__exact"]
    search_help_text = "A full device ID."
    is_search_indexed = True
    # A push token is a secret of the player's device.
    fields = fields_of(Device, exclude=["token"], masked=["details"])
    ordering = ["-id"]


@admin.register(Group)
@masks("traits")
class GroupAdmin(ReadOnly):
    list_display = ["group_id", "game", "updated_at"]
    list_filter = ["game"]
    list_select_related = ["game"]
    search_fields = ["group_id__exact"]
    search_help_text = "A full group ID."
    is_search_indexed = True
    fields = fields_of(Group, masked=["traits"])
    ordering = ["-id"]
