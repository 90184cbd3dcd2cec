"""The overview of a game: revenue and conversions sent, notices, deliveries by network, and events."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, is_partial_request, page
from audience.hub.toolkit.date_range import DateRange, read_range
from audience.hub.toolkit.range_input import range_parameters
from audience.models import Game, Membership
from audience.wording import dates
from postbacks.hub.guide import chosen_network
from postbacks.hub.guide.chosen_network import ChosenNetwork
from postbacks.hub.guide.steps import completed_steps
from postbacks.hub.overview import attention, delivery_totals, figures, headline, notices
from postbacks.hub.overview.backlog import read_backlog
from postbacks.hub.overview.figures import EventCounts
from postbacks.hub.toolkit import charts
from postbacks.hub.toolkit.config_rows import config_rows
from postbacks.reporting.conversion_status import NO_PAID_CLICK
from postbacks.reporting.event_figures import rejections_listed
from postbacks.reporting.funnel import Tally
from postbacks.reporting.labels import CLICK_LABELS

ACCEPTED = charts.Series("Accepted")
REJECTED = charts.Series("Rejected", charts.HATCHED)
DEFAULT = "24h"


@game_view()
def overview(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the page; htmx requests only the figures."""
    game, now = membership.game, clock.now()
    period = read_range(request, now=now, default=DEFAULT)
    since, until = period.since, period.until
    configs = config_rows(game)
    backlog = read_backlog(game, attention.sendable(configs), now=now)
    items = notices.notices_of(game, configs, backlog, user=request.user)
    context = {
        "period": period,
        **setup_context(game, chosen_network.read(request, game, configs=[row.config for row in configs])),
        "items": items,
        "headline": headline.read(game, since=since, until=until, now=now),
        "keeps_up": attention.keeps_up(configs, backlog) and not any(item.is_server_wide for item in items),
        **events_context(game, figures.read_events(game, period.edges), period),
        **conversions_context(figures.read_conversions(game, since=since, until=until)),
        "delivery_totals": delivery_totals.by_network(game, configs, since=since, until=until),
        "received": urlencode({"received_from": since.isoformat(), "received_until": until.isoformat()}),
        "rejections": rejections_listed(game, since, until).count(),
        "backlog": backlog,
        "now": now,
    }
    template = "hub/overview/_figures.html" if is_partial_request(request) else "hub/overview/page.html"
    return page(request, template, membership, **context)


def setup_context(game: Game, chosen: ChosenNetwork) -> dict[str, Any]:
    """Return the steps of the first-run guide, the number done, the next one, and whether the game has events."""
    steps = completed_steps(game, chosen=chosen)
    next_step = next((step for step in steps if not step.done), None)
    has_events = next(step.done for step in steps if step.key == "event")
    return {"steps": steps, "done": sum(step.done for step in steps), "next_step": next_step, "has_events": has_events}


def events_context(game: Game, counts: Mapping[datetime, EventCounts], period: DateRange) -> dict[str, Any]:
    total = EventCounts(sum(row.accepted for row in counts.values()), sum(row.rejected for row in counts.values()))
    totals = f"{total.accepted:,} accepted, {total.rejected:,} rejected"
    desc = f"Events per {period.unit.lower()} {period.phrase}: {totals}."
    unit = f"{period.unit} ({dates.zone_label(period.since)})"
    return {"total": total, "chart": events_chart(game, counts, period), "chart_desc": desc, "chart_unit": unit}


def conversions_context(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    total = sum(tallies.values(), Tally())
    attributed = total.count - tallies.get("", Tally()).count
    return {"conversions": total, "attributed": attributed, "clicks": ranked_networks(tallies)}


def events_chart(game: Game, counts: Mapping[datetime, EventCounts], period: DateRange) -> charts.Chart:
    """Return events accepted and rejected; each column leads to its messages on Live events."""
    path, points = reverse("events", kwargs={"slug": game.slug}), []
    for (start, end), row in zip(period.columns, counts.values(), strict=True):
        href = f"{path}?{urlencode(range_parameters(start, end, period.zone))}"
        hrefs = (f"{href}&status=accepted", f"{href}&status=rejected")
        points.append(charts.time_point(period, start, (row.accepted, row.rejected), href=href, hrefs=hrefs))
    return charts.stacked(points, series=[ACCEPTED, REJECTED])


def ranked_networks(tallies: Mapping[str, Tally]) -> list[tuple[charts.Rank, Tally, str]]:
    """Return conversions by network of the attributed click, with values and the filter that lists them on the
    Conversions page; those with any."""
    kinds = [kind for kind in CLICK_LABELS if kind in tallies and tallies[kind].count]
    ordered = [tallies[kind] for kind in kinds]
    rows = [
        (CLICK_LABELS[kind], tally.count, charts.SOLID if kind else charts.DOTTED)
        for kind, tally in zip(kinds, ordered, strict=True)
    ]
    return list(zip(charts.ranked(rows), ordered, [f"click={kind or NO_PAID_CLICK}" for kind in kinds], strict=True))
