"""The network named in a URL."""

from django.http import Http404

from postbacks.networks import NETWORKS
from postbacks.networks.base import Network


def network_or_404(kind: str) -> Network:
    if kind not in NETWORKS:
        raise Http404("Afterclick does not post back to a network of this name.")
    return NETWORKS[kind]
