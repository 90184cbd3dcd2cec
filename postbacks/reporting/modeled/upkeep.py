"""Keeps the modeled matches of all games: those of the last two days are decided again each time, so that the order of
arrival does not matter, and of older ones a part is checked for consent."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from audience.background import isolation
from audience.database import clock
from audience.models import Conversion, Game, JoinKind, ModeledMatch, Queue, Reason, Touch
from postbacks.reporting.modeled import rows
from postbacks.reporting.modeled.matching import Launch, Result, Visit, decide

# Launches and clicks that arrive later than this after the launch change nothing.
EXAMINED = timedelta(days=2)
# Older matches that one run checks, those checked longest ago first.
MAX_CHECKED = 5_000
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext(%s))"


def match_launches() -> int:
    """Decide the matches of all games that have them enabled, and delete those of the others; return how many rows
    changed. A failing game stops no other."""
    enabled = Game.objects.filter(joins__contains=[JoinKind.MODELED])
    ended = ModeledMatch.objects.exclude(game__in=enabled).delete()[0]
    changed = isolation.process_each(
        Queue.ROLLUP,
        list(enabled.order_by("pk").values_list("pk", flat=True)),
        _match_game,
        failure_key=lambda game_id: isolation.FailureKey("modeled matches", game_id),
    )
    return ended + sum(changed)


def _match_game(game_id: int) -> int:
    """Decide the matches of a game; return how many rows changed, 0 if another worker decides them."""
    # Two transactions, each of which writes last: the digest and erasures wait for rows that were written.
    return sum(_with_lock(game_id, step) for step in (_decide_newest, _check_oldest))


@transaction.atomic
def _with_lock(game_id: int, step: Callable[[Game, datetime], int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [f"modeled matches of game {game_id}"])
        is_locked: bool = cursor.fetchone()[0]
    game = Game.objects.filter(pk=game_id, joins__contains=[JoinKind.MODELED]).first()
    return step(game, clock.now() - EXAMINED) if game and is_locked else 0


def _decide_newest(game: Game, since: datetime) -> int:
    before = since - timedelta(hours=game.match_hours)
    launches = rows.launches_of(game, since=before)
    visits = rows.visits_of(game, launches, since=before)

    def consenting(some: Collection[Launch], of: Collection[Visit]) -> tuple[set[uuid.UUID], set[int]]:
        clicks = {(visit.touch_id, visit.person_id, visit.at) for visit in of}
        return rows.with_consent(game, [one.id for one in some]), rows.clicks_with_consent(game, clicks)

    taken = rows.taken_visitors(game, visits, before=since)
    wanted = decide(launches, visits, hours=game.match_hours, consenting=consenting, since=since, taken=taken)
    times, clicks = {launch.id: launch.at for launch in launches}, {visit.touch_id: visit for visit in visits}
    return _store(game, [_row(game, pk, times[pk], found, clicks) for pk, found in wanted.items()], since)


def _row(
    game: Game, conversion_id: uuid.UUID, launched_at: datetime, found: Result, clicks: Mapping[int, Visit]
) -> ModeledMatch:
    """`clicks` are those by their ids."""
    visit = clicks[found.touch_id] if found.touch_id else None
    return ModeledMatch(
        game=game,
        conversion_id=conversion_id,
        touch_id=found.touch_id,
        launched_at=launched_at,
        network=visit.network if visit else "",
        campaign=visit.campaign if visit else "",
        result=found.result,
    )


def _store(game: Game, wanted: Sequence[ModeledMatch], since: datetime) -> int:
    """Store these matches in place of those of launches since then; return how many rows changed."""
    stored = {_facts(row): row.pk for row in ModeledMatch.objects.filter(game=game, launched_at__gte=since)}
    new = _present(game, [row for row in wanted if stored.pop(_facts(row), None) is None])
    deleted = ModeledMatch.objects.filter(game=game, pk__in=stored.values()).delete()[0] if stored else 0
    now = clock.now()
    for row in new:
        row.decided_at = row.checked_at = now
    ModeledMatch.objects.bulk_create(new)
    # A click that was attributed meanwhile has deleted no row that was not stored yet.
    attributed = ModeledMatch.objects.filter(pk__in=[row.pk for row in new], conversion__touch__isnull=False)
    return deleted + len(new) + (attributed.delete()[0] if new else 0)


def _present(game: Game, matches: Sequence[ModeledMatch]) -> list[ModeledMatch]:
    """Return the matches whose launch and click were not deleted since they were read, and lock these."""
    launches = rows.lock_present(Conversion, game, {row.conversion_id for row in matches})
    clicks = {None, *rows.lock_present(Touch, game, {row.touch_id for row in matches if row.touch_id})}
    return [row for row in matches if row.conversion_id in launches and row.touch_id in clicks]


def _facts(row: ModeledMatch) -> tuple[object, ...]:
    return row.conversion_id, row.touch_id, row.result, row.launched_at, row.network, row.campaign


def _check_oldest(game: Game, since: datetime) -> int:
    """Delete older matches that would not be made by now; return their number."""
    older = ModeledMatch.objects.filter(game=game, launched_at__lt=since)
    selected = older.select_related("touch", "conversion").defer("conversion__context", "conversion__properties")
    checked = list(selected.order_by("checked_at", "pk")[:MAX_CHECKED])
    ended = _ended(game, checked)
    ModeledMatch.objects.filter(game=game, pk__in=[row.pk for row in checked]).update(checked_at=clock.now())
    return ModeledMatch.objects.filter(game=game, pk__in=ended).delete()[0]


def _ended(game: Game, matches: Collection[ModeledMatch]) -> list[int]:
    """Return the ids of the matches without consent by now, of conversions that count no more or whose player has a
    click by now, and of visitors who have launched the game by now."""
    launches = rows.with_consent(game, [row.conversion_id for row in matches])
    clicks = {(row.touch.pk, row.touch.person_id, row.touch.clicked_at) for row in matches if row.touch}
    allowed = rows.clicks_with_consent(game, clicks)
    clicking = rows.players_with_clicks(game, {row.conversion.person_id for row in matches})
    playing = rows.visitors_with_launches(game, {person_id for _, person_id, _ in clicks})
    return [
        row.pk
        for row in matches
        if row.conversion_id not in launches
        or row.conversion.touch_id is not None
        or row.conversion.reason != Reason.NO_CLICK
        or row.conversion.person_id in clicking
        or (row.touch is not None and (row.touch.pk not in allowed or row.touch.person_id in playing))
    ]
