"""Reading the events of a game as they are stored: each once, in the order of their ids, and none is missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from audience.database.sequences import settled_value
from audience.hub.events import receipt_ids, selection
from audience.hub.events.event_filter import EventFilter
from audience.models import Event, Game

SEQUENCE = "audience_event_id_seq"


@dataclass(frozen=True, slots=True)
class FollowedEvents:
    """`after` is the position of the next reading; `is_complete`: there are no more events now."""

    rows: Sequence[Event]
    after: int
    is_complete: bool


def newest_position() -> int | None:
    """Return the position after all events that are stored; None if a transaction may still add some before it."""
    return settled_value(SEQUENCE)


def first_position(game: Game, filters: EventFilter) -> int:
    """Return a position before all events that match the filters."""
    if not filters.received:
        return 0
    return receipt_ids.id_below(Event.objects.filter(game_id=game.pk), filters.received[0])


def read(game: Game, filters: EventFilter, *, after: int, size: int) -> FollowedEvents:
    """Return the first `size` events after a position, in ascending order.

    With filters, at most SCAN_LIMIT events are read, so that there may be fewer rows although there are more events.
    """
    settled = settled_value(SEQUENCE)
    if settled is None or settled <= after:
        return FollowedEvents([], after, is_complete=True)
    events = Event.objects.filter(game_id=game.pk, pk__gt=after, pk__lte=settled)
    until = settled
    if filters.is_filtered:
        ids = events.order_by("pk").values_list("pk", flat=True)
        until = ids[selection.SCAN_LIMIT - 1 : selection.SCAN_LIMIT].first() or settled
    matching = selection.matching_events(events.filter(pk__lte=until), game, filters)
    rows = list(matching.order_by("pk")[:size])
    if len(rows) == size:
        return FollowedEvents(rows, rows[-1].pk, is_complete=False)
    return FollowedEvents(rows, until, is_complete=until == settled)
