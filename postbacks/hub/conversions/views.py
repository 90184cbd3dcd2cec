"""The Conversions page: the funnel, the list with its filters and search, the CSV export; and one conversion."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse

from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, is_partial_request, page, sees_addresses
from audience.hub.toolkit.date_range import DateRange, read_range
from audience.hub.toolkit.filters import Filter, choice, search_text
from audience.hub.toolkit.masking import as_json, masked
from audience.hub.toolkit.paging import newest
from audience.models import Conversion, Game, Kind, Membership, Reason, ValueProblem, trigger_label
from postbacks.hub.campaigns.filters import names_query
from postbacks.hub.conversions.funnel import draw_bars
from postbacks.networks import NETWORKS
from postbacks.outbox import reasons
from postbacks.reporting import (
    clicks,
    conversion_detail,
    conversion_list,
    conversion_status,
    export,
    figure_rows,
    funnel,
)
from postbacks.reporting.campaigns.ad_names import names_of
from postbacks.reporting.campaigns.wording import name_label
from postbacks.reporting.conversion_rows import conversion_row, folded, with_outcomes
from postbacks.reporting.search import SearchResult, find

DEFAULT_PERIOD = "7d"


@dataclass(frozen=True, slots=True)
class ConversionListFilter:
    """The filters of the URL. `only` is a step, status or ALL; `scope` is what is listed, `counted` what the funnel
    counts; `is_capped`: that begins later than the period."""

    period: DateRange
    trigger: Filter
    network: Filter
    only: Filter
    click: Filter
    problem: Filter
    query: str
    scope: conversion_status.ConversionFilter
    counted: conversion_status.ConversionFilter
    is_capped: bool

    @property
    def key(self) -> str:
        """The key of what is listed. With a network chosen, only conversions attributed to it."""
        return conversion_list.listed_key(self.only.chosen, self.network.chosen)

    @property
    def is_list_capped(self) -> bool:
        return self.is_capped and self.scope.since == self.counted.since

    @property
    def counted_only(self) -> str | None:
        """The parameter `counted` in the links of numbers; None if the whole period is counted."""
        return "1" if self.is_capped else None

    @property
    def click_label(self) -> str:
        return next(option.text for option in self.click.options if option.is_chosen)

    @property
    def title(self) -> str:
        problem = self.problem.chosen and f"without value: {ValueProblem(self.problem.chosen).label}"
        return ", ".join(filter(None, [funnel.LABELS[self.key], self.scope.currency, problem]))

    @property
    def is_narrowed(self) -> bool:
        chosen = (self.query, self.trigger.chosen, self.network.chosen, self.only.chosen, self.click.chosen)
        return any((*chosen, self.problem.chosen, self.scope.currency))

    @property
    def summary(self) -> str:
        """A description of the list, for screen readers."""
        if self.query:
            return "search results"
        return f"the conversions of {self.period.title}{', filtered' if self.is_narrowed else ''}"

    @property
    def events_query(self) -> str:
        """The query by which Live events lists the events seen."""
        span = {"happened_from": self.counted.since.isoformat(), "happened_until": self.period.until.isoformat()}
        return urlencode({"kind": Kind.TRACK, "goals": "1", "name": self.trigger.chosen, **span})


@game_view()
def conversions(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the list and the funnel; htmx requests only the rows to refresh them."""
    filters = read_filter(request, membership.game)
    rows, result = listed_conversions(filters)
    before = request.GET.get("before", "")
    listed = newest(with_outcomes(rows), by="event_at", before=before)
    addresses = sees_addresses(membership)
    shown = [conversion_row(conversion, addresses=addresses) for conversion in listed.rows]
    context: dict[str, Any] = {
        # The list of repeat launches has nothing else.
        "rows": shown if filters.key == Reason.REPEAT_LAUNCH else folded(shown),
        "older": listed.older,
        "before": before,
        "filters": filters,
        "max_conversions": funnel.MAX_CONVERSIONS,
        "result": result,
        "game_has_conversions": bool(listed.rows) or Conversion.objects.filter(game=membership.game).exists(),
    }
    if is_partial_request(request):
        return page(request, "hub/conversions/_rows.html", membership, **context)
    if not filters.query:
        steps = funnel.count_steps(filters.counted)
        uncounted = sum(tally.count for _, tally in steps[0].lost)
        context |= {"funnel": draw_bars(steps), "uncounted": uncounted}
    return page(request, "hub/conversions/page.html", membership, **context)


