"""How many messages were accepted, were duplicates, were rejected: by day and by key, from the stored batches."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncDate

from audience.database import clock
from audience.models import ApiKey, Game, RequestCount

DAYS = 7
# The chart of one day, in SVG units: three bars side by side on a base line.
PLOT_HEIGHT, BAR, GAP, MIN_HEIGHT = 56, 9, 3, 2
KINDS = ("accepted", "duplicates", "rejected")


@dataclass(frozen=True, slots=True)
class Count:
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, kind) + getattr(other, kind) for kind in KINDS))

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in KINDS)

    def __str__(self) -> str:
        return f"{self.accepted:,} accepted, {self.duplicates:,} duplicate, {self.rejected:,} rejected"


@dataclass(frozen=True, slots=True)
class CountBar:
    kind: str
    x: int
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class CountedDay:
    day: date
    count: Count
    bars: list[CountBar]


@dataclass(frozen=True, slots=True)
class KeyDay:
    """One key on one day."""

    day: date
    key: str
    count: Count


@dataclass(frozen=True, slots=True)
class CountsChart:
    """`key_days` holds the days on which a key sent something, newest first."""

    total: Count
    days: list[CountedDay]
    key_days: list[KeyDay]
    key: int | None


def read_counts(game: Game, *, key: int | None = None) -> CountsChart:
    """Return the last 7 days (UTC) of a game, of one key or of all."""
    today = clock.now().astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    requests = RequestCount.objects.filter(game_id=game.pk, starts_at__gte=datetime.combine(days[0], time.min, UTC))
    if key:
        requests = requests.filter(key_id=key)
    sums: dict[str, Any] = {kind: Sum(kind) for kind in KINDS}
    found: Any = requests.values("key_id", day=TruncDate("starts_at", tzinfo=UTC)).annotate(**sums)
    names = dict(ApiKey.objects.filter(game=game).values_list("pk", "name"))
    key_days = [
        KeyDay(row["day"], names.get(row["key_id"], "A deleted key"), Count(*(row[kind] for kind in KINDS)))
        for row in found
    ]
    by_day = {day: sum((key_day.count for key_day in key_days if key_day.day == day), Count()) for day in days}
    return CountsChart(
        total=sum(by_day.values(), Count()),
        days=draw_days(by_day),
        key_days=sorted(
            filter(lambda key_day: key_day.count, key_days), key=lambda key_day: (-key_day.day.toordinal(), key_day.key)
        ),
        key=key,
    )


def draw_days(by_day: dict[date, Count]) -> list[CountedDay]:
    """Return the days with bars on one scale; a value that is not zero has a minimum height."""
    highest = max((getattr(count, kind) for count in by_day.values() for kind in KINDS), default=0)
    return [
        CountedDay(day, count, [_bar(place, count, highest) for place in range(len(KINDS))])
        for day, count in by_day.items()
    ]


def _bar(place: int, count: Count, highest: int) -> CountBar:
    value = getattr(count, KINDS[place])
    height = max(MIN_HEIGHT, round(PLOT_HEIGHT * value / highest)) if value else 0
    return CountBar(kind=KINDS[place], x=1 + place * (BAR + GAP), y=PLOT_HEIGHT - height + 1, height=height)
