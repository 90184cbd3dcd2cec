"""The figures of a game per hour or day: events accepted and rejected, and conversions by network of the click.

Read from rollups (audience/storage/rollups.py), whose size does not depend on the traffic.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncDay, TruncHour

from audience.models import Conversion, ConversionCount, Game, RequestCount
from postbacks.reporting.funnel import Tally

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """The last `count` hours or days (UTC), the current one included."""

    key: str
    label: str
    step: timedelta
    count: int

    def starts(self, now: datetime) -> list[datetime]:
        """Return the start of each hour or day, oldest first."""
        last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        last = last if self.step == HOUR else last.replace(hour=0)
        return [last - offset * self.step for offset in reversed(range(self.count))]


PERIODS = {
    period.key: period
    for period in (
        Period("24h", "24 hours", HOUR, 24),
        Period("7d", "7 days", DAY, 7),
        Period("30d", "30 days", DAY, 30),
    )
}


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
    span = {"game": game, "event_at__gte": period.starts(now)[0], "event_at__lt": period.starts(now)[-1] + period.step}
    unsent = Conversion.objects.filter(**span).counted().exclude(value_problem="").order_by()
    for network, problem, count in unsent.values_list("touch__network", "value_problem").annotate(Count("pk")):
        tallies[network or ""] += Tally(problems={problem: count})
    return dict(tallies)


def _within(game: Game, period: Period, now: datetime) -> dict[str, Any]:
    starts = period.starts(now)
    return {"game_id": game.pk, "starts_at__gte": starts[0], "starts_at__lt": starts[-1] + period.step}
