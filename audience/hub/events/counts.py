"""Accepted, duplicate and rejected messages per day and key, read from RequestCount."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.postgres.fields import ArrayField
from django.db.models import DateTimeField, F, Func, IntegerField, Sum, Value

from audience.database import clock
from audience.models import ApiKey, Game, RequestCount
from audience.wording import time_zones
from audience.wording.days import Days, last_days

DAYS = 7
# The chart of one day, in SVG units: three bars side by side on a base line.
PLOT_HEIGHT, BAR_WIDTH, GAP, MIN_HEIGHT = 56, 9, 3, 2
KINDS = ("accepted", "duplicates", "rejected")
# Of messages that this installation stores itself.
NO_KEY = "Tracking links and the claim page"


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
    query: str = ""  # by which Live events lists the messages of the day


@dataclass(frozen=True, slots=True)
class KeyDay:
    """The messages of one key on one day; `key` is its name."""

    day: date
    key: str
    count: Count


@dataclass(frozen=True, slots=True)
class CountsChart:
    """`key_days` has a row for each key and day with messages, newest first; `key` is the id of the filter's key."""

    total: Count
    days: list[CountedDay]
    key_days: list[KeyDay]
    key: int | None
    since: datetime
    until: datetime
    zone: str

    @property
    def accepted_query(self) -> str:
        """The query by which Live events lists what was accepted."""
        span = {"received_from": self.since.isoformat(), "received_until": self.until.isoformat()}
        return urlencode({"status": "accepted", **({"key": self.key} if self.key else {}), **span})


def read_counts(game: Game, *, key: int | None = None) -> CountsChart:
    """Return the counts of a game in the last 7 days of the page's time zone, of one key or of all."""
    week = last_days(DAYS, time_zones.current(), now=clock.now())
    days, starts = week.dates, week.starts
    requests = RequestCount.objects.filter(game_id=game.pk, starts_at__gte=starts[0], starts_at__lt=starts[-1])
    if key:
        requests = requests.filter(key_id=key)
    sums: dict[str, Any] = {kind: Sum(kind) for kind in KINDS}
    rows: Any = requests.values("key_id", column=column_of(starts)).annotate(**sums)
    names = {0: NO_KEY, **dict(ApiKey.objects.filter(game=game).values_list("pk", "name"))}
    key_days = [
        KeyDay(
            days[row["column"] - 1], names.get(row["key_id"], "A deleted key"), Count(*(row[kind] for kind in KINDS))
        )
        for row in rows
    ]
    by_day = {day: sum((key_day.count for key_day in key_days if key_day.day == day), Count()) for day in days}
    return CountsChart(
        total=sum(by_day.values(), Count()),
        days=[replace(one, query=_query(one.day, week, key)) for one in draw_days(by_day)],
        key_days=sorted(
            filter(lambda key_day: key_day.count, key_days), key=lambda key_day: (-key_day.day.toordinal(), key_day.key)
        ),
        key=key,
        since=starts[0],
        until=starts[-1],
        zone=week.zone.key,
    )


def column_of(edges: Sequence[datetime]) -> Func:
    """Return the number, from 1, of the column of a chart in which `starts_at` is.

    By its edges and not by PostgreSQL's time zones, which may differ from those of Python.
    """
    array = Value(list(edges), output_field=ArrayField(DateTimeField()))
    return Func(F("starts_at"), array, function="width_bucket", output_field=IntegerField())


def _query(day: date, week: Days, key: int | None) -> str:
    return urlencode({**Days(day, day, week.zone).parameters, **({"key": key} if key else {})})


def draw_days(by_day: dict[date, Count]) -> list[CountedDay]:
    """Return the days with bars on one scale; the bar of a value above 0 has a minimum height."""
    highest = max((getattr(count, kind) for count in by_day.values() for kind in KINDS), default=0)
    return [
        CountedDay(day, count, [_bar(index, count, highest) for index in range(len(KINDS))])
        for day, count in by_day.items()
    ]


def _bar(index: int, count: Count, highest: int) -> CountBar:
    value = getattr(count, KINDS[index])
    height = max(MIN_HEIGHT, round(PLOT_HEIGHT * value / highest)) if value else 0
    return CountBar(kind=KINDS[index], x=1 + index * (BAR_WIDTH + GAP), y=PLOT_HEIGHT - height + 1, height=height)
