"""What a game's hours or days came to: events accepted and rejected, and conversions by the network of their click.

The running hour and the one before are counted when the page is asked for. The hours before them, and the days before
yesterday, are counted once and kept in the process for a while, so that a month of a busy game is not read through for
every look at the page.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import TruncDay, TruncHour

from audience.models import Batch, Conversion, Game, Reason, Touch
from postbacks.ledger.pipeline import Tally

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# A merge may still attribute conversions of the last 7 days (audience/digest/conversions.py); what is older stands.
MOVING = timedelta(days=8)
KEPT_MOVING, KEPT = HOUR, DAY
# Late events still come to the last hours: those are counted again sooner.
RECENT = timedelta(hours=6)
KEPT_RECENT, KEPT_HOUR = timedelta(minutes=2), timedelta(minutes=30)
# For a few hours' conversions PostgreSQL would read every click of every game into a hash: 30 ms with 100,000 of them.
NETWORK_ONE_BY_ONE = Subquery(Touch.objects.filter(pk=OuterRef("touch")).values("network")[:1])
# Neither are conversions that anyone misses: see postbacks/health/counting.py.
UNCOUNTED = (Reason.REPEAT_LAUNCH, Reason.ERASED)


@dataclass(frozen=True, slots=True)
class Period:
    """`count` steps back from the current hour or day, that one included (UTC)."""

    key: str
    label: str
    step: timedelta
    count: int

    def starts(self, now: datetime) -> list[datetime]:
        """Where each hour or day begins, oldest first."""
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
    """One hour or day, or several added up. `conversions` by the network of the click that won, '' without one."""

    accepted: int = 0
    rejected: int = 0
    conversions: dict[str, Tally] = field(default_factory=dict)


def of(game: Game, period: Period, *, now: datetime) -> dict[datetime, Figures]:
    """The figures of each hour or day of the period by its start, oldest first."""
    starts = period.starts(now)
    if period.step == HOUR:
        return _hours(game, starts[0], now)
    # Today and yesterday are the sum of their hours.
    hours = _hours(game, starts[-2], now)
    by_day = {day: total([one for hour, one in hours.items() if day <= hour < day + DAY]) for day in starts[-2:]}
    return {**_kept(game, starts[:-2], DAY, now, live=0), **by_day}


def _hours(game: Game, first: datetime, now: datetime) -> dict[datetime, Figures]:
    """Every hour from `first` to the running one."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    starts = [first + number * HOUR for number in range((last - first) // HOUR + 1)]
    return _kept(game, starts, HOUR, now, live=2)


def total(figures: list[Figures]) -> Figures:
    """All of them added up, the values per currency."""
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
    """Those from `start` to before `end` in which anything came, in two queries over indexed ranges."""
    trunc: Any = TruncHour if step == HOUR else TruncDay
    batches: Any = Batch.objects.filter(game=game, received_at__gte=start, received_at__lt=end).order_by()
    requests = batches.values(at=trunc("received_at", tzinfo=UTC)).annotate(a=Sum("accepted"), r=Sum("rejected"))
    came: Any = Conversion.objects.filter(game=game, event_at__gte=start, event_at__lt=end, test=False)
    network: Any = NETWORK_ONE_BY_ONE if step == HOUR else F("touch__network")
    found = came.exclude(reason__in=UNCOUNTED).order_by().annotate(network=network)
    rows = found.values("currency", "network", at=trunc("event_at", tzinfo=UTC))
    tallies: dict[datetime, dict[str, list[Tally]]] = defaultdict(lambda: defaultdict(list))
    for row in rows.annotate(count=Count("pk"), total=Sum("value")):
        sums = {} if row["total"] is None else {row["currency"]: row["total"]}
        tallies[row["at"]][row["network"] or ""].append(Tally(row["count"], sums))
    taken = {row["at"]: (row["a"], row["r"]) for row in requests}
    return {
        at: Figures(*taken.get(at, (0, 0)), {network: added(found) for network, found in tallies[at].items()})
        for at in {*taken, *tallies}
    }


def _kept(game: Game, starts: list[datetime], step: timedelta, now: datetime, *, live: int) -> dict[datetime, Figures]:
    """Hours or days from what was kept of them; those missing there, and the last `live`, are counted in one go."""
    name = f"figures:{game.pk}:{step.total_seconds():.0f}"
    kept: dict[datetime, tuple[datetime, Figures]] = cache.get(name, {})
    over = starts[: len(starts) - live]
    missing = [start for start in over if start not in kept or now - kept[start][0] >= _keeping(start, step, now)]
    wanted = [*missing, *starts[len(over) :]]
    found = counted(game, wanted[0], wanted[-1] + step, step) if wanted else {}
    if missing:
        kept = {start: value for start, value in kept.items() if now - start < timedelta(days=32)}
        kept |= {start: (now, found.get(start, Figures())) for start in missing}
        cache.set(name, kept, timeout=DAY.total_seconds())
    return {start: found.get(start, Figures()) if start in wanted else kept[start][1] for start in starts}


def _keeping(start: datetime, step: timedelta, now: datetime) -> timedelta:
    if step == HOUR:
        return KEPT_RECENT if now - start < RECENT else KEPT_HOUR
    return KEPT_MOVING if now - start < MOVING else KEPT
