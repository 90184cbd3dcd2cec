"""The ads on the demo page: one per network to which the demo game sends conversions."""

from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import uuid4

from audience.models import Game, TrackingLink
from config.demo import loading
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network


@dataclass(frozen=True, slots=True)
class Ad:
    """An ad of a network. `parameter` is the URL parameter of its click id."""

    network: Network
    parameter: str

    def new_address(self, game: Game) -> str:
        """Return the address of a click with a new click id: that of the tracking link, or of the page without it."""
        tags = {"utm_source": source, "utm_medium": "cpc"} if (source := "".join(self.network.utm_sources[:1])) else {}
        query = {self.parameter: f"demo-{uuid4().hex[:12]}", **tags, "utm_campaign": "demo"}
        link = TrackingLink.objects.live().filter(game=game, slug=loading.LINK_SLUG).first()
        return f"{link.path if link else loading.PAGE}?{urlencode(query)}"


def ads_of(game: Game) -> list[Ad]:
    """Return the ads of the game's networks, in the order of NETWORKS."""
    configs = PostbackConfig.objects.kept().filter(game=game, enabled=True).order_by("-created_at")
    by_network = {config.network: config for config in configs if config.network in NETWORKS}
    names = {
        kind: network.click_param or "".join(by_network[kind].click_parameters[:1])
        for kind, network in NETWORKS.items()
        if kind in by_network
    }
    return [Ad(NETWORKS[kind], name) for kind, name in names.items() if name.isidentifier()]
