"""Finds the events of a time of receipt by their ids, which ascend with it: no index has the time itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet

from audience.models import Event

# Requests are stored at once by several processes, whose clocks differ a little.
SLACK = timedelta(minutes=2)
# Ids are compared until they are this close; the rest is read anyway.
CLOSE_ENOUGH = 2_000
MAX_STEPS = 40


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
    return _narrow(lambda pk: _first(events.filter(pk__lte=pk), "-pk"), oldest, newest, moment + SLACK)


def _narrow(read: Callable[[int], Received | None], low: Received, high: Received, moment: datetime) -> int:
    """Return the id of an event after `moment` that has at most CLOSE_ENOUGH ids before it and after `moment`.

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
    return high.pk


def ends_before(events: QuerySet[Event], pk: int, moment: datetime) -> bool:
    """Whether the event of an id, and so all before it, were received before `moment`."""
    row = _first(events.filter(pk__lte=pk), "-pk")
    return row is None or row.at < moment - SLACK


def _first(events: QuerySet[Event], order: str) -> Received | None:
    row = events.order_by(order).values_list("pk", "received_at").first()
    return Received(*row) if row else None
