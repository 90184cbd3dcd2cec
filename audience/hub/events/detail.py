"""The page of one message: what was sent, how it was parsed, and why it was refused."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.digest.owned_ids import player_of
from audience.hub.events import click_macros
from audience.hub.events.conversion_of import conversion_of
from audience.hub.events.placeholders import LABELS, describe
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.masking import as_json, masked
from audience.intake.messages.message import TIME_NOTE
from audience.intake.messages.times import TimeNote
from audience.intake.rejections import RevalidationStatus, revalidate_rejection, revalidation_obstacle
from audience.models import ApiKey, Event, Membership, Rejection, Role
from audience.models.events import MACRO_NOTE, PLACEHOLDER_NOTE

REVALIDATION_MESSAGES = {
    RevalidationStatus.ACCEPTED: (
        messages.SUCCESS,
        "Accepted. The original time of receipt counts, and the message is being processed.",
    ),
    RevalidationStatus.STORED_BEFORE: (
        messages.INFO,
        "A message with this ID is already stored, so nothing was added.",
    ),
    RevalidationStatus.REFUSED: (messages.ERROR, "Still rejected. The reasons below follow the current rules."),
    RevalidationStatus.IMPOSSIBLE: (messages.ERROR, "The message cannot be validated again."),
}
AT_RECEIPT = "so the time of receipt is used as the event time."
TIME_NOTES: dict[str, str] = {
    TimeNote.UNREADABLE: f"The time in the message could not be read, {AT_RECEIPT}",
    TimeNote.OUT_OF_RANGE: f"The time in the message is before 2000 or after 2100, {AT_RECEIPT}",
    TimeNote.AHEAD: f"The time in the message is after its receipt because the client’s clock is ahead, {AT_RECEIPT}",
}
REJECTION_MISSING = (messages.INFO, "This message is no longer stored: it was accepted, erased or too old.")
SUCCESSFUL = (RevalidationStatus.ACCEPTED, RevalidationStatus.STORED_BEFORE)


@game_view()
def event(request: HubRequest, membership: Membership, day: date, pk: int) -> HttpResponse:
    """`day` is the partition in which the event is looked up."""
    row = get_object_or_404(Event, game_id=membership.game_id, day=day, pk=pk)
    columns = ("properties", "traits", "context", "integrations")
    time_note = row.context.pop(TIME_NOTE, "")
    placeholders = describe(row.context.pop(PLACEHOLDER_NOTE, None))
    macros = click_macros.describe(row.context.pop(MACRO_NOTE, None))
    parts = masked({column: getattr(row, column) for column in columns}, addresses=sees_addresses(membership))
    context = {
        "event": row,
        "ids": [*_ids(row, membership), *((LABELS[name].capitalize(), text) for name, text in placeholders)],
        "time_note": TIME_NOTES.get(str(time_note), ""),
        "macros": macros,
        "key": ApiKey.objects.filter(game=membership.game, pk=row.key_id or 0).first(),
        "person_id": player_of(row),
        "of_event": conversion_of(row),
        "parts": [(column, as_json(value)) for column, value in parts.items() if value],
        "raw": as_json(masked(row.raw, addresses=sees_addresses(membership))),
        "title": masked(row.name, addresses=sees_addresses(membership)) or row.get_kind_display(),
        "message_id": masked(row.message_id, addresses=sees_addresses(membership)),
    }
    template = "hub/events/_event.html" if request.htmx else "hub/events/event.html"
    return page(request, template, membership, **context)


@game_view()
def rejection(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    row = Rejection.objects.select_related("key").filter(game=membership.game, pk=pk).first()
    if row is None:
        raise Http404("The message was accepted, erased or too old.")
    return _page(request, membership, row)


@game_view(role=Role.MARKETER, methods=("POST",))
def revalidate(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    """Validate a rejection again, and show the result on its page or, if it was accepted, on the list of events."""
    status = None
    try:
        row = Rejection.objects.get(game=membership.game, pk=pk)
        status = revalidate_rejection(rejection=row, requested_by=request.user.get_username()).status
    except Rejection.DoesNotExist:
        pass
    level, text = REVALIDATION_MESSAGES[status] if status else REJECTION_MISSING
    remaining = Rejection.objects.select_related("key").filter(game=membership.game, pk=pk).first()
    if request.htmx:
        return _page(request, membership, remaining, outcome=text, is_success=status in SUCCESSFUL)
    messages.add_message(request, level, text)
    if remaining is None:
        return redirect("events", slug=membership.game.slug)
    return redirect("rejection", slug=membership.game.slug, pk=pk)


def _page(request: HubRequest, membership: Membership, row: Rejection | None, **outcome: Any) -> HttpResponse:
    """Return the page of a rejection; without a row it shows only the outcome of its revalidation."""
    context: dict[str, Any] = {"rejection": row, **outcome}
    if row:
        addresses = sees_addresses(membership)
        context |= {
            "errors": masked(row.errors, addresses=addresses),
            "obstacle": revalidation_obstacle(row),
            "raw": as_json(masked(row.raw, addresses=addresses)),
            "frame": as_json(masked(row.frame, addresses=addresses)) if row.frame else "",
            "message_id": masked(row.message_id, addresses=addresses),
        }
    template = "hub/events/_rejection.html" if request.htmx else "hub/events/rejection.html"
    return page(request, template, membership, **context)


def _ids(event: Event, membership: Membership) -> list[tuple[str, str]]:
    """Return [(label, masked value), ...]."""
    player = (("User", event.user_id), ("Anonymous", event.anonymous_id), ("Device", event.device_id))
    linked = [(f"Also {namespace}", value) for namespace, value in event.links]
    ids = (*player, *linked, ("Session", event.session_id), ("Group", event.group_id))
    addresses = sees_addresses(membership)
    return [(label, masked(value, addresses=addresses, name=label)) for label, value in ids if value]
