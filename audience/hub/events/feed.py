"""The newest events and rejections of a game in one list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import accumulate, islice
from operator import itemgetter
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KT, KeyTransform
from django.urls import reverse

from audience.hub.events import placeholders, receipt_ids
from audience.hub.events.event_filter import EventFilter, within
from audience.hub.toolkit.access import sees_addresses
from audience.hub.toolkit.masking import masked
from audience.ids.values import canonical
from audience.intake.dialects.revalidation import TITLE
from audience.models import Event, Identity, Kind, Membership, Rejection
from audience.models.events import MACRO_NOTE, PLACEHOLDER_NOTE

PAGE_SIZE = 50
# Events read for a filter that no index supports; "Older" continues from there.
SCAN_LIMIT = 20_000
PAYLOAD_FIELDS = ("raw", "properties", "traits", "context", "integrations")
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
    """`older` is the `before` of the next page, blank on the last. `scanned` is SCAN_LIMIT if reading stopped there,
    else 0."""

    rows: list[FeedRow]
    older: str
    scanned: int = 0


def newest(membership: Membership, filters: EventFilter) -> Feed:
    """Return a page of the newest rows of both tables.

    The cursor has an id per table, not a time, since all rows of a batch have the same time.
    """
    event_id, rejection_id = _parse_cursor(filters.before)
    floor, is_last = 0, False
    if filters.needs_scan and filters.status != "rejected":
        event_id, floor, is_last = _scanned(membership, filters, event_id)
    events = [] if filters.status == "rejected" else _events(membership, filters, event_id, floor)
    rejections = (
        []
        if filters.status == "accepted" or filters.placeholder or filters.macro or filters.names or filters.happened
        else _rejections(membership, filters, rejection_id)
    )
    merged = merge(_with_sort_times(events), _with_sort_times(rejections), key=itemgetter(0), reverse=True)
    rows = [row for _, row in islice(merged, PAGE_SIZE)]
    has_more = len(events) + len(rejections) > len(rows)
    if not has_more and (not floor or is_last):
        return Feed(rows, "")
    last = {"event": event_id or 0, "rejection": rejection_id or 0} | {row.stream: row.pk for row in rows}
    if not has_more:
        last["event"] = floor + 1
    return Feed(rows, f"{last['event']}.{last['rejection']}", scanned=0 if has_more else SCAN_LIMIT)


def _scanned(membership: Membership, filters: EventFilter, before: int | None) -> tuple[int | None, int, bool]:
    """Return the ids between which events are read, 0 as the lower one for all, and whether no older ones match.

    Of a large game, events of a time of receipt are looked for from the end of that time.
    """
    events = Event.objects.filter(game_id=membership.game_id)
    floor = events.before(before).scan_floor(limit=SCAN_LIMIT)
    if not (floor and filters.received):
        return before, floor, False
    since, until = filters.received
    above = receipt_ids.id_above(events, until)
    before = min(above, before) if above and before else above or before
    floor = events.before(before).scan_floor(limit=SCAN_LIMIT)
    return before, floor, not floor or receipt_ids.ends_before(events, floor, since)


def _with_sort_times(rows: Sequence[FeedRow]) -> list[tuple[datetime, FeedRow]]:
    """Return (time, row) pairs for merging; the time is the latest of the row and those below it.

    So it never increases down the list, although a revalidated message was received long before the rows next to it.
    """
    times = list(accumulate((row.moment for row in reversed(rows)), max))
    return list(zip(reversed(times), rows, strict=True))


def _events(membership: Membership, filters: EventFilter, before: int | None, floor: int) -> list[FeedRow]:
    events = with_placeholders(Event.objects.filter(game_id=membership.game_id).before(before).defer(*PAYLOAD_FIELDS))
    exact = {"kind": filters.kind, "name": filters.name, "dialect": filters.dialect, "key_id": filters.key}
    events = events.filter(**{column: value for column, value in exact.items() if value})
    events = events.filter(name__in=filters.names) if filters.names else events
    events = within(events, "received_at", filters.received)
    events = within(events, "event_at", filters.happened)
    if floor:
        events = events.filter(pk__gt=floor)
    if filters.placeholder:
        note = {f"context__{PLACEHOLDER_NOTE}__{filters.placeholder.field}": filters.placeholder.value}
        events = events.filter(**note, received_at__gte=placeholders.period_start())
    if filters.macro:
        note = {f"context__{MACRO_NOTE}__{filters.macro.parameter}": filters.macro.value}
        events = events.filter(**note, received_at__gte=placeholders.period_start())
    if filters.person:
        spellings = _spellings(membership, filters.person)
        events = events.filter(Q(user_id__in=spellings) | Q(anonymous_id__in=spellings) | Q(device_id__in=spellings))
        # By an expression, so that PostgreSQL does not scan the index of `id` with the events of all games.
        events = events.order_by((F("pk") + 0).desc())
    else:
        events = events.order_by("-pk")
    return [event_row(event, membership) for event in events[: PAGE_SIZE + 1]]


def _spellings(membership: Membership, person: str) -> list[str]:
    """Return all spellings in which the id was sent, in any namespace."""
    identities = Identity.objects.filter(game=membership.game_id, value=canonical(person))
    sent = identities.values_list("spellings", flat=True)
    return [person, canonical(person), *(spelling for spellings in sent for spelling in spellings)]


def with_placeholders(events: QuerySet[Event]) -> QuerySet[Event]:
    """Annotate the events with their placeholders, so that event_row needs no deferred column."""
    return events.annotate(placeholders=KeyTransform(PLACEHOLDER_NOTE, "context"))


def event_row(event: Event, membership: Membership) -> FeedRow:
    """Return the row of an event annotated by `with_placeholders`."""
    addresses = sees_addresses(membership)
    kind, values = event.get_kind_display(), (event.user_id, event.anonymous_id, event.device_id)
    details = [kind if event.name else "", event.get_dialect_display(), "Test" if event.test else ""]
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


def _rejections(membership: Membership, filters: EventFilter, before: int | None) -> list[FeedRow]:
    rejections = Rejection.objects.filter(game_id=membership.game_id).before(before).defer("raw", "frame")
    for text in filter(None, (filters.kind, filters.name)):
        rejections = rejections.with_value(text)
    exact = {"dialect": filters.dialect, "key_id": filters.key}
    rejections = rejections.filter(**{column: value for column, value in exact.items() if value})
    rejections = within(rejections, "received_at", filters.received)
    if filters.person:
        rejections = rejections.filter(subjects__contains=[filters.person])
    rejections = rejections.annotate(title=TITLE, not_kept=KT("raw__not_kept"), size=KT("raw__bytes")).order_by("-pk")
    return [_rejection_row(rejection, membership) for rejection in rejections[: PAGE_SIZE + 1]]


def _rejection_row(rejection: Any, membership: Membership) -> FeedRow:
    """`rejection` is annotated with TITLE and, for a request that was refused as a whole, with its size in bytes."""
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


def _parse_cursor(before: str) -> tuple[int | None, int | None]:
    """Parse "<event id>.<rejection id>", the last rows of the previous page; (None, None) on the first page."""
    event, _, rejection = before.partition(".")
    if event.isdecimal() and rejection.isdecimal() and len(before) < 40:
        return int(event) or None, int(rejection) or None
    return None, None
