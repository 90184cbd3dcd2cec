"""batch -> identity -> touches -> conversions, in bulk, in one transaction per game and run.

At least once: a killed worker's transaction rolls back and the batches are found again. Nothing here calls out
of the database, so the game's lock is lease enough: one run at a time digests a game (an advisory lock), hence
identities and launches are decided without races, and ten workers at one game get in nobody's way.
"""

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min

from audience.background import isolation, wakeup
from audience.database import clock
from audience.digest import attribution, belongings, identity, reading, traits
from audience.digest.reading import Claimed
from audience.models import Batch, BatchState, FailedWork, Game, Queue, goals
from audience.models.events import BatchQuerySet

logger = structlog.get_logger(__name__)

# Taken together: enough to make the bulk statements worth it, few enough to commit within a second.
BATCHES_AT_ONCE = 2_000
EVENTS_AT_ONCE = 10_000
# A run takes some milliseconds however little it has to do. While events keep coming in, the next one waits until the
# oldest of them is this old, so that it has more to do at once.
GATHER = timedelta(milliseconds=150)
# When a run fails, this many of its batches are tried one by one before the next try together.
ALONE_AT_ONCE = 200
# A drain gives its worker thread back after this long, in seconds; the next wake-up goes on.
LONGEST = 20.0
# Of each game, who of this process's threads is at it, or gathers for it.
_turns: dict[int, threading.Lock] = {}


def drain() -> int:
    """Digest until nothing is due; how many batches were. Leaves to another thread the games that it is at."""
    deadline = time.monotonic() + LONGEST
    digested = isolation.retry(Queue.BATCH, _digest_again)
    # Asked again after each round, when whoever comes next would be let in: what they came for is seen here.
    while due := _due().order_by().values_list("game_id").annotate(Min("next_attempt_at")):
        if time.monotonic() > deadline:
            wakeup.wake(wakeup.DIGEST)
            break
        done = sum(_take_turn(game_id, since, gather=digested > 0) for game_id, since in due)
        if not done:
            break
        digested += done
    return digested


def _due() -> BatchQuerySet:
    """What is due, without requests whose own row cannot be written: those are tried alone."""
    unwritable = [int(row) for row in FailedWork.objects.of(Queue.BATCH).values_list("row", flat=True)]
    return Batch.objects.due().exclude(pk__in=unwritable) if unwritable else Batch.objects.due()


def _digest_again(failure: FailedWork) -> None:
    """Digest a request whose row could not be written. Raises what keeps it from being written."""
    if failure.game_id is None or run(game_id=failure.game_id, only=int(failure.row)):
        return
    if Batch.objects.filter(pk=failure.row, state=BatchState.PENDING).exists():
        raise isolation.NotNow  # another worker is at its game


def _take_turn(game_id: int, due_since: datetime, *, gather: bool) -> int:
    turn = _turns.setdefault(game_id, threading.Lock())
    if not turn.acquire(blocking=False):
        return 0
    try:
        if gather:
            time.sleep(max(0.0, (due_since + GATHER - clock.now()).total_seconds()))
        return _digest_game(game_id)
    finally:
        turn.release()


def _digest_game(game_id: int) -> int:
    """One run over a game's due batches. When it fails each is tried alone: one bad batch stops no other."""
    try:
        return run(game_id=game_id)
    except Exception as error:  # whatever a bad row makes a step raise; audience/background/isolation.py has the rule
        isolation.raise_if_passing(error)
        logger.warning("digest_failed_together", game_id=game_id, exc_info=True)
    batch_ids = list(_due().filter(game_id=game_id).values_list("pk", flat=True)[:ALONE_AT_ONCE])
    return sum(_digest_alone(game_id, batch_id) for batch_id in batch_ids)


def _digest_alone(game_id: int, batch_id: int) -> int:
    try:
        return run(game_id=game_id, only=batch_id)
    except Exception as error:  # as above
        isolation.raise_if_passing(error)
        logger.exception("digest_failed", game_id=game_id, batch_id=batch_id)
        _put_off_isolated(game_id, batch_id, error)
        return 0


def _put_off_isolated(game_id: int, batch_id: int, error: Exception) -> None:
    """As `_put_off`; a batch that cannot even be put off is noted, so that no further run of its game fails with it."""
    try:
        _put_off(batch_id, error)
    except Exception as unwritable:
        isolation.raise_if_passing(unwritable)
        isolation.note(Queue.BATCH, isolation.Row(str(batch_id), game_id), unwritable)


def _put_off(batch_id: int, error: Exception) -> None:
    """Try the batch again later; after so many attempts set it aside for a person to look at (state Failed)."""
    batch = Batch.objects.get(pk=batch_id)
    batch.attempts += 1
    batch.error = isolation.described(error)
    batch.next_attempt_at = clock.now() + isolation.pause(batch.attempts)
    batch.state = BatchState.FAILED if batch.attempts >= isolation.MAX_ATTEMPTS else BatchState.PENDING
    batch.save(update_fields=["attempts", "error", "next_attempt_at", "state"])


@transaction.atomic
def run(*, game_id: int, only: int | None = None) -> int:
    """Digest the oldest due batches of a game; how many. 0 when another worker is at this game."""
    if not lock_game(game_id, wait=False):
        return 0
    claimed = _claimed(game_id, only)
    if not claimed:
        return 0
    game = Game.objects.filter(pk=game_id).first()
    if game is None:
        return _leave(claimed, game_id)
    seen, events = reading.read(game=game, batches=claimed, counted=goals.conversion_event_names(game=game))
    people = identity.resolve(game=game, seen=seen)
    if events or people.merged:
        traits.apply(events=events, people=people.by_event)
        belongings.apply(game=game, events=events, people=people.by_event)
        if attribution.attribute(game=game, events=events, people=people):
            wakeup.wake(settings.CONVERSIONS_READY_TASK)
    Batch.objects.filter(pk__in=[batch.pk for batch in claimed]).update(state=BatchState.DONE, error="")
    return len(claimed)


def _leave(claimed: Sequence[Claimed], game_id: int) -> int:
    """Be done with requests that came while their game was deleted (from the shell: no page does): how many."""
    logger.warning("game_deleted", game_id=game_id, batches=len(claimed))
    rows = Batch.objects.filter(pk__in=[batch.pk for batch in claimed])
    return rows.update(state=BatchState.DONE, error="The game was deleted.")


def _claimed(game_id: int, only: int | None) -> list[Claimed]:
    """The oldest due batches that together have up to EVENTS_AT_ONCE events, or the first one if it alone has more.

    No row is locked: whoever digests a batch has its game's lock.
    """
    due = (Batch.objects.due() if only else _due()).filter(game_id=game_id).values_list(*Claimed._fields)
    claimed: list[Claimed] = []
    events = 0
    for batch in map(Claimed._make, due.filter(pk=only) if only else due[:BATCHES_AT_ONCE]):
        events += batch.accepted
        if claimed and events > EVENTS_AT_ONCE:
            break
        claimed.append(batch)
    return claimed


def lock_game(game_id: int, *, wait: bool) -> bool:
    """Hold a game's identities for the rest of the transaction; False, without `wait`, when another worker has them."""
    name = f"digest game {game_id}"
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        return bool(cursor.fetchone()[0])
