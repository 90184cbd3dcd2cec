"""Costs that match no campaign of clicks, and campaigns of clicks without a cost: most are spelled differently."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from postbacks.reporting.campaigns import cost_matching, costs
from postbacks.reporting.campaigns.costs import DayCost
from postbacks.reporting.campaigns.figures import Scope, rows_of


@dataclass(frozen=True, slots=True)
class UnmatchedCost:
    """The costs of a campaign that no click names; `spend`: [(currency, amount)]."""

    network: str
    campaign: str
    first_day: date
    last_day: date
    spend: list[tuple[str, Decimal]]


@dataclass(frozen=True, slots=True)
class CampaignWithoutCost:
    """A campaign with clicks."""

    network: str
    campaign: str
    clicks: int


@dataclass(frozen=True, slots=True)
class CostGaps:
    """Both lists, those with the most recent costs and the most clicks first."""

    unmatched: list[UnmatchedCost]
    without_cost: list[CampaignWithoutCost]


def find(scope: Scope) -> CostGaps:
    """Return the gaps of a period; none in a period without any cost."""
    stated = costs.of_days(scope.game, scope.period.first, scope.period.last)
    if not stated:
        return CostGaps([], [])
    matcher, figures = cost_matching.load(scope.game), rows_of(scope, depth=2)
    known = {(names[0], names[1]) for names in figures}
    unmatched: dict[tuple[str, str], list[DayCost]] = defaultdict(list)
    priced = set()
    for cost in stated:
        campaign = matcher.find(cost.network, cost.campaign, cost.campaign_id, known)
        if campaign is None:
            unmatched[cost.network, cost.campaign].append(cost)
        else:
            priced.add((cost.network, campaign))
    without = [CampaignWithoutCost(*names, figures[names].clicks) for names in known - priced if figures[names].clicks]
    return CostGaps(
        sorted(
            map(_unmatched, unmatched.values()), key=lambda one: (-one.last_day.toordinal(), one.network, one.campaign)
        ),
        sorted(without, key=lambda one: (-one.clicks, one.network, one.campaign)),
    )


def _unmatched(rows: Sequence[DayCost]) -> UnmatchedCost:
    days = [row.day for row in rows]
    spend = sorted(costs.by_currency(rows).items())
    return UnmatchedCost(rows[0].network, rows[0].campaign, min(days), max(days), spend)
