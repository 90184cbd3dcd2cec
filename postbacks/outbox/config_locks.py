"""Which postbacks a game has at a moment. A fan-out and one that comes or goes happen one after the other.

So each conversion has a row for exactly those that existed when it was fanned out, which the audit holds it to. Without
this, one added just before and committed just after a fan-out has read the list would look as if it had been forgotten.
"""

from collections.abc import Iterable

from django.db import connection


def lock_shared(game_ids: Iterable[int]) -> None:
    """None of these games gets or loses a postback until the end of the transaction; any number may hold at once."""
    _lock("pg_advisory_xact_lock_shared", game_ids)


def lock_exclusive(game_id: int) -> None:
    """Before a postback is added or deleted, its row locked or its moment taken: wait for the fan-outs under way."""
    _lock("pg_advisory_xact_lock", [game_id])


def _lock(function: str, game_ids: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        for game_id in sorted(game_ids):
            cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"postbacks of game {game_id}"])
