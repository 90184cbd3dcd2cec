"""A game's retention of events, and what a shorter one would delete. audience/storage/prune.py deletes."""

import json
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from django.db import connection

from audience.database import clock
from audience.intake.messages.times import FIRST_DAY
from audience.models import Game

# Beyond this number PostgreSQL's estimate is used, so that a page does not count all events.
MAX_COUNTED = 10_000
# FIRST_DAY replaces all earlier days (audience/storage/prune.py).
OLD = f"FROM audience_event WHERE game_id = %s AND day < %s AND (day > '{FIRST_DAY}' OR received_at < %s)"


@dataclass(frozen=True, slots=True)
class OlderEvents:
    """Events of days before `before`; the number is an estimate unless `is_exact`."""

    before: date
    events: int
    is_exact: bool


def set_kept_days(*, game: Game, days: int | None) -> None:
    """Set the retention in days, None for ever. The next pruning deletes older events."""
    game.kept_days = days
    game.save(update_fields=["kept_days"])


def shortens(game: Game, days: int | None) -> bool:
    """Whether this retention would delete events that are kept now."""
    return days is not None and (game.kept_days is None or days < game.kept_days)


def first_day(days: int) -> date:
    """Return the first day, in UTC, whose events are kept today."""
    return clock.now().astimezone(UTC).date() - timedelta(days=days)


def count_older_events(game: Game, days: int) -> OlderEvents:
    """Return the game's events that are older."""
    before = first_day(days)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT {OLD} LIMIT %s) AS oldest", [game.pk, before, before, MAX_COUNTED + 1]
        )
        counted = int(cursor.fetchone()[0])
        if counted <= MAX_COUNTED:
            return OlderEvents(before, counted, is_exact=True)
        cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT {OLD}", [game.pk, before, before])
        found = cursor.fetchone()[0]
    plan = json.loads(found) if isinstance(found, str) else found
    return OlderEvents(before, max(counted, int(plan[0]["Plan"]["Plan Rows"])), is_exact=False)
