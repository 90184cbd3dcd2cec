"""The networks of a game, and the page of each: its postbacks with their health, and its delivery log."""

from django.http import HttpResponse

from audience.hub.access import HubRequest, game_view, page
from audience.models import Membership
from postbacks.hub import log, replays
from postbacks.hub.listing import config_rows
from postbacks.hub.networks import network_or_404
from postbacks.hub.rehearsal import SendTestForm
from postbacks.networks import NETWORKS


@game_view()
def integrations(request: HubRequest, membership: Membership) -> HttpResponse:
    rows = config_rows(membership.game)
    cards = [(network, [row for row in rows if row.config.network == kind]) for kind, network in NETWORKS.items()]
    return page(request, "hub/integrations.html", membership, cards=cards)


@game_view()
def integration(request: HubRequest, membership: Membership, network: str) -> HttpResponse:
    """The page of one network; htmx asks for the rows of its log alone."""
    found, game = network_or_404(network), membership.game
    period, status = log.filters(request)
    context = {
        "network": found,
        "attempts": log.read(request, game, network, period, status),
        "filters": [period, status],
        "is_filtered": bool(status.chosen or request.GET.get("before")),
        "before": request.GET.get("before", ""),
        "configs": config_rows(game, network=network),
    }
    if request.htmx:
        return page(request, "hub/_attempt_rows.html", membership, **context)
    context |= {**replays.board(game, network), "test_form": SendTestForm(found, game)}
    return page(request, "hub/integration.html", membership, **context)
