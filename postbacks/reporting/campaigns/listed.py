"""The clicks and conversions that a figure counts, newest first: read in the quarter hours that have any."""

import uuid
from datetime import datetime
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
WHERE {narrowed} AND {condition} ORDER BY starts_at DESC, {at} DESC, id LIMIT %(limit)s OFFSET %(offset)s
"""
# Which conversions a figure counts: all of a trigger, those that are a player's first, those sent or accepted.
PARTS = {"": "true", "first": "is_first", "sent": "is_sent", "accepted": "is_accepted"}
COUNTED = {"": "number", "first": "players", "sent": "sent", "accepted": "accepted"}

Listed = list[tuple[uuid.UUID, datetime]]


def players(scope: Scope, *, limit: int, offset: int = 0, active: int | None = None) -> Listed:
    """Return (person id, time of the first click) of the players that the scope counts, the newest first; of those who
    were active `active` days after the click."""
    params: dict[str, Any] = {"limit": limit, "offset": offset, "zone": scope.period.zone.key}
    day = "(clicked_at AT TIME ZONE %(zone)s)::date"
    came_back = "true" if active is None else IS_ACTIVE.format(person="counted.person_id", day=day, days=active)
    return _read(scope, CLICKS, {"column": "person_id", "at": "clicked_at"}, "first", "trigger = ''", came_back, params)


def conversions(scope: Scope, *, limit: int, offset: int = 0, trigger: str = "", part: str = "") -> Listed:
    """Return (conversion id, event time) of the conversions of a trigger, '' for all, that `part` of PARTS counts."""
    condition = "trigger = %(trigger)s" if trigger else "trigger <> ''"
    params: dict[str, Any] = {"limit": limit, "offset": offset, "trigger": trigger}
    return _read(scope, CONVERSIONS, {"column": "id", "at": "event_at"}, part, condition, condition, params)


def _read(
    scope: Scope, rows: str, names: dict[str, str], part: str, in_quarters: str, in_rows: str, params: dict[str, Any]
) -> Listed:
    query = QUERY.format(
        **names,
        quarters=QUARTERS.format(trigger=in_quarters, counted=COUNTED[part]),
        rows=rows,
        narrowed=" AND ".join(f"{name} = %({name})s" for name in scope.names) or "true",
        condition=f"{PARTS[part]} AND {in_rows}",
    )
    period = scope.period
    params = {**params, **scope.names, "game": scope.game.pk, "adverts": scope.adverts()}
    with connection.cursor() as cursor:
        cursor.execute(query, {**params, "start": period.starts_at, "end": period.ends_at})
        return list(cursor.fetchall())
