"""The costs of a report: spend, and what a click, a launch and a payer cost, by network and campaign."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Self

from postbacks.reporting.campaigns import cohorts, cost_matching, costs
from postbacks.reporting.campaigns.amounts import Converted, Rates
from postbacks.reporting.campaigns.cohorts import Cohort
from postbacks.reporting.campaigns.costs import DayCost
from postbacks.reporting.campaigns.figures import Figures, Names, Scope, rows_of, total

# Days after that of the first click for which the return on ad spend is reported.
ROAS_DAYS = (0, 7, 30)
# Costs are known for networks and campaigns.
MAX_DEPTH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigures:
    """`spend` in the reporting currency, `originals` in those of the files, on `days` of the period.

    `roas`: {days: revenue per spend}. What divides spend is None for what is not known, as without an exchange rate.
    """

    spend: Decimal
    originals: Mapping[str, Decimal]
    days: int
    per_click: Decimal | None
    per_launch: Decimal | None
    per_payer: Decimal | None
    roas: dict[int, float | None]


@dataclass(slots=True)
class Costs:
    """The costs of the period by network and campaign, and the figures and cohorts of those that have any."""

    rates: Rates
    scope: Scope
    rows: dict[Names, list[DayCost]] = field(default_factory=dict)
    figures: Mapping[Names, Figures] = field(default_factory=dict)
    cohorts: Mapping[tuple[Names, date], Cohort] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        scope: Scope,
        rates: Rates,
        *,
        depth: int,
        found: Mapping[Names, Figures],
        selected: Callable[[Names], bool],
    ) -> Self:
        """Return the costs of rows of `depth` names, whose figures are `found`; none for ad groups and ads."""
        priced = cls(rates, scope)
        if depth > MAX_DEPTH or len(scope.path) > MAX_DEPTH:
            return priced
        period = scope.period
        stated = costs.of_days(scope.game, period.first, period.last, network=scope.names.get("network", ""))
        if not stated:
            return priced
        figures = found if depth == MAX_DEPTH else rows_of(scope, depth=MAX_DEPTH)
        priced.cohorts = cohorts.by_names_and_day(scope, depth=MAX_DEPTH)
        preferred = {*figures, *(names for names, _ in priced.cohorts)}
        for names, cost in priced._named(stated, preferred):
            if names[: len(scope.path)] == scope.path and selected(names[:depth]):
                priced.rows.setdefault(names, []).append(cost)
        priced.figures = {names: figures[names] for names in priced.rows if names in figures}
        return priced

    def _named(self, stated: Sequence[DayCost], preferred: Iterable[Names]) -> Iterable[tuple[Names, DayCost]]:
        """Yield the names of each cost, as clicks have them."""
        matcher, known = cost_matching.load(self.scope.game), {(names[0], names[1]) for names in preferred}
        for cost in stated:
            campaign = matcher.find(cost.network, cost.campaign, cost.campaign_id, known)
            yield (cost.network, campaign or cost.campaign), cost

    def of(self, names: Names) -> CostFigures | None:
        """Return the costs of all campaigns whose first names these are: figures of other campaigns do not count."""
        if len(names) == MAX_DEPTH:
            priced = [names] if names in self.rows else []
        else:
            priced = [key for key in self.rows if key[: len(names)] == names]
        if not priced:
            return None
        rows = [(key, cost) for key in priced for cost in self.rows[key]]
        figures = total(self.figures[key] for key in priced if key in self.figures)
        originals = costs.by_currency(cost for _, cost in rows)
        spend = self.rates.convert(originals)
        return CostFigures(
            spend=spend.amount,
            originals=originals,
            days=len({cost.day for _, cost in rows}),
            per_click=_per(spend, figures.clicks),
            per_launch=_per(spend, figures.launches),
            per_payer=_per(spend, figures.payers),
            roas={days: self._roas(rows, days) for days in ROAS_DAYS},
        )

    def _roas(self, rows: Sequence[tuple[Names, DayCost]], days: int) -> float | None:
        """Return the revenue per spend of the days that have a cost, and after which that many days are over."""
        until = cohorts.last_known_day(self.scope, days)
        known = [(names, cost) for names, cost in rows if cost.day <= until]
        spend = self.rates.convert(costs.by_currency(cost for _, cost in known))
        if spend.missing or not spend.amount:
            return None
        keys = {(names, cost.day) for names, cost in known}
        cohort = cohorts.merged(self.cohorts[key] for key in keys if key in self.cohorts)
        revenue = self.rates.convert(cohort.revenue.get(days, {}))
        return None if revenue.missing and not revenue.amount else float(revenue.amount / spend.amount)

    def missing(self) -> set[str]:
        """Return the currencies of costs and of the revenue of ROAS that have no rate."""
        of_costs = costs.by_currency(cost for rows in self.rows.values() for cost in rows)
        of_revenue = (
            amounts
            for (names, _), cohort in self.cohorts.items()
            if names in self.rows
            for days, amounts in cohort.revenue.items()
            if days in ROAS_DAYS
        )
        return {code for amounts in (of_costs, *of_revenue) for code in self.rates.convert(amounts).missing}


def _per(spend: Converted, number: int) -> Decimal | None:
    return spend.amount / number if number and not spend.missing else None
