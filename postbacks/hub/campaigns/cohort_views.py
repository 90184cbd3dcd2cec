"""The Cohorts page: players by the day of their first click, how many came back and what they paid since."""

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse

from audience.digest.active_quarters import RETENTION_DAYS
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Membership
from postbacks.hub.campaigns.filters import CampaignFilter, offset_of, read_filter
from postbacks.hub.campaigns.table import figure_text
from postbacks.reporting.campaigns import cohort_table, cohorts
from postbacks.reporting.campaigns.cohort_table import CohortRow
from postbacks.reporting.campaigns.definitions import REVENUE_DAYS

DAYS_PER_PAGE = 31


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
class CohortLine:
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
    table = cohort_table.read(filters.scope)
    offset = offset_of(request) if offset_of(request) < len(table.rows) else 0
    shown = table.rows[offset : offset + DAYS_PER_PAGE]
    context = {
        "filters": filters,
        "rows": [_line(filters, row, table.currency) for row in shown],
        "row_count": len(table.rows),
        "first_row": offset + 1,
        "last_row": offset + len(shown),
        "total": _line(filters, table.total, table.currency),
        "currency": table.currency,
        "missing": table.missing,
        "names": [crumb.label for crumb in filters.crumbs],
    }
    return page(request, "hub/campaigns/cohorts.html", membership, **context)


@game_view()
def cohorts_export(request: HubRequest, membership: Membership) -> StreamingHttpResponse:
    """Return the days of the table as CSV."""
    scope = read_filter(request, membership.game, zone=membership.game.zone).scope
    lines = cohort_table.lines(scope, cohort_table.read(scope))
    return spreadsheet.streamed(lines, name=cohort_table.file_name(scope), content_type="text/csv; charset=utf-8")


def _line(filters: CampaignFilter, row: CohortRow, currency: str) -> CohortLine:
    return CohortLine(
        day=row.day,
        players=row.players,
        query=_query(filters, row.day),
        retention=[_retained(filters, row, days) for days in RETENTION_DAYS],
        revenue=[Earned(days, figure_text(row.per_player[days], "unit cost", currency)) for days in REVENUE_DAYS],
    )


def _retained(filters: CampaignFilter, row: CohortRow, days: int) -> Retained:
    query = _query(filters, row.day, until=cohorts.last_known_day(filters.scope, days), active=days)
    return Retained(days, row.retention[days], row.active[days], query)


def _query(filters: CampaignFilter, day: date | None, *, until: date | None = None, active: int | None = None) -> str:
    """Return the parameters of the list of players of a day, or of the period until a day, who were active then."""
    first, last = (day, day) if day else (filters.period.first, filters.period.last)
    dates = {"from": first.isoformat(), "to": min(last, until or last).isoformat()}
    days = {} if active is None else {"active": active}
    return urlencode({**filters.scope.names, **dates, **days})
