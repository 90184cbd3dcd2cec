"""The overview of a game: notices, events and conversions, and deliveries by network."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpResponse

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, is_partial_request, page
from audience.hub.toolkit.filters import choice
from audience.models import Game, Membership
from postbacks.hub.guide.steps import completed_steps
from postbacks.hub.overview import attention, backlog, delivery_totals, figures, set_aside_work
from postbacks.hub.overview.attention import AttentionItem
from postbacks.hub.overview.backlog import Backlog
from postbacks.hub.overview.figures import EventCounts, Period
from postbacks.hub.toolkit import charts
from postbacks.hub.toolkit.config_rows import ConfigRow, config_rows
from postbacks.networks import NETWORKS
from postbacks.reporting.funnel import Tally

ACCEPTED = charts.Series("Accepted")
REJECTED = charts.Series("Rejected", charts.HATCHED)
DEFAULT = "24h"
# Where paid clicks come from besides NETWORKS (audience/digest/clicks.py).
CLICK_SOURCES = {
    "meta": "Meta",
    "google": "Google",
    "x": "X",
    "amazon": "Amazon",
    "other": "Another ad network",
    "": "No paid click",
}


@game_view()
def overview(request: HubRequest, membership: Membership) -> HttpResponse:
    """Show the page; htmx requests its figures alone."""
    game, now = membership.game, clock.now()
    choices = [(period.key, period.label) for period in figures.PERIODS.values()]
    chosen = choice(request, "range", label="Period", choices=choices, default=DEFAULT)
    period = figures.PERIODS[chosen.chosen]
    configs = config_rows(game)
    waiting = backlog.read(game, attention.sendable(configs), now=now)
    items = notices(game, configs, waiting, user=request.user)
    context = {
        "filter": chosen,
        "period": period,
        **setup_context(game),
        "items": items,
        "server_is_well": not any(item.is_of_server for item in items),
        **events_context(figures.read_events(game, period, now=now), period),
        **conversions_context(figures.read_conversions(game, period, now=now)),
        "sent": delivery_totals.by_network(game, configs, since=period.starts(now)[0]),
        "backlog": waiting,
        "now": now,
    }
    template = "hub/overview/_figures.html" if is_partial_request(request) else "hub/overview/page.html"
    return page(request, template, membership, **context)


def notices(game: Game, configs: list[ConfigRow], waiting: Backlog, *, user: Any = None) -> list[AttentionItem]:
    """Return all notices, worst first."""
    found = [*attention.items(game, configs, waiting, user=user), *set_aside_work.items(game)]
    return sorted(found, key=lambda item: item.tone != attention.BAD)


def setup_context(game: Game) -> dict[str, Any]:
    """Return the progress of the guide."""
    steps = completed_steps(game)
    next_step = next((step for step in steps if not step.done), None)
    return {"steps": steps, "done": sum(step.done for step in steps), "next_step": next_step}


def events_context(found: Mapping[datetime, EventCounts], period: Period) -> dict[str, Any]:
    total = EventCounts(sum(one.accepted for one in found.values()), sum(one.rejected for one in found.values()))
    unit = "Hour" if period.step == figures.HOUR else "Day"
    counts = f"{total.accepted:,} accepted, {total.rejected:,} rejected"
    desc = f"Events per {unit.lower()} in the last {period.label}: {counts}."
    return {"total": total, "chart": events_chart(found, period), "chart_desc": desc, "chart_unit": f"{unit} (UTC)"}


def conversions_context(found: Mapping[str, Tally]) -> dict[str, Any]:
    total = sum(found.values(), Tally())
    attributed = total.count - found.get("", Tally()).count
    return {"conversions": total, "attributed": attributed, "clicks": clicks(found)}


def events_chart(found: Mapping[datetime, EventCounts], period: Period) -> charts.Chart:
    """Return events accepted and rejected, by hour or day (UTC)."""
    label, title = ("%H:%M", "%a %-d %b, %H:%M") if period.step == figures.HOUR else ("%-d %b", "%a %-d %b")
    points = [
        charts.Point(f"{start:{label}}", f"{start:{title}}", (one.accepted, one.rejected))
        for start, one in found.items()
    ]
    return charts.stacked(points, series=[ACCEPTED, REJECTED])


def clicks(found: Mapping[str, Tally]) -> list[tuple[charts.Rank, Tally]]:
    """Return conversions by network of the attributed click, with values; networks with postbacks first."""
    known = {**{kind: network.label for kind, network in NETWORKS.items()}, **CLICK_SOURCES}
    shown = [kind for kind in known if kind in NETWORKS or kind in found]
    tallies = [found.get(kind, Tally()) for kind in shown]
    rows = [
        (known[kind], tally.count, charts.SOLID if kind else charts.DOTTED)
        for kind, tally in zip(shown, tallies, strict=True)
    ]
    return list(zip(charts.ranked(rows), tallies, strict=True))
