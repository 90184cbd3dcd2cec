"""Cohorts: players by the day of their first click, how many came back, and what they paid since.

A figure of the n-th day after the click is known when that day is over; until then the day is left out of it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from audience.database import clock
from audience.digest.active_quarters import RETENTION_DAYS
from postbacks.reporting.campaigns.definitions import REVENUE_DAYS
from postbacks.reporting.campaigns.figures import LEVELS, Names, Scope

QUERY = """
SELECT {keys}, day, currency, sum(players)::bigint, {sums}
FROM postbacks_cohortday AS cohort JOIN postbacks_advert AS advert
  ON advert.game_id = %(game)s AND advert.id = advert_id
WHERE cohort.game_id = %(game)s AND day BETWEEN %(first)s AND %(last)s AND {narrowed}
GROUP BY {keys}, day, currency
"""
COLUMNS = (*(f"active_{days}" for days in RETENTION_DAYS), *(f"revenue_{days}" for days in REVENUE_DAYS))
SUMS = ", ".join(f"sum({column})" for column in COLUMNS)

Revenue = dict[str, Decimal]


@dataclass(slots=True)
class Cohort:
    """Players of one day or several. `active` and `revenue` by days after the click; of a day count those players in
    `known` whose day is over."""

    players: int = 0
    known: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    active: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    revenue: dict[int, Revenue] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))

    def add(self, *, age: int, currency: str, sums: tuple[Any, ...]) -> None:
        """Add a row of cohorts that are `age` days old: the number of players and COLUMNS."""
        players, values = sums[0], dict(zip(COLUMNS, sums[1:], strict=True))
        self.players += players
        for days in sorted({*RETENTION_DAYS, *REVENUE_DAYS}):
            if age <= days:
                continue
            self.known[days] += players
            if days in RETENTION_DAYS:
                self.active[days] += int(values[f"active_{days}"])
            if days in REVENUE_DAYS and currency:
                self.revenue[days][currency] += values[f"revenue_{days}"]

    def merge(self, other: "Cohort") -> None:
        """Add the players of another cohort."""
        self.players += other.players
        for counted in ("known", "active"):
            for days, number in getattr(other, counted).items():
                getattr(self, counted)[days] += number
        for days, amounts in other.revenue.items():
            for currency, amount in amounts.items():
                self.revenue[days][currency] += amount

    def retention(self, days: int) -> float | None:
        """Return the share of players who were active on that day; None if no such day is over."""
        return self.active[days] / self.known[days] if self.known[days] else None


def today(scope: Scope) -> date:
    """Return the present day in the game's time zone."""
    return clock.now().astimezone(scope.game_zone).date()


def by_day(scope: Scope) -> dict[date, Cohort]:
    """Return {day of the first click: cohort} of the period, in the game's time zone."""
    found: dict[date, Cohort] = defaultdict(Cohort)
    for _, day, age, currency, sums in _read(scope, 0):
        found[day].add(age=age, currency=currency, sums=sums)
    return dict(found)


def by_names_and_day(scope: Scope, *, depth: int) -> dict[tuple[Names, date], Cohort]:
    """Return {(the first `depth` names, day of the first click): cohort} of the period."""
    found: dict[tuple[Names, date], Cohort] = defaultdict(Cohort)
    for names, day, age, currency, sums in _read(scope, depth):
        found[names, day].add(age=age, currency=currency, sums=sums)
    return dict(found)


def merged(parts: Iterable[Cohort]) -> Cohort:
    """Return one cohort of all their players."""
    cohort = Cohort()
    for part in parts:
        cohort.merge(part)
    return cohort


def last_known_day(scope: Scope, days: int) -> date:
    """Return the last day of clicks whose figure of that many days after is known."""
    return today(scope) - timedelta(days=days + 1)


def _read(scope: Scope, depth: int) -> list[tuple[Names, date, int, str, tuple[Any, ...]]]:
    narrowed = " AND ".join(f"advert.{name} = %({name})s" for name in scope.names) or "true"
    keys = ", ".join(LEVELS[:depth]) or "cohort.game_id"
    params: dict[str, Any] = {"game": scope.game.pk, "first": scope.period.first, "last": scope.period.last}
    present, width = today(scope), max(depth, 1)
    with connection.cursor() as cursor:
        cursor.execute(QUERY.format(keys=keys, sums=SUMS, narrowed=narrowed), {**params, **scope.names})
        rows = cursor.fetchall()
    return [
        (row[:depth], row[width], (present - row[width]).days, row[width + 1], tuple(row[width + 2 :])) for row in rows
    ]
