"""The networks of a game, and the pages of each: postbacks with their health and delivery log, and match quality."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse

from audience.database import clock
from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.models import Game, Membership
from postbacks.hub.delivery_log import views as log
from postbacks.hub.integrations import hourly
from postbacks.hub.preview.views import SendTestForm
from postbacks.hub.replays import views as replays
from postbacks.hub.toolkit.config_rows import config_rows
from postbacks.hub.toolkit.network_pages import network_or_404
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network
from postbacks.reporting.match_quality import quality_of

# Templates by the id of the element that htmx replaces: the log with its filters, or its rows alone.
LOG = {"log": "hub/delivery_log/_log.html", "rows": "hub/delivery_log/_rows.html"}
STATE = "state"


@game_view()
def integrations(request: HubRequest, membership: Membership) -> HttpResponse:
    rows = config_rows(membership.game)
    cards = [(network, [row for row in rows if row.config.network == kind]) for kind, network in NETWORKS.items()]
    return page(request, "hub/integrations/page.html", membership, cards=cards)


@game_view()
def integration(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show the page of one network, or the part that refreshes."""
    found, game = network_or_404(network), membership.game
    part = request.htmx.target if request.htmx and not request.htmx.history_restore_request else None
    configs = log.config_ids(game, network)
    if part == STATE:
        return page(request, "hub/integrations/_state.html", membership, **state_context(game, found, configs))
    if part in LOG:
        return page(request, LOG[part], membership, **_log(request, membership, found, configs))
    context = {**_log(request, membership, found, configs), **state_context(game, found, configs)}
    kept = [row.config for row in context["configs"]]
    context |= {**replays.section_context(kept), "test_form": SendTestForm(found, game, configs=kept)}
    return page(request, "hub/integrations/integration.html", membership, **context)


@game_view()
def match_quality(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """Show which match keys the sent events had; htmx requests the summary for the network's page."""
    found = network_or_404(network)
    template = "hub/quality/_summary.html" if request.htmx else "hub/quality/page.html"
    return page(request, template, membership, network=found, quality=quality_of(membership.game, found))


def state_context(game: Game, network: Network, configs: list[UUID]) -> dict[str, Any]:
    """Return the postbacks with their health, and the outcomes of recent calls."""
    chart = hourly.chart(configs, now=clock.now())
    return {
        "network": network,
        "configs": config_rows(game, network=network.kind),
        "chart": chart if chart.total else None,
        "chart_desc": hourly.description(chart),
    }


def _log(request: HubRequest, membership: Membership, network: Network, configs: list[UUID]) -> dict[str, Any]:
    game, chosen = membership.game, log.filters(request, membership.game)
    _, status, event = chosen
    return {
        "network": network,
        "attempts": log.read_log(request, membership, configs, chosen),
        "filters": chosen[:2],
        "event_filter": event,
        "is_filtered": bool(status.chosen or event.chosen or request.GET.get("before")),
        "before": request.GET.get("before", ""),
        # Only an empty log shows it.
        "has_postback": PostbackConfig.objects.kept().filter(game=game, network=network.kind).exists,
        "names_pixels": len(configs) > 1,
    }
