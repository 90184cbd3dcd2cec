"""Counts click parameters with a macro that was not filled in, and notes them in their events."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.db import connection

from audience.models import Event, Game
from audience.models.events import MACRO_NOTE

# An event that is digested again has its note already, and is not counted twice. The days are stated as constants too,
# so that only their partitions are read.
COUNT = f"""
WITH noted AS (
  UPDATE audience_event AS event SET context = context || jsonb_build_object('{MACRO_NOTE}', sent.macros)
  FROM jsonb_to_recordset(%(rows)s) AS sent (id bigint, day date, macros jsonb)
  WHERE event.game_id = %(game)s AND event.id = sent.id AND event.day = sent.day AND NOT context ? '{MACRO_NOTE}'
    AND event.id = ANY(%(ids)s) AND event.day = ANY(%(days)s)
  RETURNING event.received_at, sent.macros
)
INSERT INTO audience_clickmacrocount AS counted (game_id, starts_at, parameter, value, number)
SELECT %(game)s, date_bin('1 hour', received_at, 'epoch'), key, value, count(*)
FROM noted, jsonb_each_text(macros)
GROUP BY 2, 3, 4
ON CONFLICT (game_id, starts_at, parameter, value) DO UPDATE SET number = counted.number + excluded.number
"""
# A longer text is no macro that a marketer would find by it. A NUL cannot be stored.
MAX_VALUE = 64


def count(game: Game, macros: Mapping[Event, Mapping[str, str]]) -> None:
    """Count {event: {parameter: what it states instead of a click id}}."""
    if not macros:
        return
    rows = [
        {"id": event.pk, "day": event.day, "macros": {name: shown(value) for name, value in stated.items()}}
        for event, stated in macros.items()
    ]
    given: dict[str, Any] = {"game": game.pk, "rows": orjson.dumps(rows).decode()}
    given |= {"ids": [event.pk for event in macros], "days": list({event.day for event in macros})}
    with connection.cursor() as cursor:
        cursor.execute(COUNT, given)


def shown(value: str) -> str:
    """Return the value as it is counted and listed."""
    text = value.replace("\0", "\ufffd")
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"
