"""Conversions: how many came how far and why not further, the list of them, a search, and all of it as CSV."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, asks_for_part, game_view, has_role, page
from audience.hub.toolkit.filters import Filter, choice
from audience.hub.toolkit.paging import newest
from audience.models import Conversion, Game, Membership, Role, trigger_label
from postbacks.hub.conversions.funnel import drawn
from postbacks.hub.toolkit.conversion_rows import row_of, with_outcomes
from postbacks.networks import NETWORKS
from postbacks.reporting import conversion_status, export, funnel
from postbacks.reporting.search import Found, find

RANGES = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
DEFAULT_RANGE = "7d"
# A click id may be longer than any other id.
QUERY_MAX = 2048


@dataclass(frozen=True, slots=True)
class View:
    """The filters of the URL. `only` is a step or a place of the pipeline; `query` looks through all times."""

    period: Filter
    trigger: Filter
    network: Filter
    only: Filter
    query: str
    asked: conversion_status.ConversionFilter
    cut: bool

    @property
    def period_label(self) -> str:
        return RANGES[self.period.chosen][0]

    @property
    def is_narrowed(self) -> bool:
        return bool(self.query or self.trigger.chosen or self.network.chosen or self.only.chosen)

    @property
    def summary(self) -> str:
        """What the list shows, for a screen reader."""
        if self.query:
            return "what was found"
        return f"the conversions of the last {self.period_label}{', filtered' if self.is_narrowed else ''}"


@game_view()
def conversions(request: HubRequest, membership: Membership) -> HttpResponse:
    """The list with its pipeline; htmx asks for the rows alone, over and over."""
    view = viewed(request, membership.game)
    rows, found = rows_of(view)
    before = request.GET.get("before", "")
    shown = newest(with_outcomes(rows), by="event_at", before=before, key=UUID)
    addresses = has_role(membership, Role.MARKETER)
    context = {
        "rows": [row_of(conversion, addresses=addresses) for conversion in shown.rows],
        "older": shown.older,
        "before": before,
        "view": view,
        "found": found,
        "game_has_any": bool(shown.rows) or Conversion.objects.filter(game=membership.game).exists(),
    }
    if asks_for_part(request):
        return page(request, "hub/conversions/_rows.html", membership, **context)
    if not view.query:
        context["pipeline"] = drawn(funnel.of(view.asked))
    return page(request, "hub/conversions/page.html", membership, **context)


@game_view()
def conversion_pipeline(request: HubRequest, membership: Membership) -> HttpResponse:
    """The pipeline alone."""
    view = viewed(request, membership.game)
    context = {"view": view, "pipeline": drawn(funnel.of(view.asked))}
    return page(request, "hub/conversions/_pipeline.html", membership, **context)


@game_view()
def conversions_export(request: HubRequest, membership: Membership) -> StreamingHttpResponse:
    """The list with the filters of its URL, as a file. For viewers too: it names players by their ids alone."""
    rows, _ = rows_of(viewed(request, membership.game))
    response = StreamingHttpResponse(
        _encoded(export.lines(rows, addresses=has_role(membership, Role.MARKETER))),
        content_type="text/csv; charset=utf-8",
    )
    name = f"conversions-{membership.game.slug}-{clock.now():%Y-%m-%d}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def viewed(request: HubRequest, game: Game) -> View:
    """Read the filters of the URL; one that is not known counts as not given."""
    period = choice(
        request,
        "range",
        label="Period",
        choices=[(key, text) for key, (text, _) in RANGES.items()],
        default=DEFAULT_RANGE,
    )
    names = [(name, trigger_label(name)) for name in funnel.trigger_names(game)]
    trigger = choice(request, "event", label="Event", choices=[("", "All events"), *names])
    networks = [(kind, network.label) for kind, network in NETWORKS.items()]
    network = choice(request, "network", label="Ad click", choices=[("", "All networks"), *networks])
    only = choice(request, "only", label="Standing", choices=[("", "All"), *only_choices()])
    since, cut = funnel.reaching_back(game, began(period.chosen))
    asked = conversion_status.ConversionFilter(game=game, since=since, trigger=trigger.chosen, network=network.chosen)
    query = request.GET.get("q", "").replace("\0", "").strip()[:QUERY_MAX]
    return View(period, trigger, network, only, query, asked, cut)


def only_choices() -> Iterator[tuple[str, str]]:
    keys = [*conversion_status.STEPS, *conversion_status.STATUSES]
    return ((key, funnel.LABELS[key]) for key in dict.fromkeys(keys))


def began(period: str) -> datetime:
    return clock.now() - RANGES[period][1]


def rows_of(view: View) -> tuple[QuerySet[Conversion], Found | None]:
    """The conversions of the list. A search goes through all times, whatever else is chosen."""
    if view.query:
        found = find(view.asked.game, view.query)
        return found.rows, found
    # Asked for one network's clicks, the list begins where the others have left the pipeline.
    key = view.only.chosen or (conversion_status.ATTRIBUTED if view.network.chosen else conversion_status.CONVERSIONS)
    return conversion_status.selected(view.asked, key), None


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    """Bytes of a hundred lines at a time, since each piece costs a write to the socket."""
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) == 100:
            yield "".join(held).encode()
            held.clear()
    yield "".join(held).encode()
