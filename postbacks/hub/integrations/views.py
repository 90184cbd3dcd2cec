"""The list of networks, and the pages of one: its postbacks with health and delivery log, and its match quality."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.date_range import DateRange
from audience.models import Game, Membership
from audience.wording import dates
from postbacks.hub.delivery_log import views as log
from postbacks.hub.delivery_log.filters import read_filters
from postbacks.hub.integrations import calls, catalogue
from postbacks.hub.preview.views import SendTestForm
from postbacks.hub.replays import views as replays
from postbacks.hub.toolkit.config_rows import config_rows
from postbacks.hub.toolkit.network_pages import compared_configs, network_or_404
from postbacks.networks.interface.network import Network
from postbacks.reporting.match_quality import quality_of

# The ids of the elements that htmx replaces: the postbacks with their chart, the log with its filters, or its rows.
STATE_ID, LOG_ID, ROWS_ID = "state", "log", "rows"


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
        state = state_context(game, ad_network, configs, read_filters(request, game).period)
        return page(request, "hub/integrations/_state.html", membership, **state)
    context = log.log_context(request, membership, ad_network, configs)
    if target == ROWS_ID:
        return page(request, "hub/delivery_log/_rows.html", membership, **context)
    context |= state_context(game, ad_network, configs, context["filters"].period)
    if target == LOG_ID:
        return page(request, "hub/delivery_log/_refreshed.html", membership, **context)
    live = [row.config for row in context["configs"]]
    context |= {**replays.section_context(live), "test_form": SendTestForm(ad_network, game, configs=live)}
    context["is_compared"] = compared_configs(game, network).exists  # called only without a postback
    return page(request, "hub/integrations/integration.html", membership, **context)


@game_view()
def match_quality(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show how many sent events had each match key; htmx requests the summary for the network's page."""
    ad_network = network_or_404(network)
    template = "hub/quality/_summary.html" if request.htmx else "hub/quality/page.html"
    return page(request, template, membership, network=ad_network, quality=quality_of(membership.game, ad_network))


def state_context(game: Game, network: Network, configs: list[UUID], period: DateRange) -> dict[str, Any]:
    """Return the postbacks with their health, and the chart of the calls of the log's period."""
    drawn = calls.chart_period(period, now=clock.now())
    log_url = reverse("integration", kwargs={"slug": game.slug, "network": network.kind})
    chart = calls.chart(configs, drawn, log_url=log_url)
    return {
        "network": network,
        "configs": config_rows(game, network=network.kind),
        "chart": chart if chart.total else None,
        "chart_desc": calls.description(chart, drawn),
        "chart_title": f"Deliveries per {drawn.unit.lower()}",
        "chart_unit": f"{drawn.unit} ({dates.zone_label(drawn.since)})",
    }
