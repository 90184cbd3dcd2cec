"""What is kept only for a while: rejections (7 days, 10,000 a game) and digested batches."""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from audience.models import Batch, BatchState, Game, Rejection

REJECTIONS_KEPT = timedelta(days=7)
REJECTIONS_PER_GAME = 10_000
# The record of requests behind the counts in the Hub, whose longest view is 30 days.
BATCHES_KEPT = timedelta(days=31)


def prune() -> dict[str, int]:
    """Delete what is past its time; how many rows of each."""
    now = timezone.now()
    old = Rejection.objects.filter(received_at__lt=now - REJECTIONS_KEPT).delete()[0]
    surplus = sum(_prune_surplus(game_id) for game_id in Game.objects.values_list("pk", flat=True))
    batches, _ = Batch.objects.filter(state=BatchState.DONE, received_at__lt=now - BATCHES_KEPT).delete()
    return {"rejections": old + surplus, "batches": batches}


def _prune_surplus(game_id: int) -> int:
    """Delete a game's rejections from the 10,001st newest on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM audience_rejection WHERE game_id = %s AND id <= "
            "(SELECT id FROM audience_rejection WHERE game_id = %s ORDER BY id DESC OFFSET %s LIMIT 1)",
            [game_id, game_id, REJECTIONS_PER_GAME],
        )
        return int(cursor.rowcount)
