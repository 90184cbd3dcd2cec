"""The list of networks, and the pages of one: its postbacks with health and delivery log, and its match quality."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Game, Membership
from postbacks.hub.delivery_log import views as log
from postbacks.hub.integrations import catalogue, hourly
from postbacks.hub.preview.views import SendTestForm
from postbacks.hub.replays import views as replays
from postbacks.hub.toolkit.config_rows import config_rows
from postbacks.hub.toolkit.network_pages import network_or_404
from postbacks.models import PostbackConfig
from postbacks.networks.interface.network import Network
from postbacks.reporting.match_quality import quality_of

# Templates by the id of the element that htmx replaces: the log with its filters, or only its rows.
LOG_TEMPLATES = {"log": "hub/delivery_log/_log.html", "rows": "hub/delivery_log/_rows.html"}
STATE_ID = "state"


@game_view()
def integrations(request: HubRequest, membership: Membership) -> HttpResponse:
    return page(request, "hub/integrations/page.html", membership, catalogue=catalogue.of_game(membership.game))


@game_view()
def integration(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show the page of one network, or the element that htmx refreshes."""
    ad_network, game = network_or_404(network), membership.game
    target = request.htmx.target if request.htmx and not request.htmx.history_restore_request else None
    configs = log.config_ids(game, network)
    if target == STATE_ID:
        return page(request, "hub/integrations/_state.html", membership, **state_context(game, ad_network, configs))
    if target in LOG_TEMPLATES:
        return page(request, LOG_TEMPLATES[target], membership, **_log(request, membership, ad_network, configs))
    context = {**_log(request, membership, ad_network, configs), **state_context(game, ad_network, configs)}
    live = [row.config for row in context["configs"]]
    context |= {**replays.section_context(live), "test_form": SendTestForm(ad_network, game, configs=live)}
    return page(request, "hub/integrations/integration.html", membership, **context)


@game_view()
def match_quality(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show how many sent events had each match key; htmx requests the summary for the network's page."""
    ad_network = network_or_404(network)
    template = "hub/quality/_summary.html" if request.htmx else "hub/quality/page.html"
    return page(request, template, membership, network=ad_network, quality=quality_of(membership.game, ad_network))


def state_context(game: Game, network: Network, configs: list[UUID]) -> dict[str, Any]:
    """Return the postbacks with their health, and the chart of recent calls."""
    chart = hourly.chart(configs, now=clock.now())
    return {
        "network": network,
        "configs": config_rows(game, network=network.kind),
        "chart": chart if chart.total else None,
        "chart_desc": hourly.description(chart),
    }


def _log(request: HubRequest, membership: Membership, network: Network, configs: list[UUID]) -> dict[str, Any]:
    game, filters = membership.game, log.filters(request, membership.game)
    _, status, event = filters
    return {
        "network": network,
        "attempts": log.read_log(request, membership, configs, filters),
        "filters": filters[:2],
        "event_filter": event,
        "is_filtered": bool(status.chosen or event.chosen or request.GET.get("before")),
        "before": request.GET.get("before", ""),
        # A method, so that the query runs only if the log is empty.
        "has_postback": PostbackConfig.objects.kept().filter(game=game, network=network.kind).exists,
        "shows_pixels": len(configs) > 1,
    }