@game_view()
def conversion_funnel(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the funnel, for its refresh."""
    filters = read_filter(request, membership.game)
    bars = draw_bars(funnel.count_steps(filters.counted))
    context = {"filters": filters, "max_conversions": funnel.MAX_CONVERSIONS, "funnel": bars}
    return page(request, "hub/conversions/_funnel.html", membership, **context)


@game_view()
def conversions_export(request: HubRequest, membership: Membership) -> StreamingHttpResponse:
    """Return the filtered list as CSV. Allowed for viewers, since players are identified by ids only."""
    rows, _ = listed_conversions(read_filter(request, membership.game))
    lines = export.lines(rows, addresses=sees_addresses(membership))
    name = export.file_name(membership.game, now=clock.now())
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
        "campaign": _campaign(row),
        "window": membership.game.window_text,
        "max_clicks": clicks.MAX_CLICKS,
    }
    return page(request, "hub/conversions/conversion.html", membership, **context)


def _campaign(conversion: Conversion) -> dict[str, str]:
    """Return the label of the attributed ad, and the query by which Campaigns shows it on the conversion's day."""
    if conversion.touch is None:
        return {}
    names = names_of(conversion.touch)
    day = conversion.event_at.astimezone(conversion.game.zone).date().isoformat()
    label = " › ".join(name_label(names, number) for number in range(len(names)))
    return {"label": label, "query": f"{names_query(names)}&{urlencode({'from': day, 'to': day})}"}


def read_filter(request: HubRequest, game: Game) -> ConversionListFilter:
    """Return the filters of the URL; unknown values are ignored."""
    period = read_range(request, now=clock.now(), default=DEFAULT_PERIOD)
    names = [(name, trigger_label(name)) for name in funnel.trigger_names(game)]
    trigger = choice(request, "event", label="Event", choices=[("", "All events"), *names])
    networks = [(kind, network.label) for kind, network in NETWORKS.items()]
    network = choice(request, "network", label="Ad click", choices=[("", "All networks"), *networks])
    choices = [("", ""), *((key, funnel.LABELS[key]) for key in conversion_list.KEYS)]
    only = choice(request, "only", label="Status", choices=choices)
    click = choice(request, "click", label="Click", choices=[("", "All"), *conversion_list.CLICKS.items()])
    problem = choice(request, "problem", label="Value", choices=[("", ""), *ValueProblem.choices])
    filters = conversion_status.ConversionFilter(
        game=game,
        since=period.since,
        until=period.until,
        trigger=trigger.chosen,
        network=network.chosen,
        click=click.chosen,
        currency=search_text(request, "currency", length=conversion_list.CURRENCY_LENGTH),
        problem=problem.chosen,
    )
    counted_only = request.GET.get("counted") == "1"
    found = conversion_list.conversion_list(filters, only=only.chosen, counted_only=counted_only)
    query = search_text(request, "q", length=conversion_list.MAX_QUERY_LENGTH)
    return ConversionListFilter(
        period, trigger, network, only, click, problem, query, found.scope, found.counted, found.is_capped
    )


def listed_conversions(filters: ConversionListFilter) -> tuple[QuerySet[Conversion], SearchResult | None]:
    """Return the conversions of the list and, for a query, the search result. A query ignores the other filters."""
    if filters.query:
        result = find(filters.scope.game, filters.query)
        return result.rows, result
    return figure_rows.conversions_of(filters.key, filters.scope), None
