"""Compare with the network: a postback's conversions by day of the ad account and event, and why some are missing."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse

from audience.database import clock
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.access import HubRequest, game_view, page, sees_addresses
from audience.hub.toolkit.filters import Filter, choice
from audience.hub.toolkit.range_input import RANGE_PARAMETERS, RangeError, has_range
from audience.models import Game, Membership, trigger_label
from audience.wording.days import Days, last_days
from audience.wording.time_zones import zone_or_utc
from postbacks.hub.comparison.dates import read_days
from postbacks.hub.toolkit.network_pages import compared_configs, network_or_404
from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.reporting import comparison_export as export
from postbacks.reporting.comparison import COLUMNS, UNDECIDED, Comparison, Numbers, compare
from postbacks.reporting.comparison_findings import Finding, findings

RANGES = {"7d": ("7 days", 7), "30d": ("30 days", 30), "90d": ("90 days", 90)}
DEFAULT_RANGE = "7d"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row of the table. `cells` are [(column, number, the URL of its rows), ...]; `sums` are [(currency, value, the
    URL of its rows), ...]."""

    title: str
    event: str
    cells: list[tuple[str, int, str]]
    sums: list[tuple[str, Decimal, str]]


@game_view()
def comparison(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show the comparison of one postback; htmx requests the part for the network's page."""
    ad_network, game = network_or_404(network), membership.game
    template = "hub/comparison/_table.html" if request.htmx else "hub/comparison/page.html"
    configs = list(compared_configs(game, network))
    context: dict[str, Any] = {"network": ad_network, "heading": "h3" if request.htmx else "h2"}
    if configs:
        context |= _context(request, game, ad_network, configs)
    return page(request, template, membership, **context)


@game_view()
def comparison_export(request: HubRequest, membership: Membership, network: str) -> StreamingHttpResponse:
    """Return the table by day and event as CSV."""
    ad_network, game = network_or_404(network), membership.game
    configs = list(compared_configs(game, network))
    if not configs:
        raise Http404("This network has no postback.")
    config = _chosen(_postbacks(request, ad_network, configs), configs)
    days = _days(request, config)[1]
    compared = compare(config, dates=days.dates, starts=days.starts)
    lines = export.lines(config, days, compared, addresses=sees_addresses(membership))
    return spreadsheet.streamed(lines, name=export.file_name(config, days), content_type="text/csv; charset=utf-8")


def _postbacks(request: HttpRequest, network: Network, configs: list[PostbackConfig]) -> Filter:
    return choice(
        request,
        "postback",
        label=network.pixel_label,
        choices=[(str(config.pk), _label(config)) for config in configs],
        default=str(configs[0].pk),
        clears=RANGE_PARAMETERS,
    )


def _chosen(postbacks: Filter, configs: list[PostbackConfig]) -> PostbackConfig:
    return next(config for config in configs if str(config.pk) == postbacks.chosen)


def _context(request: HttpRequest, game: Game, network: Network, configs: list[PostbackConfig]) -> dict[str, Any]:
    postbacks = _postbacks(request, network, configs)
    config = _chosen(postbacks, configs)
    ranges, days, error = _days(request, config)
    compared = compare(config, dates=days.dates, starts=days.starts)
    links = Links(game, config, days)
    return {
        "config": config,
        "postbacks": postbacks if len(configs) > 1 else None,
        "ranges": ranges,
        "error": error,
        "days": days,
        "links": links,
        "total": _row("Total", "", compared.total, links),
        "by_event": [_row("", event, numbers, links) for event, numbers in compared.by_event.items()],
        "by_day": _day_rows(compared, links),
        "findings": [
            (finding, links.finding(finding.key), _by_event(finding, links))
            for finding in findings(compared.findings, network)
        ],
        "missing": compared.missing,
        "missing_href": links.deliveries("missing"),
        "eligible": compared.total.counts["eligible"],
        "accepted": compared.total.counts["accepted"],
        "accepted_href": links.deliveries("accepted"),
    }


def _label(config: PostbackConfig) -> str:
    return f"{config.pixel_id} (deleted)" if config.deleted_at else config.pixel_id


def _days(request: HttpRequest, config: PostbackConfig) -> tuple[Filter, Days, str]:
    """Return the filter of the last days, the chosen days in the time zone of the ad account, and what is wrong with
    those of the URL."""
    zone = zone_or_utc(config.time_zone)
    texts = [(key, text) for key, (text, _) in RANGES.items()]
    ranges = choice(request, "range", label="Days", choices=texts, default=DEFAULT_RANGE, clears=RANGE_PARAMETERS)
    latest, error = last_days(RANGES[ranges.chosen][1], zone, now=clock.now()), ""
    try:
        if has_range(request.GET):
            options = [replace(option, is_chosen=False) for option in ranges.options]
            return replace(ranges, options=options), read_days(request, zone), ""
    except RangeError as problem:
        error = str(problem)
    return ranges, latest, error


@dataclass(frozen=True, slots=True)
class Links:
    """The URLs of the rows behind the numbers of a comparison."""

    game: Game
    config: PostbackConfig
    days: Days

    def deliveries(self, key: str, *, event: str = "", days: Days | None = None, currency: str = "") -> str:
        """Return the URL of the list of a figure of deliveries."""
        path = reverse("deliveries", kwargs={"slug": self.game.slug, "network": self.config.network})
        query = {"postback": str(self.config.pk), "only": key, "event": event, "currency": currency}
        query |= (days or self.days).parameters
        return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"

    def finding(self, key: str, *, event: str = "") -> str:
        return self.undecided(event=event) if key == UNDECIDED else self.deliveries(key, event=event)

    def undecided(self, *, event: str = "") -> str:
        """Return the URL of the conversions that have no delivery yet."""
        query = {"network": self.config.network, "only": UNDECIDED, **self.days.parameters}
        query |= {"event": event} if event else {}
        return f"{reverse('conversions', kwargs={'slug': self.game.slug})}?{urlencode(query)}"


def _by_event(finding: Finding, links: Links) -> list[tuple[str, int, str]]:
    """Return the events of a finding, [(label, number, the URL of its rows), ...]."""
    return [(label, number, links.finding(finding.key, event=event)) for event, label, number in finding.events]


def _row(title: str, event: str, numbers: Numbers, links: Links, days: Days | None = None) -> ComparedRow:
    return ComparedRow(
        title=title,
        event=trigger_label(event) if event else "",
        cells=[(name, numbers.counts[name], links.deliveries(name, event=event, days=days)) for name in COLUMNS],
        sums=[
            (currency, value, links.deliveries("valued", event=event, days=days, currency=currency))
            for currency, value in sorted(numbers.values.items())
        ],
    )


def _day_rows(compared: Comparison, links: Links) -> list[ComparedRow]:
    return [
        _row(f"{day:%a, %b %-d}", event, numbers, links, replace(links.days, first=day, last=day))
        for (day, event), numbers in compared.by_day.items()
    ]
