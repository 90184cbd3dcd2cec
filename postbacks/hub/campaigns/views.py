"""The Campaigns page: which ads bring paying players, with its CSV export and the lists behind its figures."""

from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse

from audience.digest.active_quarters import RETENTION_DAYS
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import choice
from audience.models import Conversion, Membership, Person, Touch, trigger_label
from audience.reporting.people import person_rows
from audience.wording import dates
from postbacks.hub.campaigns import table
from postbacks.hub.campaigns.filters import CampaignFilter, names_query, offset_of, read_filter
from postbacks.hub.toolkit import charts
from postbacks.reporting.campaigns import cohorts, columns, costs, export, figures, listed, order
from postbacks.reporting.campaigns.amounts import rates_of
from postbacks.reporting.campaigns.figures import LEVELS
from postbacks.reporting.campaigns.report import build
from postbacks.reporting.campaigns.wording import LEVEL_LABELS, name_label
from postbacks.reporting.conversion_rows import conversion_row, with_outcomes
from postbacks.reporting.modeled import figures as modeled_figures
from postbacks.reporting.steam import report as steam_report

ROWS_PER_PAGE = 25
ROWS_PER_LIST = 50
MAX_DAILY = 62  # Columns of more days would be too narrow to be tapped.
# Of the tables below that of campaigns.
MAX_FURTHER_ROWS = 50
METRICS = {"clicks": "Clicks", "players": "Players", "launches": "Launches", "payers": "Payers", "revenue": "Revenue"}
PARTS = {"": "Conversions", "first": "First per player", "sent": "Sent", "accepted": "Accepted"}


@game_view()
def campaigns(request: HubRequest, membership: Membership) -> HttpResponse:
    filters = read_filter(request, membership.game)
    report = build(filters.scope, depth=filters.depth, compare=filters.compare, selected=filters.selects)
    shown = columns.columns(report, game=membership.game)
    by, ascending = _order(request)
    days = (min(filters.period.last, cohorts.today(filters.scope)) - filters.period.first).days + 1
    lines = table.Lines(
        columns=shown, filters=filters, currency=report.currency, days=days, url_of=partial(_url, membership)
    )
    rows = order.ordered(report.rows, shown, by=by, ascending=ascending)
    offset = offset_of(request) if offset_of(request) < len(rows) else 0
    context = {
        "filters": filters,
        "report": report,
        "columns": shown,
        "lines": [lines.line(row) for row in rows[offset : offset + ROWS_PER_PAGE]],
        "total": lines.line(report.total),
        "by": by,
        "ascending": ascending,
        "row_count": len(rows),
        "first_row": offset + 1,
        "last_row": min(offset + ROWS_PER_PAGE, len(rows)),
        "has_costs": costs.has_any(membership.game),
        "has_clicks": bool(rows) or Touch.objects.filter(game=membership.game).exists(),
        "level_names": [LEVEL_LABELS[name] for name in LEVELS[: filters.depth]],
        "window": membership.game.window_text,
        **_chart_context(request, filters),
        **_steam(filters),
        **_modeled(filters),
    }
    return page(request, "hub/campaigns/page.html", membership, **context)


def _chart_context(request: HubRequest, filters: CampaignFilter) -> dict[str, Any]:
    metric = choice(request, "metric", label="Chart", choices=METRICS.items(), default="clicks")
    unit = "Day" if filters.period.days <= MAX_DAILY else "Week"
    chart = _chart(filters, metric.chosen, METRICS[metric.chosen])
    return {"metric": metric, "chart": chart, "chart_unit": unit, "chart_title": f"By {unit.lower()}"}


def _modeled(filters: CampaignFilter) -> dict[str, Any]:
    """Return the context of modeled launches."""
    rows = modeled_figures.rows_of(filters.scope, query=filters.query)
    return {"modeled_rows": rows[:MAX_FURTHER_ROWS], "more_modeled": len(rows) - MAX_FURTHER_ROWS}


def _steam(filters: CampaignFilter) -> dict[str, Any]:
    """Return the context of Steam's own numbers: each row with (label, URL parameters) of campaigns of its name."""
    if not steam_report.has_any(filters.scope.game):
        return {"has_steam": False}
    rows = steam_report.rows_of(filters.scope, query=filters.query)
    days = urlencode(filters.period.parameters)
    linked = [
        (row, [(label, f"{names_query((network, name))}&{days}") for network, label, name in row.campaigns])
        for row in rows[:MAX_FURTHER_ROWS]
    ]
    labels = list(steam_report.COUNT_LABELS.values())
    more = len(rows) - MAX_FURTHER_ROWS
    return {"has_steam": True, "steam_rows": linked, "steam_labels": labels, "more_steam": more}


