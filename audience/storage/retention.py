"""How long a game keeps its events, and what a shorter time would delete. audience/storage/prune.py deletes it."""

import json
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from django.db import connection

from audience.database import clock
from audience.intake.messages.times import FIRST_DAY
from audience.models import Game

# Counted up to here; beyond, PostgreSQL's estimate does: a page must not read every event there is.
COUNTED = 10_000
# The earliest day stands for every earlier one (audience/storage/prune.py).
OLD = f"FROM audience_event WHERE game_id = %s AND day < %s AND (day > '{FIRST_DAY}' OR received_at < %s)"


@dataclass(frozen=True, slots=True)
class Affected:
    """The events of days before `before`; `events` is an estimate unless `is_exact`."""

    before: date
    events: int
    is_exact: bool


def set_kept_days(*, game: Game, days: int | None) -> None:
    """Keep events so many days from now on, None for ever. Older ones are deleted by the next pruning."""
    game.kept_days = days
    game.save(update_fields=["kept_days"])


def shortens(game: Game, days: int | None) -> bool:
    """Whether keeping so many days deletes events that are kept now."""
    return days is not None and (game.kept_days is None or days < game.kept_days)


def first_day(days: int) -> date:
    """The first day whose events are kept today, in UTC."""
    return clock.now().astimezone(UTC).date() - timedelta(days=days)


def affected(game: Game, days: int) -> Affected:
    """What the game has that is older."""
    before = first_day(days)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT {OLD} LIMIT %s) AS oldest", [game.pk, before, before, COUNTED + 1]
        )
        counted = int(cursor.fetchone()[0])
        if counted <= COUNTED:
            return Affected(before, counted, is_exact=True)
        cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT {OLD}", [game.pk, before, before])
        found = cursor.fetchone()[0]
    plan = json.loads(found) if isinstance(found, str) else found
    return Affected(before, max(counted, int(plan[0]["Plan"]["Plan Rows"])), is_exact=False)
