"""The network named in a URL, and its postback."""

from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404

from audience.models import Membership
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network


def network_or_404(kind: str) -> Network:
    if kind not in NETWORKS:
        raise Http404("Afterclick does not post back to a network of this name.")
    return NETWORKS[kind]


def config_or_404(membership: Membership, network: str, pk: UUID) -> PostbackConfig:
    """Return the game's postback on this network; 404 if deleted."""
    return get_object_or_404(PostbackConfig.objects.kept(), game=membership.game, network=network, pk=pk)
