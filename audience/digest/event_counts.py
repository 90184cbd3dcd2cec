"""Counts what a game sends for the event catalog: names, properties with their JSON types, keys and SDKs.

After the digest and apart from it, so that counting neither delays nor stops a conversion: each run of the digest adds
a row of UncountedBatches in its transaction, and the transaction that counts deletes it. No value is stored, and no
name that contains an address (count_limits.py).
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, timedelta
from typing import Any

from django.db import connection, transaction

from audience.background import isolation
from audience.database import clock
from audience.digest import count_limits, event_shapes
from audience.digest.count_tables import EVENTS, PROBLEMS, PROPERTIES, SENDERS, Counts
from audience.models import Batch, BatchState, Event, FailedWork, Game, Queue, UncountedBatches, goals
from audience.models.event_counts import MAX_LIBRARY

# The task ends after this time, or when the digest has work that is this old; the next one continues.
MAX_SECONDS = 10.0
MAX_DIGEST_LAG = timedelta(seconds=5)
# Runs of the digest that are counted in one transaction, each of up to 10,000 events.
ROWS_AT_ONCE = 20
# Events that are read at once, and the longest text of properties that is: at most 32 MB in memory.
EVENTS_AT_ONCE = 1_000
MAX_TEXT = 32 * 1024
# The name of failed work: this, and the primary key of the row.
STEP = "event counts"
# By name, key and SDK; kinds other than track without a name. The properties of a row are read as one JSON text, which
# takes a third of the time of jsonb_each().
READ = f"""
WITH event AS MATERIALIZED (
  SELECT (received_at AT TIME ZONE 'UTC')::date AS day, test, kind,
    CASE kind WHEN 'track' THEN name ELSE '' END AS name, coalesce(key_id, 0) AS key_id,
    left(coalesce(context ->> 'library', ''), {MAX_LIBRARY}) AS library,
    left(coalesce(context ->> 'library_version', ''), {MAX_LIBRARY}) AS library_version, received_at,
    CASE WHEN properties <> '{{}}' THEN properties::text END AS properties
  FROM audience_event WHERE game_id = %(game)s AND id = ANY(%(ids)s) AND day BETWEEN %(first)s AND %(last)s
)
SELECT day, test, kind, name, key_id, library, library_version, count(*), max(received_at),
  string_agg(properties, ',') FILTER (WHERE octet_length(properties) <= {MAX_TEXT}),
  count(*) FILTER (WHERE octet_length(properties) > {MAX_TEXT})
FROM event GROUP BY day, test, kind, name, key_id, library, library_version
"""
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


def count_due() -> int:
    """Count what the digest has finished; return the number of its runs. A row that fails stops no other."""
    deadline = time.monotonic() + MAX_SECONDS
    failed = FailedWork.objects.of(Queue.ROLLUP).filter(row__startswith=f"{STEP} ")
    isolation.retry(Queue.ROLLUP, _count_again, rows=failed.due())
    excluded = [_pk_of(failure) for failure in failed]
    games = UncountedBatches.objects.exclude(pk__in=excluded).order_by("game").values_list("game", flat=True)
    return sum(_count_game(game_id, excluded, deadline) for game_id in list(games.distinct()))


def _count_game(game_id: int, excluded: Sequence[int], deadline: float) -> int:
    counted = after = 0
    waiting = UncountedBatches.objects.filter(game=game_id).exclude(pk__in=excluded).order_by("pk")
    while time.monotonic() < deadline and not _is_digest_late():
        rows = list(waiting.filter(pk__gt=after)[:ROWS_AT_ONCE])
        if not rows:
            break
        after = rows[-1].pk
        done = isolation.process_together(Queue.ROLLUP, rows, _count, failure_key=_failure_key, deadline=deadline)
        counted += sum(done)
    return counted


def _is_digest_late() -> bool:
    due = Batch.objects.filter(state=BatchState.PENDING, next_attempt_at__lt=clock.now() - MAX_DIGEST_LAG)
    return due.exists()


def _failure_key(row: UncountedBatches) -> isolation.FailureKey:
    return isolation.FailureKey(f"{STEP} {row.pk}", row.game_id)


def _pk_of(failure: FailedWork) -> int:
    return int(failure.row.rpartition(" ")[2])


def _count_again(failure: FailedWork) -> None:
    """Count a row that failed before. Raises the error if it fails again."""
    rows = list(UncountedBatches.objects.filter(game=failure.game_id, pk=_pk_of(failure)))
    if rows and not _count(rows):
        raise isolation.RetryLater  # another worker counts the game


@transaction.atomic
def _count(rows: Sequence[UncountedBatches]) -> int:
    """Count the rows of a game and delete them; return their number, 0 if another worker counts the game."""
    game = rows[0].game
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [f"event counts of game {game.pk}"])
        if not cursor.fetchone()[0]:
            return 0
    # Read again: another worker may have counted them before the lock.
    waiting = UncountedBatches.objects.filter(game=game, pk__in=[row.pk for row in rows])
    batch_ids = [pk for ids in waiting.values_list("batch_ids", flat=True) for pk in ids]
    events, senders, properties = Counts(EVENTS), Counts(SENDERS), Counts(PROPERTIES)
    for *event, key_id, library, version, number, last_at, texts, unread in _sent(game, batch_ids):
        events.add(tuple(event), number, last_at)
        senders.add((*event, key_id, library, version), number)
        for (path, kind), with_it in event_shapes.count_paths(texts or "", unread).items():
            properties.add((*event, path, kind), with_it)
    always = goals.conversion_event_names(game=game)
    count_limits.store(game=game, events=events, senders=senders, properties=properties, always=always)
    waiting.delete()
    return len(rows)


def _sent(game: Game, batch_ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of READ about the events of the batches."""
    # Grouped by the days of their batch, since an id is looked up in every partition of these days.
    by_days: dict[tuple[date | None, date | None], list[int]] = defaultdict(list)
    batches = Batch.objects.filter(game=game, pk__in=batch_ids).exclude(first_day=None)
    for first, last, ids in batches.values_list("first_day", "last_day", "event_ids"):
        by_days[first, last] += ids
    for (first, last), ids in by_days.items():
        for start in range(0, len(ids), EVENTS_AT_ONCE):
            params: dict[str, Any] = {"game": game.pk, "first": first, "last": last}
            with connection.cursor() as cursor:
                cursor.execute(READ, {**params, "ids": ids[start : start + EVENTS_AT_ONCE]})
                yield from cursor.fetchall()


def add_value_problems(*, game: Game, problems: Iterable[tuple[Event, str]]) -> None:
    """Count events that became conversions, by why they have no amount (models.ValueProblemCount)."""
    counts = Counts(PROBLEMS)
    for event, problem in problems:
        counts.add((event.received_at.astimezone(UTC).date(), event.test, event.name, problem), 1)
    counts.insert(game.pk)
