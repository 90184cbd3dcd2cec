"""The page of one message: what was sent, how it was parsed, and why it was refused."""

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from audience.digest.owned_ids import player_of
from audience.hub.events.placeholders import LABELS, describe
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.masking import as_json, masked
from audience.intake.messages.message import TIME_NOTE
from audience.intake.messages.times import TimeNote
from audience.intake.replay import ReplayStatus, replay, replay_obstacle
from audience.models import ApiKey, Event, Membership, Rejection, Role
from audience.models.events import PLACEHOLDER_NOTE

REPLAY_MESSAGES = {
    ReplayStatus.ACCEPTED: (
        messages.SUCCESS,
        "Accepted. It counts as received when it first came, and is being digested.",
    ),
    ReplayStatus.STORED_BEFORE: (messages.INFO, "A message with its ID is stored already, so nothing was added."),
    ReplayStatus.REFUSED: (messages.ERROR, "Still not accepted. The reasons below are those of today's rules."),
    ReplayStatus.IMPOSSIBLE: (messages.ERROR, "It cannot be validated again."),
}
AT_RECEIPT = "so the event counts as having happened when it was received."
TIME_NOTES: dict[str, str] = {
    TimeNote.UNREADABLE: f"The time in the message could not be read, {AT_RECEIPT}",
    TimeNote.OUT_OF_RANGE: f"The time in the message is before 2000 or after 2100, which is no real time, {AT_RECEIPT}",
    TimeNote.AHEAD: f"The time in the message is later than its receipt: the sender’s clock is ahead, {AT_RECEIPT}",
}
REJECTION_GONE = (messages.INFO, "It is no longer here: it was accepted, erased or too old.")
REPLAYED = (ReplayStatus.ACCEPTED, ReplayStatus.STORED_BEFORE)


@game_view()
def event(request: HubRequest, membership: Membership, day: date, pk: int) -> HttpResponse:
    """`day` is the partition in which the event is looked up."""
    found = get_object_or_404(Event, game_id=membership.game_id, day=day, pk=pk)
    names = ("properties", "traits", "context", "integrations")
    time_note = found.context.pop(TIME_NOTE, "")
    placeholders = describe(found.context.pop(PLACEHOLDER_NOTE, None))
    shown = masked({name: getattr(found, name) for name in names}, addresses=sees_addresses(membership))
    context = {
        "event": found,
        "ids": [*_ids(found, membership), *((LABELS[name].capitalize(), text) for name, text in placeholders)],
        "time_note": TIME_NOTES.get(str(time_note), ""),
        "key": ApiKey.objects.filter(game=membership.game, pk=found.key_id or 0).first(),
        "person_id": player_of(found),
        "parts": [(name, as_json(value)) for name, value in shown.items() if value],
        "raw": as_json(masked(found.raw, addresses=sees_addresses(membership))),
        "title": masked(found.name, addresses=sees_addresses(membership)) or found.get_kind_display(),
        "message_id": masked(found.message_id, addresses=sees_addresses(membership)),
    }
    template = "hub/events/_event.html" if request.htmx else "hub/events/event.html"
    return page(request, template, membership, **context)


@game_view()
def rejection(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    found = Rejection.objects.select_related("key").filter(game=membership.game, pk=pk).first()
    if found is None:
        raise Http404("It was accepted, erased or too old.")
    return _rejection(request, membership, found)


@game_view(role=Role.MARKETER, methods=("POST",))
def rejection_replay(request: HubRequest, membership: Membership, pk: int) -> HttpResponse:
    """Validate a rejection again, and show the result on its page or that of the new events."""
    answer = None
    try:
        found = Rejection.objects.get(game=membership.game, pk=pk)
        answer = replay(rejection=found, replayed_by=request.user.get_username()).answer
    except Rejection.DoesNotExist:
        pass
    level, text = REPLAY_MESSAGES[answer] if answer else REJECTION_GONE
    remaining = Rejection.objects.select_related("key").filter(game=membership.game, pk=pk).first()
    if request.htmx:
        return _rejection(request, membership, remaining, outcome=text, went_well=answer in REPLAYED)
    messages.add_message(request, level, text)
    if remaining is None:
        return redirect("events", slug=membership.game.slug)
    return redirect("rejection", slug=membership.game.slug, pk=pk)


def _rejection(request: HubRequest, membership: Membership, found: Rejection | None, **outcome: Any) -> HttpResponse:
    """Return the rejection; with None only its outcome."""
    context: dict[str, Any] = {"rejection": found, **outcome}
    if found:
        addresses = sees_addresses(membership)
        context |= {
            "errors": masked(found.errors, addresses=addresses),
            "obstacle": replay_obstacle(found),
            "raw": as_json(masked(found.raw, addresses=addresses)),
            "frame": as_json(masked(found.frame, addresses=addresses)) if found.frame else "",
            "message_id": masked(found.message_id, addresses=addresses),
        }
    template = "hub/events/_rejection.html" if request.htmx else "hub/events/rejection.html"
    return page(request, template, membership, **context)


def _ids(event: Event, membership: Membership) -> list[tuple[str, str]]:
    own = (("User", event.user_id), ("Anonymous", event.anonymous_id), ("Device", event.device_id))
    more = (("Session", event.session_id), ("Group", event.group_id))
    linked = [(f"Also {namespace}", value) for namespace, value in event.links]
    addresses = sees_addresses(membership)
    return [(name, masked(value, addresses=addresses, name=name)) for name, value in (*own, *linked, *more) if value]
