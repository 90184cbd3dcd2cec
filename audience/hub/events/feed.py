"""The newest events and rejections of a game in one list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from audience.hub.events import placeholders, selection
from audience.hub.events.event_filter import EventFilter
from audience.hub.toolkit.access import sees_addresses
from audience.hub.toolkit.masking import masked
from audience.models import Event, Kind, Membership

KINDS = dict(Kind.choices)


@dataclass(frozen=True, slots=True)
class FeedRow:
    """An Event or a Rejection in the list; `stream` is "event" or "rejection", `ids` [(label, masked id), ...]."""

    stream: str
    pk: int
    moment: datetime
    title: str
    details: list[str]
    ids: list[tuple[str, str]]
    errors: list[dict[str, Any]]
    href: str


@dataclass(frozen=True, slots=True)
class Feed:
    """`older` and `scanned` are those of selection.Selection."""

    rows: list[FeedRow]
    older: str
    scanned: int = 0


def newest(membership: Membership, filters: EventFilter) -> Feed:
    """Return a page of the newest rows of both tables."""
    found = selection.select(membership.game, filters)
    rows = [
        event_row(row, membership) if isinstance(row, Event) else _rejection_row(row, membership) for row in found.rows
    ]
    return Feed(rows, found.older, found.scanned)


def event_row(event: Event, membership: Membership) -> FeedRow:
    """Return the row of an event annotated by `selection.with_placeholders`."""
    addresses = sees_addresses(membership)
    kind, values = event.get_kind_display(), (event.user_id, event.anonymous_id, event.device_id)
    details = [kind if event.name else "", event.format_label, "Test" if event.test else ""]
    ids = [*zip(("user", "anonymous", "device"), values, strict=True), *event.links]
    ids += [(name.split("_")[0], text) for name, text in placeholders.describe(getattr(event, "placeholders", None))]
    return FeedRow(
        stream="event",
        pk=event.pk,
        moment=event.received_at,
        title=masked(event.name, addresses=addresses) or kind,
        details=[text for text in details if text],
        ids=list(dict.fromkeys((name, masked(value, addresses=addresses, name=name)) for name, value in ids if value)),
        errors=[],
        href=reverse("event", kwargs={"slug": membership.game.slug, "day": event.day, "pk": event.pk}),
    )


def _rejection_row(rejection: Any, membership: Membership) -> FeedRow:
    """`rejection` is annotated by `selection.with_titles`."""
    addresses = sees_addresses(membership)
    title = masked(rejection.title, addresses=addresses) or KINDS.get(rejection.route) or "Message"
    subjects = [subject for subject in rejection.subjects if subject != rejection.message_id]
    details = [rejection.get_dialect_display(), rejection.message_id or "no message ID"]
    if rejection.not_kept:
        title = "Whole request"
        details[1:] = [f"route {rejection.route}", *([f"{rejection.size} bytes"] if rejection.size else [])]
    return FeedRow(
        stream="rejection",
        pk=rejection.pk,
        moment=rejection.received_at,
        title=title[:256],
        details=masked(details, addresses=addresses),
        ids=[("named", masked(subject, addresses=addresses)) for subject in subjects],
        errors=masked(rejection.errors, addresses=addresses),
        href=reverse("rejection", kwargs={"slug": membership.game.slug, "pk": rejection.pk}),
    )
