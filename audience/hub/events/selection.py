"""The newest events and rejections of a game that match filters, as rows of both tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import accumulate, islice
from operator import itemgetter

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KT, KeyTransform

from audience.hub.events import placeholders, receipt_ids
from audience.hub.events.event_filter import EventFilter, within
from audience.ids.values import canonical
from audience.intake.dialects.revalidation import TITLE
from audience.models import Event, Game, Identity, Rejection
from audience.models.events import MACRO_NOTE, PLACEHOLDER_NOTE

PAGE_SIZE = 50
# Events read for a filter that no index supports; "Older" continues from there.
SCAN_LIMIT = 20_000
PAYLOAD_FIELDS = ("raw", "properties", "traits", "context", "integrations")

Row = Event | Rejection


@dataclass(frozen=True, slots=True)
class Selection:
    """Events annotated by `with_placeholders`, and Rejections annotated by `with_titles`.

    `older` is the `before` of the next page, blank on the last. `scanned` is SCAN_LIMIT if reading stopped there, else
    0.
    """

    rows: Sequence[Row]
    older: str
    scanned: int = 0


def select(game: Game, filters: EventFilter, *, size: int = PAGE_SIZE, with_payload: bool = False) -> Selection:
    """Return a page of the newest rows of both tables. The columns PAYLOAD_FIELDS are deferred unless `with_payload`.

    The cursor has an id per table, not a time, since all rows of a batch have the same time.
    """
    event_id, rejection_id = parse_cursor(filters.before)
    floor, is_last = 0, False
    if filters.needs_scan and filters.status != "rejected":
        event_id, floor, is_last = _scanned(game, filters, event_id)
    events: list[Event] = []
    if filters.status != "rejected":
        events = _events(game, filters, event_id, floor, size=size, with_payload=with_payload)
    rejections: list[Rejection] = []
    if not (filters.status == "accepted" or filters.is_of_events_only):
        rejections = list(_rejections(game, filters, rejection_id)[: size + 1])
    merged = merge(_with_sort_times(events), _with_sort_times(rejections), key=itemgetter(0), reverse=True)
    rows = [row for _, row in islice(merged, size)]
    has_more = len(events) + len(rejections) > len(rows)
    if not has_more and (not floor or is_last):
        return Selection(rows, "")
    last: dict[type[Row], int] = {Event: event_id or 0, Rejection: rejection_id or 0}
    last |= {type(row): row.pk for row in rows}
    if not has_more:
        last[Event] = floor + 1
    return Selection(rows, f"{last[Event]}.{last[Rejection]}", scanned=0 if has_more else SCAN_LIMIT)


def _scanned(game: Game, filters: EventFilter, before: int | None) -> tuple[int | None, int, bool]:
    """Return the ids between which events are read, 0 as the lower one for all, and whether no older ones match.

    Of a large game, events of a time of receipt are looked for from the end of that time.
    """
    events = Event.objects.filter(game_id=game.pk)
    floor = events.before(before).scan_floor(limit=SCAN_LIMIT)
    if not (floor and filters.received):
        return before, floor, False
    since, until = filters.received
    above = receipt_ids.id_above(events, until)
    before = min(above, before) if above and before else above or before
    floor = events.before(before).scan_floor(limit=SCAN_LIMIT)
    return before, floor, not floor or receipt_ids.ends_before(events, floor, since)


def _with_sort_times(rows: Sequence[Row]) -> list[tuple[datetime, Row]]:
    """Return (time, row) pairs for merging; the time is the latest of the row and those below it.

    So it never increases down the list, although a revalidated message was received long before the rows next to it.
    """
    times = list(accumulate((row.received_at for row in reversed(rows)), max))
    return list(zip(reversed(times), rows, strict=True))


def _events(
    game: Game, filters: EventFilter, before: int | None, floor: int, *, size: int, with_payload: bool
) -> list[Event]:
    events = matching_events(Event.objects.filter(game_id=game.pk).before(before), game, filters)
    events = events if with_payload else events.defer(*PAYLOAD_FIELDS)
    if floor:
        events = events.filter(pk__gt=floor)
    # By an expression, so that PostgreSQL does not scan the index of `id` with the events of all games.
    order = (F("pk") + 0).desc() if filters.person else "-pk"
    return list(events.order_by(order)[: size + 1])


def matching_events(events: QuerySet[Event], game: Game, filters: EventFilter) -> QuerySet[Event]:
    """Return the events of a game that match the filters, annotated by `with_placeholders`."""
    events = with_placeholders(events)
    exact = {"kind": filters.kind, "name": filters.name, "dialect": filters.dialect, "key_id": filters.key}
    events = events.filter(**{column: value for column, value in exact.items() if value})
    events = events.filter(name__in=filters.names) if filters.names else events
    events = within(events, "received_at", filters.received)
    events = within(events, "event_at", filters.happened)
    if filters.placeholder:
        note = {f"context__{PLACEHOLDER_NOTE}__{filters.placeholder.field}": filters.placeholder.value}
        events = events.filter(**note, received_at__gte=placeholders.period_start())
    if filters.macro:
        note = {f"context__{MACRO_NOTE}__{filters.macro.parameter}": filters.macro.value}
        events = events.filter(**note, received_at__gte=placeholders.period_start())
    if filters.person:
        spellings = _spellings(game, filters.person)
        events = events.filter(Q(user_id__in=spellings) | Q(anonymous_id__in=spellings) | Q(device_id__in=spellings))
    return events


def _spellings(game: Game, person: str) -> list[str]:
    """Return all spellings in which the id was sent, in any namespace."""
    identities = Identity.objects.filter(game=game, value=canonical(person))
    sent = identities.values_list("spellings", flat=True)
    return [person, canonical(person), *(spelling for spellings in sent for spelling in spellings)]


def with_placeholders(events: QuerySet[Event]) -> QuerySet[Event]:
    """Annotate the events with their placeholders, so that a row needs no deferred column."""
    return events.annotate(placeholders=KeyTransform(PLACEHOLDER_NOTE, "context"))


def _rejections(game: Game, filters: EventFilter, before: int | None) -> QuerySet[Rejection]:
    rejections = Rejection.objects.filter(game_id=game.pk).before(before).defer("raw", "frame")
    for text in filter(None, (filters.kind, filters.name)):
        rejections = rejections.with_value(text)
    exact = {"dialect": filters.dialect, "key_id": filters.key}
    rejections = rejections.filter(**{column: value for column, value in exact.items() if value})
    rejections = within(rejections, "received_at", filters.received)
    if filters.person:
        rejections = rejections.filter(subjects__contains=[filters.person])
    return with_titles(rejections).order_by("-pk")


def with_titles(rejections: QuerySet[Rejection]) -> QuerySet[Rejection]:
    """Annotate rejections with `title`, and those of a whole request with `not_kept` and its size in bytes, as text."""
    return rejections.annotate(title=TITLE, not_kept=KT("raw__not_kept"), size=KT("raw__bytes"))


def parse_cursor(before: str) -> tuple[int | None, int | None]:
    """Parse "<event id>.<rejection id>", the last rows of the previous page; (None, None) on the first page."""
    event, _, rejection = before.partition(".")
    if event.isdecimal() and rejection.isdecimal() and len(before) < 40:
        return int(event) or None, int(rejection) or None
    return None, None
