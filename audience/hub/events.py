"""Live events: what the game sent in the last moments, what was taken and what was not, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from django.http import HttpResponse

from audience.hub.access import HubRequest, game_view, has_role, page
from audience.hub.filters import choice
from audience.hub.masking import without_emails
from audience.models import Event, Kind, Membership, Rejection, Role

SIZE = 50
STATUSES = (("", "All"), ("accepted", "Accepted"), ("rejected", "Rejected"))
KINDS = (("", "All kinds"), *Kind.choices)
Show = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Row:
    """An Event or a Rejection as the list shows it; `stream` and `pk` are its place in its table."""

    stream: str
    pk: int
    at: datetime
    title: str
    about: list[str]
    ids: list[tuple[str, str]]
    errors: list[dict[str, Any]]


@game_view()
def events(request: HubRequest, membership: Membership) -> HttpResponse:
    """`status` accepted or rejected, `kind` of message, `before` the last event and rejection seen ("12.5")."""
    status = choice(request, "status", label="Status", choices=STATUSES)
    kind = choice(request, "kind", label="Kind", choices=KINDS)
    before = request.GET.get("before", "")
    rows, older = newest(membership, status=status.chosen, kind=kind.chosen, before=before)
    template = "hub/_event_rows.html" if request.htmx else "hub/events.html"
    is_filtered = bool(status.chosen or kind.chosen or before)
    context = {"rows": rows, "older": older, "before": before, "is_filtered": is_filtered}
    return page(request, template, membership, filters=[status, kind], **context)


def newest(membership: Membership, *, status: str, kind: str, before: str) -> tuple[list[Row], str]:
    """The newest rows of both tables, and the `before` of the next page (blank on the last).

    Each table is walked by its own key, so that a batch whose rows share one moment is never cut in two.
    """
    event_id, rejection_id = _cursor(before)
    # A viewer may read ids, and needs no addresses.
    show: Show = str if has_role(membership, Role.MARKETER) else without_emails
    # A rejection's kind is not known for certain, so a kind filter means events.
    streams = [
        [] if status == "rejected" else _events(membership, kind, event_id, show),
        [] if status == "accepted" or kind else _rejections(membership, rejection_id, show),
    ]
    merged = list(islice(merge(*streams, key=lambda row: row.at, reverse=True), SIZE))
    if sum(map(len, streams)) <= SIZE:
        return merged, ""
    last = {"event": event_id, "rejection": rejection_id} | {row.stream: row.pk for row in merged}
    return merged, ".".join(str(pk or 0) for pk in last.values())


def _events(membership: Membership, kind: str, before: int | None, show: Show) -> list[Row]:
    found = Event.objects.filter(game_id=membership.game_id).defer("raw", "properties", "traits", "context")
    if kind:
        found = found.filter(kind=kind)
    if before:
        found = found.filter(pk__lt=before)
    return [_event_row(event, show) for event in found.order_by("-pk")[: SIZE + 1]]


def _event_row(event: Event, show: Show) -> Row:
    kind, own = event.get_kind_display(), (event.user_id, event.anonymous_id, event.device_id)
    about = [kind if event.name else "", event.get_dialect_display(), "Test" if event.test else ""]
    ids = [*zip(("user", "anonymous", "device"), own, strict=True), *event.links]
    return Row(
        stream="event",
        pk=event.pk,
        at=event.received_at,
        title=event.name or kind,
        about=[word for word in about if word],
        ids=[(namespace, show(value)) for namespace, value in ids if value],
        errors=[],
    )


def _rejections(membership: Membership, before: int | None, show: Show) -> list[Row]:
    found = Rejection.objects.filter(game_id=membership.game_id).defer("raw")
    if before:
        found = found.filter(pk__lt=before)
    return [
        Row(
            stream="rejection",
            pk=rejection.pk,
            at=rejection.received_at,
            title="Message",
            about=[rejection.get_dialect_display(), rejection.message_id or "no message id"],
            ids=[("named", show(subject)) for subject in rejection.subjects],
            errors=rejection.errors,
        )
        for rejection in found.order_by("-pk")[: SIZE + 1]
    ]


def _cursor(before: str) -> tuple[int | None, int | None]:
    event, _, rejection = before.partition(".")
    if event.isdecimal() and rejection.isdecimal() and len(before) < 40:
        return int(event) or None, int(rejection) or None
    return None, None