@game_view()
def campaigns_export(request: HubRequest, membership: Membership) -> StreamingHttpResponse:
    """Return all rows of the table as CSV, with the same filters and order."""
    filters = read_filter(request, membership.game)
    report = build(filters.scope, depth=filters.depth, compare=filters.compare, selected=filters.selects)
    shown = columns.columns(report, game=membership.game)
    by, ascending = _order(request)
    rows = order.ordered(report.rows, shown, by=by, ascending=ascending)
    lines = export.lines(filters.scope, report, shown, rows, depth=filters.depth, compare=filters.compare)
    return spreadsheet.streamed(lines, name=export.file_name(filters.scope), content_type="text/csv; charset=utf-8")


@game_view()
def campaign_players(request: HubRequest, membership: Membership) -> HttpResponse:
    """List the players that the column Players counts, by the time of their first click."""
    filters, offset = read_filter(request, membership.game), offset_of(request)
    active = next((days for days in RETENTION_DAYS if request.GET.get("active") == str(days)), None)
    found = listed.players(filters.scope, limit=ROWS_PER_LIST + 1, offset=offset, active=active)
    stored = Person.objects.filter(game=membership.game).in_bulk([pk for pk, _ in found[:ROWS_PER_LIST]])
    people = [stored[pk] for pk, _ in found[:ROWS_PER_LIST] if pk in stored]
    counted = "Players whose first paid click is on these days"
    context = {
        "kind": "Players",
        "counted": f"{counted} and who were active on day {active} after it" if active else counted,
        "rows": person_rows(people, addresses=sees_addresses(membership)),
        "row_template": "hub/people/_rows.html",
    }
    return page(request, "hub/campaigns/list.html", membership, **context, **_list_context(filters, offset, len(found)))


@game_view()
def campaign_conversions(request: HubRequest, membership: Membership) -> HttpResponse:
    """List the conversions that a figure counts: of an event (`?event=`), and of a part of listed.PARTS (`?only=`)."""
    filters, offset = read_filter(request, membership.game), offset_of(request)
    part = choice(request, "only", label="Conversions", choices=PARTS.items())
    trigger = request.GET.get("event", "").replace("\0", "")[:256]
    found = listed.conversions(filters.scope, limit=ROWS_PER_LIST + 1, offset=offset, trigger=trigger, part=part.chosen)
    keys = [pk for pk, _ in found[:ROWS_PER_LIST]]
    stored = with_outcomes(Conversion.objects.filter(game=membership.game)).in_bulk(keys)
    addresses = sees_addresses(membership)
    events = trigger_label(trigger) if trigger else "All events"
    context = {
        "kind": "Conversions",
        "counted": f"{events}{f', {PARTS[part.chosen].lower()}' if part.chosen else ''}, by the time of the event",
        "rows": [conversion_row(stored[pk], addresses=addresses) for pk in keys if pk in stored],
        "row_template": "hub/conversions/_rows.html",
    }
    return page(request, "hub/campaigns/list.html", membership, **context, **_list_context(filters, offset, len(found)))


def _list_context(filters: CampaignFilter, offset: int, found: int) -> dict[str, Any]:
    return {
        "filters": filters,
        "names": [name_label(filters.scope.path, number) for number in range(len(filters.scope.path))],
        "next_offset": offset + ROWS_PER_LIST if found > ROWS_PER_LIST else None,
        "offset": offset,
    }


def _order(request: HubRequest) -> tuple[str, bool]:
    """Return the column of the order, and whether it ascends: names do by default, figures do not."""
    by = request.GET.get("sort", order.DEFAULT)
    direction = request.GET.get("dir", "")
    return by, direction == "asc" if direction in ("asc", "desc") else by == order.BY_NAME


def _url(membership: Membership, name: str) -> str:
    return reverse(name, kwargs={"slug": membership.game.slug})


def _chart(filters: CampaignFilter, metric: str, label: str) -> charts.Chart:
    """Return a column per day; per week if there are more than MAX_DAILY. Each leads to the table of its days."""
    period, rates = filters.period, rates_of(filters.scope.game)
    adverts = filters.scope.adverts(filters.selects, depth=filters.depth) if filters.query else None
    by_day = figures.by_day(filters.scope, adverts)
    step = 1 if period.days <= MAX_DAILY else 7
    points = []
    for start in range(0, period.days, step):
        days = [period.first + timedelta(days=start + number) for number in range(min(step, period.days - start))]
        found = figures.total(by_day[day] for day in days if day in by_day)
        value = round(rates.convert(found.revenue).amount) if metric == "revenue" else getattr(found, metric)
        kept = {**filters.scope.names, "by": filters.level.chosen, "metric": metric}
        href = f"?{urlencode({**kept, **replace(period, first=days[0], last=days[-1]).parameters})}"
        points.append(charts.Point(dates.short_day(days[0]), _title(days), [int(value)], href, [href]))
    series = f"Revenue, {rates.currency}" if metric == "revenue" else label
    return charts.stacked(points, series=[charts.Series(series)])


def _title(days: list[date]) -> str:
    first = dates.weekday(days[0])
    return first if len(days) == 1 else f"{first} to {dates.short_day(days[-1])}"
