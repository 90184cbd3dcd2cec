"""The table of cohorts: one row per day of first clicks, the newest first, and the whole period; also as CSV."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from audience.digest.active_quarters import RETENTION_DAYS
from audience.hub.toolkit import spreadsheet
from postbacks.reporting.campaigns import cohorts
from postbacks.reporting.campaigns.amounts import Rates, rates_of
from postbacks.reporting.campaigns.cohorts import Cohort
from postbacks.reporting.campaigns.definitions import REVENUE_DAYS
from postbacks.reporting.campaigns.export import exported
from postbacks.reporting.campaigns.figures import Scope


@dataclass(frozen=True, slots=True)
class CohortRow:
    """A day of first clicks; `day` is None for the whole period.

    By days after the click: `active` players, their `retention` in per cent, and the revenue `per_player` until the end
    of that day; None while the day is not over.
    """

    day: date | None
    players: int
    active: dict[int, int]
    retention: dict[int, float | None]
    per_player: dict[int, Decimal | None]


@dataclass(frozen=True, slots=True)
class CohortTable:
    """`missing`: currencies without an exchange rate, whose amounts the revenue leaves out."""

    rows: list[CohortRow]
    total: CohortRow
    currency: str
    missing: list[str]


def read(scope: Scope) -> CohortTable:
    """Return the table. The days of cohorts are those of the game's time zone."""
    rates, by_day = rates_of(scope.game), cohorts.by_day(scope)
    whole = cohorts.merged(by_day.values())
    missing = {code for amounts in whole.revenue.values() for code in rates.convert(amounts).missing}
    return CohortTable(
        rows=[_row(day, by_day[day], rates) for day in sorted(by_day, reverse=True)],
        total=_row(None, whole, rates),
        currency=rates.currency,
        missing=sorted(missing),
    )


def _row(day: date | None, cohort: Cohort, rates: Rates) -> CohortRow:
    shares = {days: cohort.retention(days) for days in RETENTION_DAYS}
    return CohortRow(
        day=day,
        players=cohort.players,
        active={days: cohort.active.get(days, 0) for days in RETENTION_DAYS},
        retention={days: None if share is None else round(100 * share, 1) for days, share in shares.items()},
        per_player={days: _per_player(cohort, days, rates) for days in REVENUE_DAYS},
    )


def _per_player(cohort: Cohort, days: int, rates: Rates) -> Decimal | None:
    players = cohort.known.get(days, 0)
    return rates.convert(cohort.revenue.get(days, {})).amount / players if players else None


def file_name(scope: Scope) -> str:
    return f"cohorts-{scope.game.slug}-{scope.period.first}-{scope.period.last}.csv"


def lines(scope: Scope, table: CohortTable) -> Iterator[str]:
    """Yield CSV lines with CRLF: the column names, then the days. Cells are blank while a day is not over."""
    header = ["day", "players"]
    header += [name for days in RETENTION_DAYS for name in (f"active_{days}", f"retention_{days}")]
    header += [*(f"revenue_per_player_{days}" for days in REVENUE_DAYS), "currency", "time_zone"]
    header += [f"only_{name}" for name in scope.names]

    def cells(row: CohortRow) -> list[Any]:
        retention: list[Any] = []
        for days in RETENTION_DAYS:
            share = row.retention[days]
            retention += ["", ""] if share is None else [row.active[days], share]
        revenue = [exported(row.per_player[days]) for days in REVENUE_DAYS]
        fixed = [table.currency, scope.game_zone.key, *scope.names.values()]
        return [row.day, row.players, *retention, *revenue, *fixed]

    return spreadsheet.lines(header, map(cells, table.rows))
