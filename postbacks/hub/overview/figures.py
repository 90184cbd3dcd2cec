"""The figures of a game per hour or day: events accepted and rejected, and conversions by network of the click.

Read from counts (audience/storage/rollups.py), so that a busy game costs as little as a quiet one.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncDay, TruncHour

from audience.models import ConversionCount, Game, RequestCount
from postbacks.reporting.funnel import Tally

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """`count` steps back from the current hour or day, that one included (UTC)."""

    key: str
    label: str
    step: timedelta
    count: int

    def starts(self, now: datetime) -> list[datetime]:
        """Return the start of each hour or day, oldest first."""
        last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        last = last if self.step == HOUR else last.replace(hour=0)
        return [last - back * self.step for back in reversed(range(self.count))]


PERIODS = {
    period.key: period
    for period in (
        Period("24h", "24 hours", HOUR, 24),
        Period("7d", "7 days", DAY, 7),
        Period("30d", "30 days", DAY, 30),
    )
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One hour or day, or a sum. `conversions` by network of the attributed click, '' without one."""

    accepted: int = 0
    rejected: int = 0
    conversions: dict[str, Tally] = field(default_factory=dict)


def read_figures(game: Game, period: Period, *, now: datetime) -> dict[datetime, Figures]:
    """Return {start: Figures} of the period, oldest first."""
    starts = period.starts(now)
    found = counted(game, starts[0], starts[-1] + period.step, period.step)
    return {start: found.get(start, Figures()) for start in starts}


def total(figures: list[Figures]) -> Figures:
    """Return the sum, with values per currency."""
    tallies: dict[str, list[Tally]] = defaultdict(list)
    for one in figures:
        for network, tally in one.conversions.items():
            tallies[network].append(tally)
    return Figures(
        accepted=sum(one.accepted for one in figures),
        rejected=sum(one.rejected for one in figures),
        conversions={network: added(found) for network, found in tallies.items()},
    )


def added(tallies: list[Tally]) -> Tally:
    sums: Any = defaultdict(int)
    for tally in tallies:
        for currency, value in tally.sums.items():
            sums[currency] += value
    return Tally(sum(tally.count for tally in tallies), dict(sorted(sums.items())))


def counted(game: Game, start: datetime, end: datetime, step: timedelta) -> dict[datetime, Figures]:
    """Return hours with figures from `start` to before `end` (UTC)."""
    trunc: Any = TruncHour if step == HOUR else TruncDay
    within = {"game_id": game.pk, "starts_at__gte": start, "starts_at__lt": end}
    requests: Any = RequestCount.objects.filter(**within).values(at=trunc("starts_at", tzinfo=UTC))
    rows: Any = ConversionCount.objects.filter(**within).values(
        "network", "currency", at=trunc("starts_at", tzinfo=UTC)
    )
    sums: dict[str, Any] = {"count": Sum("number"), "with_value": Sum("valued"), "total": Sum("value")}
    tallies: dict[datetime, dict[str, list[Tally]]] = defaultdict(lambda: defaultdict(list))
    for row in rows.annotate(**sums).filter(count__gt=0):
        values = {row["currency"]: row["total"]} if row["with_value"] else {}
        tallies[row["at"]][row["network"]].append(Tally(row["count"], values))
    taken = {row["at"]: (row["a"], row["r"]) for row in requests.annotate(a=Sum("accepted"), r=Sum("rejected"))}
    return {
        at: Figures(*taken.get(at, (0, 0)), {network: added(found) for network, found in tallies[at].items()})
        for at in {*taken, *tallies}
    }
