"""Computes the figures of the quarter hours that changed, and of their days.

Triggers mark a quarter hour in the transaction that changes its clicks, conversions, deliveries or activity. A refresh
removes the marks first and reads afterward: a change that it does not see yet has a mark that it does not see either.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.db import connection, transaction

from audience.background import isolation
from audience.models import Game, Queue
from audience.wording.days import DAY, midnight
from postbacks.models import AdvertDay, CohortDay
from postbacks.reporting.campaigns import statements

logger = structlog.get_logger(__name__)

CAMPAIGN, COHORT = "campaign", "cohort"
# In one transaction: two days, some seconds of a very large game.
MAX_QUARTERS = 192
MAX_REFRESH_SECONDS = 20.0
GAMES = "SELECT DISTINCT game_id, kind FROM audience_changedquarter ORDER BY 1, 2"
CHANGED = """
SELECT DISTINCT starts_at FROM audience_changedquarter WHERE game_id = %(game)s AND kind = %(kind)s
ORDER BY starts_at DESC LIMIT %(limit)s
"""
REMOVE = """
DELETE FROM audience_changedquarter WHERE game_id = %(game)s AND kind = %(kind)s AND starts_at = ANY(%(quarters)s)
"""
# Compiling the statements takes longer than running them.
NO_JIT = "SET LOCAL jit = off"
LOCK, TRY_LOCK = (f"SELECT {name}(hashtext(%s))" for name in ("pg_advisory_xact_lock", "pg_try_advisory_xact_lock"))
REMOVE_GAME = "DELETE FROM audience_changedquarter WHERE game_id = %(game)s"
# Every quarter hour that has figures, so that their days are computed in another time zone.
MARK_AGAIN = """
INSERT INTO audience_changedquarter (game_id, kind, starts_at)
SELECT DISTINCT game_id, 'campaign', starts_at FROM postbacks_advertquarter WHERE game_id = %(game)s
UNION SELECT DISTINCT game_id, 'cohort', starts_at FROM postbacks_cohortquarter WHERE game_id = %(game)s
"""


def refresh() -> int:
    """Compute what changed, the newest first; return the number of quarter hours. A failing game stops no other."""
    deadline = time.monotonic() + MAX_REFRESH_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(GAMES)
        rows: list[tuple[int, str]] = cursor.fetchall()
    done = isolation.process_each(
        Queue.ROLLUP,
        rows,
        lambda row: _refresh_game(*row, deadline),
        failure_key=lambda row: isolation.FailureKey(f"{row[1]} figures", row[0]),
    )
    return sum(done)


def mark_again(*, game: Game) -> None:
    """Have all figures of a game computed again: its time zone changed. Called in the transaction of the change.

    Figures by day are deleted, since a day of the former time zone may have none in the new one.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [_lock_name(game.pk)])
    AdvertDay.objects.filter(game_id=game.pk).delete()
    CohortDay.objects.filter(game_id=game.pk).delete()
    _execute(MARK_AGAIN, {"game": game.pk})


def _refresh_game(game_id: int, kind: str, deadline: float) -> int:
    total = done = _refresh_quarters(game_id, kind)
    while done == MAX_QUARTERS and time.monotonic() < deadline:
        done = _refresh_quarters(game_id, kind)
        total += done
    return total


@transaction.atomic
def _refresh_quarters(game_id: int, kind: str) -> int:
    """Compute up to MAX_QUARTERS quarter hours; return their number, 0 if another worker computes the game's."""
    params: dict[str, Any] = {"game": game_id, "kind": kind, "limit": MAX_QUARTERS}
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [_lock_name(game_id)])
        if not cursor.fetchone()[0]:
            return 0
        # After the lock, which a change of the time zone holds until it is committed.
        game = Game.objects.filter(pk=game_id).first()
        if game is None:
            _execute(REMOVE_GAME, params)
            return 0
        cursor.execute(CHANGED, params)
        quarters: list[datetime] = [starts_at for (starts_at,) in cursor.fetchall()]
    if quarters:
        zone = game.zone
        params |= {"quarters": quarters, "zone": game.zone.key, **days_of(quarters, zone)}
        _execute(NO_JIT, params)
        _execute(REMOVE, params)
        for statement in statements.OF_CAMPAIGNS if kind == CAMPAIGN else statements.OF_COHORTS:
            _execute(statement, params)
    return len(quarters)


def days_of(quarters: Sequence[datetime], zone: ZoneInfo) -> dict[str, list[Any]]:
    """Return the days of these moments in the time zone: `days` in ISO format, `day_starts` and `day_ends`."""
    days = sorted({moment.astimezone(zone).date() for moment in quarters})
    return {
        "days": [day.isoformat() for day in days],
        "day_starts": [midnight(day, zone) for day in days],
        "day_ends": [midnight(day + DAY, zone) for day in days],
    }


def _lock_name(game_id: int) -> str:
    return f"figures of game {game_id}"


def _execute(statement: str, params: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
