"""The page of one message: what was sent, how it was parsed, and why it was refused."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.digest.owned_ids import player_of
from audience.hub.events import click_macros
from audience.hub.events.conversion_of import conversion_of
from audience.hub.events.notes import take_notes
from audience.hub.events.placeholders import LABELS, describe
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.masking import as_json, masked
from audience.intake.rejections import (
    REVALIDATION_TEXTS,
    RevalidationStatus,
    revalidate_rejection,
    revalidation_obstacle,
)
from audience.models import ApiKey, Event, Membership, Rejection, Role

LEVELS = {
    RevalidationStatus.ACCEPTED: messages.SUCCESS,
    RevalidationStatus.STORED_BEFORE: messages.INFO,
    RevalidationStatus.REFUSED: messages.ERROR,
    RevalidationStatus.IMPOSSIBLE: messages.ERROR,
}
REJECTION_MISSING = (messages.INFO, "This message is no longer stored: it was accepted, erased or too old.")
SUCCESSFUL = (RevalidationStatus.ACCEPTED, RevalidationStatus.STORED_BEFORE)


@game_view()
def event(request: HubRequest, membership: Membership, day: date, pk: int) -> HttpResponse:
    """`day` is the partition in which the event is looked up."""
    row = get_object_or_404(Event, game_id=membership.game_id, day=day, pk=pk)
    columns = ("properties", "traits", "context", "integrations")
    notes = take_notes(row)
    placeholders = describe(notes.placeholders)
    parts = masked({column: getattr(row, column) for column in columns}, addresses=sees_addresses(membership))
    context = {
        "event": row,
        "ids": [*_ids(row, membership), *((LABELS[name].capitalize(), text) for name, text in placeholders)],
        "time_note": notes.time_note_text,
        "macros": click_macros.describe(notes.macros),
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
    level, text = (LEVELS[status], REVALIDATION_TEXTS[status]) if status else REJECTION_MISSING
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
