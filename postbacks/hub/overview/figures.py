"""The figures of a game per hour or day: events accepted and rejected, and conversions by network of the click.

Read from rollups (audience/storage/rollups.py), whose size does not depend on the traffic.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncDay, TruncHour

from audience.models import Conversion, ConversionCount, Game, RequestCount
from postbacks.hub.toolkit.periods import HOUR, Period
from postbacks.reporting.funnel import Tally


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The messages of one hour or day, or of a period."""

    accepted: int = 0
    rejected: int = 0


def read_events(game: Game, period: Period, *, now: datetime) -> dict[datetime, EventCounts]:
    """Return {start: EventCounts} of the hours or days of the period, oldest first."""
    trunc: Any = TruncHour if period.step == HOUR else TruncDay
    rows: Any = RequestCount.objects.filter(**_within(game, period, now)).values_list(trunc("starts_at", tzinfo=UTC))
    counts = {start: EventCounts(*sums) for start, *sums in rows.annotate(Sum("accepted"), Sum("rejected"))}
    return {start: counts.get(start, EventCounts()) for start in period.starts(now)}


def read_conversions(game: Game, period: Period, *, now: datetime) -> dict[str, Tally]:
    """Return the conversions of the period by network of the attributed click, '' without one."""
    rows: Any = ConversionCount.objects.filter(**_within(game, period, now)).values_list("network", "currency")
    tallies: dict[str, Tally] = defaultdict(Tally)
    sums = rows.annotate(count=Sum("number"), with_value=Sum("valued"), total=Sum("value"))
    for network, currency, count, with_value, value in sums.filter(count__gt=0):
        tallies[network] += Tally(count, {currency: value} if with_value else {})
    since, until = period.bounds(now)
    span = {"game": game, "event_at__gte": since, "event_at__lt": until}
    unsent = Conversion.objects.filter(**span).counted().exclude(value_problem="").order_by()
    for network, problem, count in unsent.values_list("touch__network", "value_problem").annotate(Count("pk")):
        tallies[network or ""] += Tally(problems={problem: count})
    return dict(tallies)


def _within(game: Game, period: Period, now: datetime) -> dict[str, Any]:
    since, until = period.bounds(now)
    return {"game_id": game.pk, "starts_at__gte": since, "starts_at__lt": until}
