"""Prunes rejections (7 days, 10,000 per game), digested batches, failed work, events by each game's retention,
and anonymous ids that were seen once.

Events can be deleted once they are digested: conversions and deliveries contain copies of all that they need.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection

from audience.database import clock
from audience.intake.messages.times import FIRST_DAY
from audience.models import EventCount, Game, PropertyCount, SenderCount, ValueProblemCount
from audience.storage import partitions, prune_accounts, prune_steps
from audience.storage.partitions import BATCHES, EVENTS, Partition
from audience.storage.prune_ids import IdsSeenOnce
from audience.storage.prune_steps import Pruned, PruneStep, StaleRows, WholePartition
from audience.storage.retention import first_kept_day

REJECTION_RETENTION = timedelta(days=7)
REJECTIONS_PER_GAME = 10_000
# Batches are the source of the counts in the Hub, whose longest period is 30 days.
BATCH_RETENTION = timedelta(days=31)
# Failed work that has been due for this long is obsolete: nothing retries a step of another day or work of a deleted
# postback. Work that was set aside is kept, and so are answers of networks (closing), which no other row contains.
FAILED_WORK_RETENTION = timedelta(days=1)
CLAIM_CODE_RETENTION = timedelta(days=1)
OBSOLETE = "set_aside_at IS NULL AND queue <> 'closing' AND next_attempt_at < %s"
BEYOND_LIMIT = """
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY key_id ORDER BY id DESC) AS rank
        FROM audience_rejection WHERE game_id = %s
    ) ranked ORDER BY rank, id DESC OFFSET %s
