"""How long a game's events are kept, and how many a shorter retention would delete (audience/storage/prune.py)."""

import json
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from django.db import connection

from audience.database import clock
from audience.intake.messages.times import FIRST_DAY
from audience.models import Game

# Above this number PostgreSQL's estimate is used, so that a page does not count all events.
MAX_COUNTED = 10_000
# Events of days before FIRST_DAY are stored with FIRST_DAY, so that their age is that of the receipt.
FROM_OLDER_EVENTS = f"FROM audience_event WHERE game_id = %s AND day < %s AND (day > '{FIRST_DAY}' OR received_at < %s)"


@dataclass(frozen=True, slots=True)
class OlderEvents:
    """Events of days before `before`; the number is an estimate unless `is_exact`."""

    before: date
    events: int
    is_exact: bool

    @property
    def sentence(self) -> str:
        number = f"{'' if self.is_exact else 'about '}{self.events:,}"
        return f"This deletes {number} event{'s' * (self.events != 1)} of the days before {self.before:%Y-%m-%d}."


def shortens(game: Game, days: int | None) -> bool:
    """Whether this retention would delete events that are kept now."""
    return days is not None and (game.kept_days is None or days < game.kept_days)


def first_kept_day(days: int) -> date:
    """Return the first day, in UTC, whose events are kept today with a retention of `days`."""
    return clock.now().astimezone(UTC).date() - timedelta(days=days)


def count_older_events(game: Game, days: int) -> OlderEvents:
    """Return how many of the game's events a retention of `days` would delete today."""
    before = first_kept_day(days)
    params: list[Any] = [game.pk, before, before]
    with connection.cursor() as cursor:
        query = f"SELECT count(*) FROM (SELECT {FROM_OLDER_EVENTS} LIMIT %s) AS older"
        cursor.execute(query, [*params, MAX_COUNTED + 1])
        count = int(cursor.fetchone()[0])
        if count <= MAX_COUNTED:
            return OlderEvents(before, count, is_exact=True)
        cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT {FROM_OLDER_EVENTS}", params)
        value = cursor.fetchone()[0]
    plan = json.loads(value) if isinstance(value, str) else value
    return OlderEvents(before, max(count, int(plan[0]["Plan"]["Plan Rows"])), is_exact=False)
