"""The Cohorts page: players by the day of their first click, how many came back and what they paid since."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from urllib.parse import urlencode

from django.http import HttpResponse

from audience.digest.active_quarters import RETENTION_DAYS
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership
from postbacks.hub.campaigns.filters import CampaignFilter, read_filter
from postbacks.hub.campaigns.table import figure_text
from postbacks.reporting.campaigns import cohorts
from postbacks.reporting.campaigns.amounts import Rates, rates_of
from postbacks.reporting.campaigns.cohorts import Cohort
from postbacks.reporting.campaigns.definitions import REVENUE_DAYS


@dataclass(frozen=True, slots=True)
class Retained:
    """The share of players active on that day, in per cent; None while the day is not over. `query`: the parameters of
    the list of these players."""

    days: int
    share: float | None
    players: int
    query: str


@dataclass(frozen=True, slots=True)
class Earned:
    """The revenue per player until the end of that day, in the reporting currency; a dash while it is not over."""

    days: int
    per_player: str


@dataclass(frozen=True, slots=True)
class CohortRow:
    """A day of first clicks; `day` is None for the whole period. `query`: the parameters of the list of its players."""

    day: date | None
    players: int
    query: str
    retention: list[Retained]
    revenue: list[Earned]


@game_view()
def cohort_list(request: HubRequest, membership: Membership) -> HttpResponse:
    # The days of cohorts are computed in the time zone of the game.
    filters = read_filter(request, membership.game, zone=membership.game.zone)
    rates = rates_of(membership.game)
    by_day = cohorts.by_day(filters.scope)
    rows = [_row(filters, day, by_day[day], rates) for day in sorted(by_day, reverse=True)]
    whole = cohorts.merged(by_day.values())
    missing = {code for amounts in whole.revenue.values() for code in rates.convert(amounts).missing}
    context = {
        "filters": filters,
        "rows": rows,
        "total": _row(filters, None, whole, rates),
        "currency": rates.currency,
        "missing": sorted(missing),
        "names": [crumb.label for crumb in filters.crumbs],
    }
    return page(request, "hub/campaigns/cohorts.html", membership, **context)


def _row(filters: CampaignFilter, day: date | None, cohort: Cohort, rates: Rates) -> CohortRow:
    return CohortRow(
        day=day,
        players=cohort.players,
        query=_query(filters, day),
        retention=[_retained(filters, day, cohort, days) for days in RETENTION_DAYS],
        revenue=[
            Earned(days, figure_text(_per_player(cohort, days, rates), "unit cost", rates.currency))
            for days in REVENUE_DAYS
        ],
    )


def _retained(filters: CampaignFilter, day: date | None, cohort: Cohort, days: int) -> Retained:
    share = cohort.retention(days)
    query = _query(filters, day, until=cohorts.last_known_day(filters.scope, days), active=days)
    return Retained(days, None if share is None else round(100 * share, 1), cohort.active.get(days, 0), query)


def _query(filters: CampaignFilter, day: date | None, *, until: date | None = None, active: int | None = None) -> str:
    """Return the parameters of the list of players of a day, or of the period until a day, who were active then."""
    first, last = (day, day) if day else (filters.period.first, filters.period.last)
    dates = {"from": first.isoformat(), "to": min(last, until or last).isoformat()}
    days = {} if active is None else {"active": active}
    return urlencode({**filters.scope.names, **dates, **days})


def _per_player(cohort: Cohort, days: int, rates: Rates) -> Decimal | None:
    players = cohort.known.get(days, 0)
    return rates.convert(cohort.revenue.get(days, {})).amount / players if players else None
