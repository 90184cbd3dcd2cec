"""The Conversions page: the funnel, the list with its filters and search, the CSV export; and one conversion."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse

from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, is_partial_request, page, sees_addresses
from audience.hub.toolkit.filters import Filter, choice, search_text
from audience.hub.toolkit.masking import as_json, masked
from audience.hub.toolkit.paging import newest
from audience.models import Conversion, Game, Membership, trigger_label
from postbacks.hub.conversions.funnel import draw_bars
from postbacks.hub.toolkit.conversion_rows import conversion_row, with_outcomes
from postbacks.networks import NETWORKS
from postbacks.outbox import reasons
from postbacks.reporting import clicks, conversion_detail, conversion_status, export, funnel
from postbacks.reporting.search import SearchResult, find

PERIODS = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
DEFAULT_PERIOD = "7d"
# A click id may be longer than any other id.
MAX_QUERY_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class ConversionListFilter:
    """The filters of the URL. `only` is a step or status; `is_capped`: the funnel begins later than the period."""

    period: Filter
    trigger: Filter
    network: Filter
    only: Filter
    query: str
    scope: conversion_status.ConversionFilter
    is_capped: bool

    @property
    def period_label(self) -> str:
        return PERIODS[self.period.chosen][0]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.query or self.trigger.chosen or self.network.chosen or self.only.chosen)

    @property
    def summary(self) -> str:
        """A description of the list, for screen readers."""
        if self.query:
            return "what was found"
        return f"the conversions of the last {self.period_label}{', filtered' if self.is_narrowed else ''}"


@game_view()
def conversions(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the list and the funnel; htmx requests only the rows to refresh them."""
    filters = read_filter(request, membership.game)
    rows, result = listed_conversions(filters)
    before = request.GET.get("before", "")
    listed = newest(with_outcomes(rows), by="event_at", before=before)
    addresses = sees_addresses(membership)
    context = {
        "rows": [conversion_row(conversion, addresses=addresses) for conversion in listed.rows],
        "older": listed.older,
        "before": before,
        "filters": filters,
        "result": result,
        "game_has_conversions": bool(listed.rows) or Conversion.objects.filter(game=membership.game).exists(),
    }
    if is_partial_request(request):
        return page(request, "hub/conversions/_rows.html", membership, **context)
    if not filters.query:
        context["funnel"] = draw_bars(funnel.count_steps(filters.scope))
    return page(request, "hub/conversions/page.html", membership, **context)


@game_view()
def conversion_funnel(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the funnel, for its refresh."""
    filters = read_filter(request, membership.game)
    context = {"filters": filters, "funnel": draw_bars(funnel.count_steps(filters.scope))}
    return page(request, "hub/conversions/_funnel.html", membership, **context)


@game_view()
def conversions_export(request: HubRequest, membership: Membership) -> StreamingHttpResponse:
    """Return the filtered list as CSV. Allowed for viewers, since players are identified by ids only."""
    rows, _ = listed_conversions(read_filter(request, membership.game))
    lines = export.lines(rows, addresses=sees_addresses(membership))
    name = f"conversions-{membership.game.slug}-{clock.now():%Y-%m-%d}.csv"
    return spreadsheet.streamed(lines, name=name, content_type="text/csv; charset=utf-8")


@game_view()
def conversion(request: HubRequest, membership: Membership, pk: UUID) -> HttpResponse:
    """Show one conversion: its event, clicks, consent, every postback, and what to do."""
    row = conversion_detail.with_details(Conversion.objects.filter(game=membership.game, pk=pk)).first()
    if row is None:
        response = page(request, "hub/conversions/conversion_gone.html", membership)
        response.status_code = 404
        return response
    addresses = sees_addresses(membership)
    context = {
        "row": conversion_row(row, addresses=addresses),
        "detail": conversion_detail.load_detail(row, addresses=addresses),
        "message_id": masked(row.message_id, addresses=addresses),
        "order_id": masked(row.order_id, addresses=addresses),
        "player": masked(row.user_id, addresses=addresses) or f"Player {str(row.person_id)[:8]}",
        "properties": as_json(masked(row.properties, addresses=addresses)),
        "remedy": reasons.remedy(row.reason, row.touch.network if row.touch else "") if row.reason else "",
        "window_days": membership.game.attribution_window_days,
        "max_clicks": clicks.MAX_CLICKS,
    }
    return page(request, "hub/conversions/conversion.html", membership, **context)


def read_filter(request: HubRequest, game: Game) -> ConversionListFilter:
    """Return the filters of the URL; unknown values are ignored."""
    periods = [(key, text) for key, (text, _) in PERIODS.items()]
    period = choice(request, "range", label="Period", choices=periods, default=DEFAULT_PERIOD)
    names = [(name, trigger_label(name)) for name in funnel.trigger_names(game)]
    trigger = choice(request, "event", label="Event", choices=[("", "All events"), *names])
    networks = [(kind, network.label) for kind, network in NETWORKS.items()]
    network = choice(request, "network", label="Ad click", choices=[("", "All networks"), *networks])
    keys = dict.fromkeys([*conversion_status.STEPS, *conversion_status.STATUSES, *conversion_status.Acknowledged])
    statuses = [(key, funnel.LABELS[key]) for key in keys]
    only = choice(request, "only", label="Standing", choices=[("", "All"), *statuses])
    since, is_capped = funnel.counting_start(game, clock.now() - PERIODS[period.chosen][1])
    scope = conversion_status.ConversionFilter(game=game, since=since, trigger=trigger.chosen, network=network.chosen)
    query = search_text(request, "q", length=MAX_QUERY_LENGTH)
    return ConversionListFilter(period, trigger, network, only, query, scope, is_capped)


def listed_conversions(filters: ConversionListFilter) -> tuple[QuerySet[Conversion], SearchResult | None]:
    """Return the conversions of the list and, for a query, the search result. A query ignores the other filters."""
    if filters.query:
        result = find(filters.scope.game, filters.query)
        return result.rows, result
    # With a network chosen, the list shows only conversions attributed to it.
    key = filters.only.chosen or (
        conversion_status.ATTRIBUTED if filters.network.chosen else conversion_status.CONVERSIONS
    )
    return conversion_status.selected(filters.scope, key), None
