"""Finds the events of a time of receipt by their ids, which ascend with it: no index has the time itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db.models import QuerySet

from audience.models import Event

# Requests are stored at once by several processes, whose clocks differ a little.
SLACK = timedelta(minutes=2)
# Ids are compared until they are this close; the rest is read anyway.
CLOSE_ENOUGH = 2_000
MAX_STEPS = 40
# Events of which the newest time counts, since one that was accepted later has an earlier time than those around it.
NEIGHBORS = 100


class Received(NamedTuple):
    """An event, and when it was received."""

    pk: int
    at: datetime


def id_above(events: QuerySet[Event], moment: datetime) -> int | None:
    """Return an id above those of all events that were received before `moment`; None if there are none after it.

    A message that was accepted later than it was received, after a second validation, has a higher id.
    """
    newest, oldest = _first(events, "-pk"), _first(events, "pk")
    if newest is None or oldest is None or newest.at < moment + SLACK:
        return None
    read = partial(_last_of, events, count=1)
    return _narrow(read, oldest, newest, moment + SLACK)[1].pk


def id_below(events: QuerySet[Event], moment: datetime) -> int:
    """Return an id below those of all events that were received at `moment` or later; 0 if it is that of none."""
    newest, oldest = _first(events, "-pk"), _first(events, "pk")
    if newest is None or oldest is None or oldest.at >= moment - SLACK:
        return 0
    read = partial(_last_of, events, count=NEIGHBORS)
    last = read(newest.pk)
    if last is None or last.at < moment - SLACK:
        return newest.pk
    return _narrow(read, oldest, last, moment - SLACK)[0].pk


def _narrow(
    read: Callable[[int], Received | None], low: Received, high: Received, moment: datetime
) -> tuple[Received, Received]:
    """Return (an event before `moment`, one after it) with at most CLOSE_ENOUGH ids between them.

    Alternates between the id in proportion to the time, and the middle one, where traffic is uneven.
    """
    for step in range(MAX_STEPS):
        if high.pk - low.pk <= CLOSE_ENOUGH:
            break
        share = 0.5 if step % 2 else (moment - low.at) / max(high.at - low.at, timedelta(microseconds=1))
        between = low.pk + int((high.pk - low.pk) * min(max(share, 0.01), 0.99))
        row = read(between)
        if row is None or row.pk <= low.pk or row.at < moment:
            low = Received(between, row.at if row else low.at)
        else:
            high = row
    return low, high


def ends_before(events: QuerySet[Event], pk: int, moment: datetime) -> bool:
    """Whether the event of an id, and so all before it, were received before `moment`."""
    row = _first(events.filter(pk__lte=pk), "-pk")
    return row is None or row.at < moment - SLACK


def _last_of(events: QuerySet[Event], pk: int, *, count: int) -> Received | None:
    """Return the last event up to an id, and when the newest of the last `count` was received."""
    rows = list(events.filter(pk__lte=pk).order_by("-pk").values_list("pk", "received_at")[:count])
    return Received(rows[0][0], max(at for _, at in rows)) if rows else None


def _first(events: QuerySet[Event], order: str) -> Received | None:
    row = events.order_by(order).values_list("pk", "received_at").first()
    return Received(*row) if row else None
