"""Prunes rejections (7 days, 10,000 per game), digested batches, failed work, and events by each game's retention.

Events can be deleted once they are digested: conversions and deliveries copy all that they need.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection

from audience.database import clock
from audience.intake.messages.times import FIRST_DAY
from audience.models import Game
from audience.storage import partitions, prune_accounts, prune_steps
from audience.storage.partitions import BATCHES, EVENTS, Partition
from audience.storage.prune_steps import Pruned, PruneStep, StaleRows, WholePartition
from audience.storage.retention import first_kept_day

REJECTIONS_KEPT = timedelta(days=7)
REJECTIONS_PER_GAME = 10_000
# Batches are the source of the counts in the Hub, whose longest period is 30 days.
BATCHES_KEPT = timedelta(days=31)
# Failed work that was due for this long without being retried is obsolete (a step of another day, a deleted postback).
# Work that was set aside, and answers of networks that no other row holds, are kept.
FAILED_WORK_KEPT = timedelta(days=1)
OBSOLETE = "set_aside_at IS NULL AND queue <> 'closing' AND next_attempt_at < %s"
BEYOND_LIMIT = """
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY key_id ORDER BY id DESC) AS place
        FROM audience_rejection WHERE game_id = %s
    ) ranked ORDER BY place, id DESC OFFSET %s
"""
# One run of the task; the next one continues.
MAX_SECONDS = 120.0

# Batches that are pending or set aside: their events are kept however old they are. Checked in the statement that
# deletes, since an event and its batch are committed together.
UNDIGESTED = "audience_batch WHERE state = '{state}' AND first_day < %s AND last_day >= %s"
STATES = ("pending", "failed")
# The day that decides for events of the default partition. A future day (a wrong client clock) or FIRST_DAY, which
# replaces all earlier days, does not show the age; the receipt does.
RECEIVED = "(received_at AT TIME ZONE 'UTC')::date"
KEPT_BY = f"CASE WHEN day = '{FIRST_DAY}' THEN {RECEIVED} ELSE least(day, {RECEIVED}) END"
ANY_UNDIGESTED = " OR ".join(f"EXISTS (SELECT 1 FROM {UNDIGESTED.format(state=state)})" for state in STATES)
DIGESTED = " AND ".join(
    f"stale.id NOT IN (SELECT unnest(event_ids) FROM {UNDIGESTED.format(state=state)})" for state in STATES
)


def prune(*, dry_run: bool = False, seconds: float = MAX_SECONDS) -> list[Pruned]:
    """Prune everything that is expired, or with `dry_run` nothing; return what was or would be deleted."""
    return list(prune_steps.run(steps(clock.now()), dry_run=dry_run, seconds=seconds))


def steps(now: datetime) -> Iterator[PruneStep]:
    games = list(Game.objects.order_by("pk"))
    yield StaleRows("rejections", "audience_rejection", "received_at < %s", [now - REJECTIONS_KEPT], "old rejections")
    yield StaleRows("failed work", "audience_failedwork", OBSOLETE, [now - FAILED_WORK_KEPT], "failed work")
    yield StaleRows(
        "counts of placeholders",
        "audience_placeholdercount",
        "starts_at < %s",
        [now - BATCHES_KEPT],
        "old placeholders",
    )
    yield from (_beyond_limit(game) for game in games)
    yield from prune_accounts.steps(now)
    yield from _batches(now)
    yield from _events(games)


def _beyond_limit(game: Game) -> StaleRows:
    """A game's rejections beyond 10,000, distributed evenly over its keys, so that a flood with a public key does not
    displace the rejections of a server."""
    given = [game.pk, game.pk, REJECTIONS_PER_GAME]
    return StaleRows(
        f"rejections of {game} beyond the newest 10,000",
        "audience_rejection",
        f"game_id = %s AND id IN ({BEYOND_LIMIT})",
        given,
        "rejections beyond the newest",
        game.pk,
    )


def expired(now: datetime) -> set[str]:
    """Return the names of partitions that no game keeps, even if some of their events are not digested yet."""
    kept_from = [_kept_from(game) for game in Game.objects.all()]
    events = {
        part.name
        for part in partitions.list_partitions(EVENTS)
        if kept_from and not any(_is_kept(part, day) for day in kept_from)
    }
    return events | {part.name for part in partitions.list_partitions(BATCHES) if _is_past(part, now)}


def _is_past(part: Partition, now: datetime) -> bool:
    return part.end is not None and datetime.combine(part.end, time.min, UTC) <= now - BATCHES_KEPT


def _batches(now: datetime) -> Iterator[PruneStep]:
    """Digested batches. Others of a dropped week move to the default partition."""
    for part in partitions.list_partitions(BATCHES):
        if part.end is None:
            done = "state = 'done' AND received_at < %s"
            yield StaleRows("digested batches", part.name, done, [now - BATCHES_KEPT], "digested batches")
        elif _is_past(part, now):
            yield WholePartition(f"batches of the week from {part.start}", part, keep="state <> 'done'")


def _kept_from(game: Game) -> date | None:
    """Return the first day whose events the game keeps; None if it keeps all."""
    return None if game.kept_days is None else first_kept_day(game.kept_days)


def _events(games: Sequence[Game]) -> Iterator[PruneStep]:
    kept_from = {game: _kept_from(game) for game in games}
    latest = max((day for day in kept_from.values() if day), default=None)
    for part in partitions.list_partitions(EVENTS) if latest else ():
        if part.start is None or (latest and part.start < latest):
            yield from _of_partition(part, kept_from)


def _of_partition(part: Partition, kept_from: Mapping[Game, date | None]) -> Iterator[PruneStep]:
    """Drop the partition if no game keeps it, else delete the events of those that do not."""
    present = _present(part)
    keepers = [game.pk for game, day in kept_from.items() if _is_kept(part, day)]
    if part.start and present.isdisjoint(keepers) and not _undigested(part):
        unless = f"{ANY_UNDIGESTED} OR EXISTS (SELECT 1 FROM {part.name} WHERE game_id = ANY(%s))"
        yield WholePartition(f"events of {part.start}", part, unless=unless, params=[*_bounds(part), keepers])
        return
    for game, day in kept_from.items():
        if day and game.pk in present and (part.start is None or game.pk not in keepers):
            # The default partition may hold any day.
            latest, kept_by = (date.max, KEPT_BY) if part.start is None else (day, "day")
            bounds = [latest, date.min] * len(STATES)
            where = f"game_id = %s AND {kept_by} < %s AND {DIGESTED}"
            what, given = f"events of {game} before {day}", [game.pk, day, *bounds]
            yield StaleRows(what, part.name, where, given, part.name, game.pk)


def _is_kept(part: Partition, first_kept: date | None) -> bool:
    """Whether a game that keeps its events from this day on, None for all, keeps one of the partition's days."""
    return first_kept is None or part.end is None or part.end > first_kept


def _bounds(part: Partition) -> list[Any]:
    """Return the parameters of ANY_UNDIGESTED for the days of a partition."""
    return [part.end, part.start] * len(STATES)


def _present(part: Partition) -> set[int]:
    """Return the ids of games with events in the partition, by one index lookup each."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT game.id FROM audience_game game "
            f"WHERE EXISTS (SELECT 1 FROM {part.name} stale WHERE stale.game_id = game.id)"
        )
        return {pk for (pk,) in cursor.fetchall()}


def _undigested(part: Partition) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {ANY_UNDIGESTED}", _bounds(part))
        return bool(cursor.fetchone()[0])
