"""The clicks and conversions that a figure counts, newest first: read in the quarter hours that have any.

The newest day is read first, then two days, four, and so on until there are enough rows: over a whole period PostgreSQL
would sort every quarter hour of it.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from postbacks.reporting.campaigns.definitions import CLICKS, CONVERSIONS, IS_ACTIVE
from postbacks.reporting.campaigns.figures import Scope

QUARTERS = """(
  SELECT DISTINCT starts_at FROM postbacks_advertquarter
  WHERE game_id = %(game)s AND advert_id = ANY(%(adverts)s) AND {trigger}
    AND starts_at >= %(start)s AND starts_at < %(end)s AND {counted} > 0
  ORDER BY starts_at DESC
) AS quarter"""
QUERY = """
SELECT {column}, {at} FROM {quarters} CROSS JOIN LATERAL ({rows}) AS counted
WHERE {narrowed} AND {condition} ORDER BY starts_at DESC, {at} DESC, id LIMIT %(limit)s
"""
# Which conversions a figure counts: all of a trigger, those that are a player's first, those sent or accepted.
PARTS = {"": "true", "first": "is_first", "sent": "is_sent", "accepted": "is_accepted"}
COUNTED = {"": "number", "first": "players", "sent": "sent", "accepted": "accepted"}

Listed = list[tuple[uuid.UUID, datetime]]


def players(scope: Scope, *, limit: int, offset: int = 0, active: int | None = None) -> Listed:
    """Return (person id, time of the first click) of the players that the scope counts, the newest first; of those who
    were active `active` days after the click."""
    params = {"zone": scope.period.zone.key}
    day = "(clicked_at AT TIME ZONE %(zone)s)::date"
    came_back = "true" if active is None else IS_ACTIVE.format(person="counted.person_id", day=day, days=active)
    query = _query(scope, CLICKS, {"column": "person_id", "at": "clicked_at"}, "first", "trigger = ''", came_back)
    return _read(scope, query, params, limit=limit, offset=offset)


def conversions(scope: Scope, *, limit: int, offset: int = 0, trigger: str = "", part: str = "") -> Listed:
    """Return (conversion id, event time) of the conversions of a trigger, '' for all, that `part` of PARTS counts."""
    condition = "trigger = %(trigger)s" if trigger else "trigger <> ''"
    query = _query(scope, CONVERSIONS, {"column": "id", "at": "event_at"}, part, condition, condition)
    return _read(scope, query, {"trigger": trigger}, limit=limit, offset=offset)


def _query(scope: Scope, rows: str, names: dict[str, str], part: str, in_quarters: str, in_rows: str) -> str:
    return QUERY.format(
        **names,
        quarters=QUARTERS.format(trigger=in_quarters, counted=COUNTED[part]),
        rows=rows,
        narrowed=" AND ".join(f"{name} = %({name})s" for name in scope.names) or "true",
        condition=f"{PARTS[part]} AND {in_rows}",
    )


def _read(scope: Scope, query: str, params: dict[str, Any], *, limit: int, offset: int) -> Listed:
    """Return `limit` rows after the first `offset`."""
    params = {**params, **scope.names, "game": scope.game.pk, "adverts": scope.adverts()}
    found: Listed = []
    with connection.cursor() as cursor:
        for start, end in _slices(scope.period.starts_at, scope.period.ends_at):
            missing = offset + limit - len(found)
            if missing <= 0:
                break
            cursor.execute(query, {**params, "start": start, "end": end, "limit": missing})
            found += cursor.fetchall()
    return found[offset:]


def _slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield parts of the period, the newest first, each twice as long as the one before."""
    length = timedelta(days=1)
    while end > start:
        begin = max(start, end - length)
        yield begin, end
        end, length = begin, 2 * length
