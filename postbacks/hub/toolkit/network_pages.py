"""Shared by the pages of one network: the network and postbacks of the URL, and the side panel."""

from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from audience.hub.toolkit.access import HubRequest
from audience.models import Game, Membership
from postbacks.models import Delivery, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network

# The element id of the side panel on the integration page (static/js/panel.js).
PANEL = "panel"


def network_or_404(kind: str) -> Network:
    if kind not in NETWORKS:
        raise Http404("Afterclick does not support a network with this name.")
    return NETWORKS[kind]


def config_or_404(membership: Membership, network: str, pk: UUID) -> PostbackConfig:
    """Return the game's postback on this network; 404 if deleted."""
    return get_object_or_404(PostbackConfig.objects.kept(), game=membership.game, network=network, pk=pk)


def live_configs(game: Game, network: str) -> QuerySet[PostbackConfig]:
    """Return the game's postbacks on this network, without credentials."""
    rows = PostbackConfig.objects.kept().filter(game=game, network=network)
    return rows.defer("credential", "previous_credential").order_by("created_at")


def compared_configs(game: Game, network: str) -> QuerySet[PostbackConfig]:
    """Return the game's postbacks on this network that can be compared, without credentials: also the deleted ones with
    deliveries, after the others."""
    has_deliveries = Exists(Delivery.objects.filter(config=OuterRef("pk")))
    rows = PostbackConfig.objects.filter(Q(deleted_at=None) | has_deliveries, game=game, network=network)
    newest_deleted = F("deleted_at").desc(nulls_first=True)
    return rows.defer("credential", "previous_credential").order_by(newest_deleted, "created_at")


def base_template(request: HubRequest) -> str:
    """Return the template that the page extends: that of the Hub, or of the side panel."""
    return "hub/side_panel.html" if request.htmx and request.htmx.target == PANEL else "hub/base.html"
