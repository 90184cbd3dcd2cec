"""Digests batches: consent, identity, traits, devices and groups, touches, conversions, in one transaction per game and
run.

At least once: the transaction of a killed worker rolls back, and its batches are found again. An advisory lock per game
allows one run at a time, so that identities and first launches are decided without races.
"""

import threading
import time
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min

from audience.background import isolation, wakeup
from audience.database import clock
from audience.digest import (
    active_quarters,
    attribution,
    devices_and_groups,
    earlier_activity,
    event_groups,
    identity,
    spellings,
    stated_consent,
    traits,
)
from audience.digest.event_groups import ClaimedBatch
from audience.models import Batch, BatchState, FailedWork, Game, Queue, UncountedBatches, goals
from audience.models.events import BatchQuerySet

logger = structlog.get_logger(__name__)

# Per run: enough for bulk statements, few enough to commit within a second.
BATCHES_AT_ONCE = 2_000
EVENTS_AT_ONCE = 10_000
# A run has a fixed cost of some milliseconds. While events keep arriving, the next run starts when the oldest due batch
# is this old.
GATHER_AGE = timedelta(milliseconds=150)
# After a failed run, this many batches are digested one by one before the next run.
MAX_ALONE_PER_RUN = 200
# Seconds after which a drain ends; another task continues.
MAX_DRAIN_SECONDS = 20.0
# Game -> lock of the thread of this process that digests it or waits for more events.
game_locks: dict[int, threading.Lock] = {}


def drain() -> int:
    """Digest until nothing is due; return the number of batches. Skips games that another thread is digesting."""
    deadline = time.monotonic() + MAX_DRAIN_SECONDS
    digested = isolation.retry(Queue.BATCH, _digest_again)
    # Queried again after each round: batches stored meanwhile would otherwise wait for the next task.
    while due := _due().order_by().values_list("game_id").annotate(Min("next_attempt_at")):
        if time.monotonic() > deadline:
            wakeup.wake(wakeup.DIGEST)
            break
        done = sum(_digest_in_thread(game_id, since, gather=digested > 0) for game_id, since in due)
        if not done:
            break
        digested += done
    return digested


def _due() -> BatchQuerySet:
    """Return due batches, except those whose row cannot be written, which are retried alone."""
    unwritable = [int(row) for row in FailedWork.objects.of(Queue.BATCH).values_list("row", flat=True)]
    return Batch.objects.due().exclude(pk__in=unwritable)


def _digest_again(failure: FailedWork) -> None:
    """Digest a batch whose row could not be written. Raises the error if it still cannot."""
    if failure.game_id is None or digest(game_id=failure.game_id, only=int(failure.row)):
        return
    if Batch.objects.filter(pk=failure.row, state=BatchState.PENDING).exists():
        raise isolation.RetryLater  # another worker is digesting its game


def _digest_in_thread(game_id: int, due_since: datetime, *, gather: bool) -> int:
    """Digest a game's due batches, with `gather` after waiting for more; return 0 if another thread digests it."""
    lock = game_locks.setdefault(game_id, threading.Lock())
    if not lock.acquire(blocking=False):
        return 0
    try:
        if gather:
            time.sleep(max(0.0, (due_since + GATHER_AGE - clock.now()).total_seconds()))
        return _digest_game(game_id)
    finally:
        lock.release()


def _digest_game(game_id: int) -> int:
    """Run over a game's due batches; if that fails, digest them one by one."""
    try:
        return digest(game_id=game_id)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        logger.warning("digest_bulk_failed", game_id=game_id, exc_info=True)
    batch_ids = list(_due().filter(game_id=game_id).values_list("pk", flat=True)[:MAX_ALONE_PER_RUN])
    return sum(_digest_alone(game_id, batch_id) for batch_id in batch_ids)


def _digest_alone(game_id: int, batch_id: int) -> int:
    try:
        return digest(game_id=game_id, only=batch_id)
    except Exception as error:  # as above
        isolation.raise_if_unavailable(error)
        logger.exception("digest_failed", game_id=game_id, batch_id=batch_id)
        # A batch whose row cannot be written is recorded as failed work, which excludes it from the queue.
        key = isolation.FailureKey(str(batch_id), game_id)
        isolation.process_alone(Queue.BATCH, key, partial(postpone, batch_id, error))
        return 0


def postpone(batch_id: int, error: Exception) -> None:
    """Schedule the batch's next attempt, or set it aside (state Failed) after MAX_ATTEMPTS."""
    batch = Batch.objects.get(pk=batch_id)
    batch.attempts += 1
    batch.error = isolation.describe_error(error)
    batch.next_attempt_at = clock.now() + isolation.retry_delay(batch.attempts)
    batch.state = BatchState.FAILED if batch.attempts >= isolation.MAX_ATTEMPTS else BatchState.PENDING
    batch.save(update_fields=["attempts", "error", "next_attempt_at", "state"])


@transaction.atomic
def digest(*, game_id: int, only: int | None = None) -> int:
    """Digest the oldest due batches of a game; return their number, 0 if another worker digests it."""
    if not lock_game(game_id, wait=False):
        return 0
    claimed = _claimed(game_id, only)
    if not claimed:
        return 0
    rows = Batch.objects.filter(pk__in=[batch.pk for batch in claimed])
    game = Game.objects.filter(pk=game_id).first()
    if game is None:
        logger.warning("game_deleted", game_id=game_id, batches=len(claimed))
        return rows.update(state=BatchState.DONE, error="The game was deleted.")
    triggers = list(goals.conversion_event_names(game=game))
    groups, events = event_groups.read(game=game, batches=claimed, triggers=triggers)
    sent = {group.anonymous_id for group in groups if group.changes_consent}
    stated_consent.store(game=game, spellings=spellings.load_anonymous(game_id, sent))
    event_ids = {pk for batch in claimed for pk in batch.event_ids}
    people = identity.resolve(game=game, groups=groups, events=events, event_ids=event_ids, triggers=triggers)
    events = sorted([*events, *people.moved], key=lambda event: (event.event_at, event.pk))
    if events or people.changed:
        traits.apply(events=events, people=people.by_event)
        devices_and_groups.apply(game=game, events=events, people=people.by_event)
        if attribution.attribute(game=game, events=events, people=people):
            wakeup.wake(settings.CONVERSIONS_READY_TASK)
    active_quarters.store(game=game, quarters=people.quarters)
    earlier_activity.add(game=game, changed=people.reread, clicked={})
    if uncounted := [batch.pk for batch in claimed if not batch.is_counted]:
        UncountedBatches.objects.create(game=game, batch_ids=uncounted)
    return rows.update(state=BatchState.DONE, error="", is_counted=True)


def _claimed(game_id: int, only: int | None) -> list[ClaimedBatch]:
    """Return the oldest due batches with up to EVENTS_AT_ONCE events together; at least one.

    No row is locked, since the caller has the game's lock.
    """
    due = (Batch.objects.due() if only else _due()).filter(game_id=game_id).values_list(*ClaimedBatch._fields)
    claimed: list[ClaimedBatch] = []
    events = 0
    for batch in map(ClaimedBatch._make, due.filter(pk=only) if only else due[:BATCHES_AT_ONCE]):
        events += batch.accepted
        if claimed and events > EVENTS_AT_ONCE:
            break
        claimed.append(batch)
    return claimed


def lock_game(game_id: int, *, wait: bool) -> bool:
    """Lock a game's identities until the end of the transaction; without `wait` return False if they are locked."""
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"digest game {game_id}"])
        return cursor.fetchone()[0] is not False
