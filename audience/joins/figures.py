"""How many joins of each kind a game has had lately."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max

from audience.database import clock
from audience.models import Game, Join, JoinKind, MatchResult, ModeledMatch
from audience.models.join_kinds import PAGE_KINDS

DAYS = 30


@dataclass(frozen=True, slots=True)
class KindFigures:
    """`number` and `last_at` are of the last DAYS days."""

    kind: JoinKind
    is_on: bool
    number: int
    last_at: datetime | None


def figures_of(game: Game) -> list[KindFigures]:
    """Return the figures of each kind that the claim page may offer."""
    recent = Join.objects.filter(game=game, joined_at__gte=clock.now() - timedelta(days=DAYS))
    counted = recent.values_list("kind").annotate(number=Count("pk"), last_at=Max("joined_at"))
    by_kind = {kind: (number, last_at) for kind, number, last_at in counted}
    return [KindFigures(kind, kind in game.joins, *by_kind.get(kind, (0, None))) for kind in PAGE_KINDS]


def modeled_figures_of(game: Game) -> list[tuple[MatchResult, int]]:
    """Return how many first launches of the last DAYS days have each result of a modeled match."""
    since = clock.now() - timedelta(days=DAYS)
    recent = ModeledMatch.objects.shown().filter(game=game, launched_at__gte=since)
    numbers = dict(recent.order_by().values_list("result").annotate(number=Count("pk")))
    return [(result, numbers.get(result, 0)) for result in MatchResult]
