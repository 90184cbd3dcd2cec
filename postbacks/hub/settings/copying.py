"""Copying the settings of a postback to another network: the choice of the network, and the filled form."""

from uuid import UUID

from django.http import Http404, HttpResponse

from audience.hub.toolkit.access import HubRequest, game_view, page
from audience.hub.toolkit.filters import parse_uuid
from audience.models import Game, Membership, Role
from postbacks.configs.copying import CopiedSettings, copied_settings
from postbacks.hub.toolkit.network_pages import base_template, config_or_404, network_or_404
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network


@game_view(role=Role.MARKETER)
def postback_copy(request: HubRequest, membership: Membership, network: str, pk: UUID) -> HttpResponse:
    """Let the member choose the network; the links open its form with `?copy=<id>`. Nothing is saved here."""
    config = config_or_404(membership, network, pk)
    context = {
        "network": network_or_404(network),
        "config": config,
        "others": [other for kind, other in NETWORKS.items() if kind != network],
        "base_template": base_template(request),
    }
    return page(request, "hub/settings/copy.html", membership, **context)


def copied_from(
    request: HubRequest, game: Game, network: Network
) -> tuple[PostbackConfig, CopiedSettings] | tuple[None, None]:
    """The postback of `?copy=<id>` and its settings for this network; (None, None) without one.

    404 if the game has no such postback; a posted form, which has the settings, goes on without it.
    """
    if "copy" not in request.GET:
        return None, None
    pk = parse_uuid(request.GET["copy"])
    rows = PostbackConfig.objects.kept().filter(game=game, network__in=NETWORKS)
    config = rows.defer("credential", "previous_credential").filter(pk=pk).first() if pk else None
    if config:
        return config, copied_settings(config, network)
    if request.method == "POST":
        return None, None
    raise Http404("This postback does not exist.")