"""
# Of the event catalog, whose longest period is 30 days. Further days show when an event was last sent.
COUNT_DAYS = 90
EVENT_COUNTS = (EventCount, SenderCount, PropertyCount, ValueProblemCount)
# The longest run of the task; the next run continues.
MAX_SECONDS = 120.0

# Batches that are pending or set aside, whose events are kept regardless of age. Checked in the deleting statement,
# since an event and its batch are committed together.
UNDIGESTED = "audience_batch WHERE state = '{state}' AND first_day < %s AND last_day >= %s"
STATES = ("pending", "failed")
# The day from which the retention of events in the default partition counts: that of the receipt, if `day` is in the
# future (a wrong client clock) or FIRST_DAY, which replaces all earlier days.
RECEIPT_DAY = "(received_at AT TIME ZONE 'UTC')::date"
RETENTION_DAY = f"CASE WHEN day = '{FIRST_DAY}' THEN {RECEIPT_DAY} ELSE least(day, {RECEIPT_DAY}) END"
ANY_UNDIGESTED = " OR ".join(f"EXISTS (SELECT 1 FROM {UNDIGESTED.format(state=state)})" for state in STATES)
DIGESTED = " AND ".join(
    f"stale.id NOT IN (SELECT unnest(event_ids) FROM {UNDIGESTED.format(state=state)})" for state in STATES
)


def prune(*, dry_run: bool = False, seconds: float = MAX_SECONDS) -> list[Pruned]:
    """Prune everything that is expired and return what was deleted; with `dry_run` only return what would be."""
    return list(prune_steps.run(steps(clock.now()), dry_run=dry_run, seconds=seconds))


def steps(now: datetime) -> Iterator[PruneStep]:
    games = list(Game.objects.order_by("pk"))
    before = [now - REJECTION_RETENTION]
    yield StaleRows("rejections", "audience_rejection", "received_at < %s", before, "old rejections")
    yield StaleRows("failed work", "audience_failedwork", OBSOLETE, [now - FAILED_WORK_RETENTION], "failed work")
    before = [now - BATCH_RETENTION]
    yield StaleRows("counts of placeholders", "audience_placeholdercount", "starts_at < %s", before, "old placeholders")
    yield StaleRows("counts of unfilled macros", "audience_clickmacrocount", "starts_at < %s", before, "old macros")
    yield from (_rejections_beyond_limit(game) for game in games)
    yield from (step for game in games for step in _event_count_steps(game))
    yield from (step for game in games for step in _join_steps(game, now))
    yield from prune_accounts.steps(now)
    yield from _batch_steps(now)
    yield from _event_steps(games)
    # Last, since after an upgrade it uses the whole time limit of several runs.
    yield IdsSeenOnce(now)


def _rejections_beyond_limit(game: Game) -> StaleRows:
    """The limit of 10,000 is distributed evenly over the game's keys, so that a flood of rejections with a public key
    does not displace those of a server."""
    return StaleRows(
        f"rejections of {game} beyond the newest 10,000",
        "audience_rejection",
        f"game_id = %s AND id IN ({BEYOND_LIMIT})",
        [game.pk, game.pk, REJECTIONS_PER_GAME],
        "rejections beyond the newest",
        game.pk,
    )


def _join_steps(game: Game, now: datetime) -> Iterator[StaleRows]:
    """Joins are kept as long as events, and claim codes for a day after they expired."""
    if game.kept_days is not None:
        before = [game.pk, first_kept_day(game.kept_days)]
        where = "game_id = %s AND joined_at < %s"
        yield StaleRows(f"joins of {game}", "audience_join", where, before, "old joins", game.pk)
    expired = [game.pk, now - CLAIM_CODE_RETENTION]
    where = "game_id = %s AND expires_at < %s"
    yield StaleRows(f"claim codes of {game}", "audience_claimcode", where, expired, "expired claim codes", game.pk)


def _event_count_steps(game: Game) -> Iterator[StaleRows]:
    """The counts of the event catalog are kept as long as events, at most COUNT_DAYS."""
    before = first_kept_day(min(game.kept_days or COUNT_DAYS, COUNT_DAYS))
    for model in EVENT_COUNTS:
        table, what = model._meta.db_table, f"{model._meta.verbose_name_plural} of {game} before {before}"
        yield StaleRows(what, table, "game_id = %s AND day < %s", [game.pk, before], table, game.pk)


def expired_partitions(now: datetime) -> set[str]:
    """Return the names of partitions that no game keeps, even if some of their events are not digested yet."""
    first_kept_days = [_first_kept_day(game) for game in Game.objects.all()]
    events = {
        part.name
        for part in partitions.list_partitions(EVENTS)
        if first_kept_days and not any(_is_kept(part, day) for day in first_kept_days)
    }
    return events | {part.name for part in partitions.list_partitions(BATCHES) if _is_past(part, now)}


def _is_past(part: Partition, now: datetime) -> bool:
    return part.end is not None and datetime.combine(part.end, time.min, UTC) <= now - BATCH_RETENTION


def _batch_steps(now: datetime) -> Iterator[PruneStep]:
    """Delete digested batches. The others of a dropped partition move to the default partition."""
    for part in partitions.list_partitions(BATCHES):
        if part.end is None:
            done = "state = 'done' AND received_at < %s"
            yield StaleRows("processed batches", part.name, done, [now - BATCH_RETENTION], "processed batches")
        elif _is_past(part, now):
            yield WholePartition(f"batches of the week from {part.start}", part, keep="state <> 'done'")


def _first_kept_day(game: Game) -> date | None:
    """Return the first day whose events the game keeps; None if it keeps all."""
    return None if game.kept_days is None else first_kept_day(game.kept_days)


def _event_steps(games: Sequence[Game]) -> Iterator[PruneStep]:
    first_kept_days = {game: _first_kept_day(game) for game in games}
    latest = max((day for day in first_kept_days.values() if day), default=None)
    for part in partitions.list_partitions(EVENTS) if latest else ():
        if part.start is None or (latest and part.start < latest):
            yield from _partition_steps(part, first_kept_days)


def _partition_steps(part: Partition, first_kept_days: Mapping[Game, date | None]) -> Iterator[PruneStep]:
    """Drop the partition if no game keeps its events, else delete those of the games that do not."""
    present_ids = _game_ids_in(part)
    keeping_ids = [game.pk for game, day in first_kept_days.items() if _is_kept(part, day)]
    if part.start and present_ids.isdisjoint(keeping_ids) and not _has_undigested(part):
        unless = f"{ANY_UNDIGESTED} OR EXISTS (SELECT 1 FROM {part.name} WHERE game_id = ANY(%s))"
        yield WholePartition(f"events of {part.start}", part, unless=unless, params=[*_bounds(part), keeping_ids])
        return
    for game, day in first_kept_days.items():
        if day and game.pk in present_ids and (part.start is None or game.pk not in keeping_ids):
            # The default partition may contain any day.
            latest, retention_day = (date.max, RETENTION_DAY) if part.start is None else (day, "day")
            bounds = [latest, date.min] * len(STATES)
            where = f"game_id = %s AND {retention_day} < %s AND {DIGESTED}"
            what, params = f"events of {game} before {day}", [game.pk, day, *bounds]
            yield StaleRows(what, part.name, where, params, part.name, game.pk)


def _is_kept(part: Partition, first_kept: date | None) -> bool:
    """Whether the partition has a day that is kept by a game that keeps events from `first_kept`, or all if None."""
    return first_kept is None or part.end is None or part.end > first_kept


def _bounds(part: Partition) -> list[Any]:
    """Return the parameters of ANY_UNDIGESTED for the days of a partition."""
    return [part.end, part.start] * len(STATES)


def _game_ids_in(part: Partition) -> set[int]:
    """Return the ids of the games with events in the partition; one index lookup per game."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT game.id FROM audience_game game "
            f"WHERE EXISTS (SELECT 1 FROM {part.name} stale WHERE stale.game_id = game.id)"
        )
        return {pk for (pk,) in cursor.fetchall()}


def _has_undigested(part: Partition) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {ANY_UNDIGESTED}", _bounds(part))
        return bool(cursor.fetchone()[0])
