"""Locks that serialize fan-outs with adding and deleting postbacks, and with changes of the clicks they take, per game.

So each conversion has a Delivery for exactly the postbacks that took its click when it was fanned out, which the audit
checks. Without the lock, it would miss one for a postback that was added before a fan-out and committed after it.
"""

from collections.abc import Iterable

from django.db import connection


def lock_shared(game_ids: Iterable[int]) -> None:
    """For a fan-out: no postback of these games is added or deleted, or takes other clicks, until its end."""
    _lock("pg_advisory_xact_lock_shared", game_ids)


def lock_exclusive(game_id: int) -> None:
    """For adding, changing or deleting a postback: wait for running fan-outs. To be called before its row is locked."""
    _lock("pg_advisory_xact_lock", [game_id])


def _lock(function: str, game_ids: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        for game_id in sorted(game_ids):
            cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"postbacks of game {game_id}"])
