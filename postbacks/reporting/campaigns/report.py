"""The report of campaigns: figures of a level beside those of the period before, revenue in one currency, and costs."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from audience.models import Trigger
from postbacks.reporting.campaigns import cohorts, costs
from postbacks.reporting.campaigns.amounts import Converted, Rates, rates_of
from postbacks.reporting.campaigns.cohorts import Cohort
from postbacks.reporting.campaigns.costs import DayCost
from postbacks.reporting.campaigns.figures import Figures, Names, Scope, rows_of, total

# Days after that of the first click for which the return on ad spend is reported.
ROAS_DAYS = (0, 7, 30)
# Costs are known for networks and campaigns.
MAX_COST_DEPTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigures:
    """`spend` in the reporting currency. `roas`: {days: revenue per spend}; None for what is not known."""

    spend: Decimal
    per_click: Decimal | None
    per_launch: Decimal | None
    per_payer: Decimal | None
    roas: dict[int, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """A row, or the total. `before`: the figures of the period before, None if they were not asked for."""

    names: Names
    figures: Figures
    revenue: Converted
    before: Figures | None = None
    revenue_before: Converted | None = None
    cost: CostFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`goals`: the names of further events that have conversions. `missing`: currencies without a rate."""

    rows: list[ReportRow]
    total: ReportRow
    goals: list[str]
    currency: str
    missing: list[str]


@dataclass(frozen=True, slots=True)
class _Costs:
    """The costs of the period and the cohorts of campaigns that have any, by network and campaign."""

    rates: Rates
    scope: Scope
    rows: dict[Names, list[DayCost]]
    cohorts: dict[Names, Cohort]

    def of(self, names: Names, figures: Figures) -> CostFigures | None:
        """Return the costs of all campaigns whose first names these are."""
        priced = [key for key in self.rows if key[: len(names)] == names]
        if not priced:
            return None
        rows = [cost for key in priced for cost in self.rows[key]]
        cohort = cohorts.merged(self.cohorts[key] for key in priced if key in self.cohorts)
        spend = self.rates.convert(costs.by_currency(rows)).amount
        return CostFigures(
            spend=spend,
            per_click=_per(spend, figures.clicks),
            per_launch=_per(spend, figures.launches),
            per_payer=_per(spend, figures.payers),
            roas={days: self._roas(rows, cohort, days) for days in ROAS_DAYS},
        )

    def _roas(self, rows: Sequence[DayCost], cohort: Cohort, days: int) -> float | None:
        until = cohorts.last_known_day(self.scope, days)
        spend = self.rates.convert(costs.by_currency(rows, until=until)).amount
        return float(self.rates.convert(cohort.revenue.get(days, {})).amount / spend) if spend else None


def build(scope: Scope, *, depth: int, compare: bool, selected: Callable[[Names], bool] = lambda names: True) -> Report:
    """Return the report of the scope by the first `depth` names; `selected` narrows its rows."""
    rates = rates_of(scope.game)
    found = rows_of(scope, depth=depth)
    earlier = rows_of(_before(scope), depth=depth) if compare else {}
    priced = _costs(scope, rates, depth, selected)
    names = sorted(row for row in {*found, *earlier, *(key[:depth] for key in priced.rows)} if selected(row))
    rows = [
        _report_row(row, found.get(row, Figures()), earlier.get(row, Figures()) if compare else None, rates, priced)
        for row in names
    ]
    sums = total(row.figures for row in rows)
    before = total(row.before for row in rows if row.before) if compare else None
    triggers = {trigger for row in rows for trigger in row.figures.events} - set(Trigger.values)
    return Report(
        rows=rows,
        total=ReportRow(
            names=(),
            figures=sums,
            revenue=rates.convert(sums.revenue),
            before=before,
            revenue_before=rates.convert(before.revenue) if before else None,
            cost=priced.of((), sums),
        ),
        goals=sorted(triggers),
        currency=rates.currency,
        missing=sorted({code for row in rows for code in row.revenue.missing} | _unpriced(rates, priced)),
    )


def _report_row(names: Names, figures: Figures, before: Figures | None, rates: Rates, priced: _Costs) -> ReportRow:
    return ReportRow(
        names=names,
        figures=figures,
        revenue=rates.convert(figures.revenue),
        before=before,
        revenue_before=rates.convert(before.revenue) if before else None,
        cost=priced.of(names, figures),
    )


def _before(scope: Scope) -> Scope:
    return Scope(game=scope.game, period=scope.period.before(), path=scope.path)


def _costs(scope: Scope, rates: Rates, depth: int, selected: Callable[[Names], bool]) -> _Costs:
    """Return the costs of the rows; empty for ad groups and ads, whose costs are not known."""
    priced = _Costs(rates, scope, defaultdict(list), {})
    if depth > MAX_COST_DEPTH or len(scope.path) > MAX_COST_DEPTH:
        return priced
    for cost in costs.of_days(scope.game, scope.period.first, scope.period.last, scope.names):
        if selected(cost.names[:depth]):
            priced.rows[cost.names].append(cost)
    if priced.rows:
        priced.cohorts.update(cohorts.by_names(scope, depth=MAX_COST_DEPTH))
    return priced


def _unpriced(rates: Rates, priced: _Costs) -> set[str]:
    return {cost.currency for rows in priced.rows.values() for cost in rows if cost.currency not in rates.rates}


def _per(spend: Decimal, number: int) -> Decimal | None:
    return spend / number if number else None
