"""Recording consent decisions of anonymous ids."""

from datetime import datetime

from django.db import connection, transaction

from audience.digest import pruned_ids
from audience.digest.queue import lock_game
from audience.models import Game
from audience.models.people import ANONYMOUS
from consent import decisions
from consent.models import Level

# Waits for a pruning that is deleting the row.
IS_KNOWN = f"""
SELECT 1 FROM audience_identity WHERE (game_id, namespace, value) = (%s, '{ANONYMOUS}', %s) FOR KEY SHARE
"""


def record(*, game_id: int, anonymous_id: str, level: Level, source: str, decided_at: datetime) -> None:
    """Store a decision. It binds the player of the id, also if the row of the id was pruned.

    Raises django.db.OperationalError when the database is unavailable.
    """
    decisions.record_decision(
        game_id=game_id, anonymous_id=anonymous_id, level=level, source=source, decided_at=decided_at
    )
    with connection.cursor() as cursor:
        cursor.execute(IS_KNOWN, [game_id, anonymous_id])
        if cursor.fetchone():
            return
    game = Game(pk=game_id)
    if pruned_ids.namings(game, [anonymous_id]):
        with transaction.atomic():
            lock_game(game_id, wait=True)
            pruned_ids.recall(game, [anonymous_id])
