"""The report of campaigns: figures of a level beside those of the period before, revenue in one currency, and costs."""

from collections.abc import Callable
from dataclasses import dataclass

from audience.models import Trigger
from postbacks.reporting.campaigns.amounts import Converted, Rates, rates_of
from postbacks.reporting.campaigns.cost_report import CostFigures, Costs
from postbacks.reporting.campaigns.figures import Figures, Names, Scope, rows_of, total


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


def build(scope: Scope, *, depth: int, compare: bool, selected: Callable[[Names], bool] = lambda names: True) -> Report:
    """Return the report of the scope by the first `depth` names; `selected` narrows its rows."""
    rates = rates_of(scope.game)
    found = rows_of(scope, depth=depth)
    earlier = rows_of(_before(scope), depth=depth) if compare else {}
    priced = Costs.read(scope, rates, depth=depth, found=found, selected=selected)
    names = sorted(row for row in {*found, *earlier, *(key[:depth] for key in priced.rows)} if selected(row))
    rows = [
        _report_row(row, found.get(row, Figures()), earlier.get(row, Figures()) if compare else None, rates, priced)
        for row in names
    ]
    sums = total(row.figures for row in rows)
    before = total(row.before for row in rows if row.before) if compare else None
    triggers = {trigger for one in (sums, before) if one for trigger in one.events} - set(Trigger.values)
    revenues = [revenue for row in rows for revenue in (row.revenue, row.revenue_before) if revenue]
    return Report(
        rows=rows,
        total=ReportRow(
            names=(),
            figures=sums,
            revenue=rates.convert(sums.revenue),
            before=before,
            revenue_before=rates.convert(before.revenue) if before else None,
            cost=priced.of(()),
        ),
        goals=sorted(triggers),
        currency=rates.currency,
        missing=sorted({code for revenue in revenues for code in revenue.missing} | priced.missing()),
    )


def _report_row(names: Names, figures: Figures, before: Figures | None, rates: Rates, priced: Costs) -> ReportRow:
    return ReportRow(
        names=names,
        figures=figures,
        revenue=rates.convert(figures.revenue),
        before=before,
        revenue_before=rates.convert(before.revenue) if before else None,
        cost=priced.of(names),
    )


def _before(scope: Scope) -> Scope:
    return Scope(game=scope.game, period=scope.period.before(), path=scope.path)
