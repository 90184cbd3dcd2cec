"""Stores when players who clicked an ad were active, in quarter hours: the retention of cohorts reads it.

Only quarter hours near the first, seventh and thirtieth day after the first click are stored, with room for any time
zone, so that a player leaves some tens of rows at most. Activity from before the click was known is added by
audience/digest/earlier_activity.py.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection

from audience.models import Game

QUARTER = timedelta(minutes=15)
# Days after that of the first click on which reports count who was active.
RETENTION_DAYS = (1, 7, 30)
# A quarter hour of the n-th day after a click begins less than n + 1 days after that of the click, and more than n - 1
# days; an hour more where the clocks change.
NEAR = " OR ".join(
    f"quarter - clicked_at BETWEEN interval '{24 * (days - 1) - 1} hours' AND interval '{24 * (days + 1) + 1} hours'"
    for days in RETENTION_DAYS
)
# The quarter hours of `{source}` (person_id, quarter) that count. LIMIT: see IDENTITY_OF in event_groups.py.
STORE = f"""INSERT INTO audience_activequarter (game_id, person_id, starts_at)
  SELECT DISTINCT %(game)s, person_id, quarter FROM {{source}}
  CROSS JOIN LATERAL (
    SELECT audience_quarter(clicked_at) AS clicked_at FROM audience_touch AS touch
    WHERE touch.person_id = seen.person_id ORDER BY touch.clicked_at LIMIT 1
  ) AS click
  WHERE quarter >= clicked_at AND ({NEAR})
  ON CONFLICT DO NOTHING"""
GIVEN = "jsonb_to_recordset(%(rows)s) AS seen (person_id uuid, quarter timestamptz)"
MOVE = """
INSERT INTO audience_activequarter (game_id, person_id, starts_at)
SELECT game_id, %(remaining)s, starts_at FROM audience_activequarter
WHERE game_id = %(game)s AND person_id = ANY(%(merged)s) ON CONFLICT DO NOTHING
"""
FORGET = """
DELETE FROM audience_activequarter
WHERE (game_id, person_id) IN (SELECT game_id, id FROM audience_person WHERE id = ANY(%(people)s))
"""
REMOVE = f"""
DELETE FROM audience_activequarter AS active USING {GIVEN}
WHERE active.game_id = %(game)s AND active.person_id = seen.person_id AND active.starts_at = seen.quarter
"""


def store(*, game: Game, quarters: Mapping[uuid.UUID, Iterable[datetime]]) -> None:
    """Store {person id: quarter hours} of those persons who clicked an ad before."""
    rows = [{"person_id": pk, "quarter": quarter} for pk, moments in quarters.items() for quarter in set(moments)]
    if rows:
        _execute(STORE.format(source=GIVEN), {"game": game.pk, "rows": orjson.dumps(rows).decode()})


def move(*, game_id: int, merged: Iterable[uuid.UUID], remaining: uuid.UUID) -> None:
    """Give the quarter hours of merged persons to the remaining one; called before they are deleted."""
    people = list(merged)
    _execute(MOVE, {"game": game_id, "merged": people, "remaining": remaining})
    forget(people)


def forget(person_ids: Iterable[uuid.UUID]) -> None:
    """Delete the quarter hours of persons; called before these are deleted."""
    _execute(FORGET, {"people": list(person_ids)})


def remove(*, game_id: int, quarters: Mapping[uuid.UUID, Iterable[datetime]]) -> None:
    """Delete these quarter hours of persons, whose events in them are erased."""
    rows = [{"person_id": pk, "quarter": quarter} for pk, moments in quarters.items() for quarter in set(moments)]
    if rows:
        _execute(REMOVE, {"game": game_id, "rows": orjson.dumps(rows).decode()})


def quarter_of(moment: datetime) -> datetime:
    """Return the start of the quarter hour of a moment."""
    return moment - (moment - datetime.min.replace(tzinfo=moment.tzinfo)) % QUARTER


def _execute(query: str, params: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
