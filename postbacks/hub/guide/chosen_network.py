"""The network that the guide is about: the one that the studio chose there, else that of its newest postback."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from audience.hub.toolkit.access import HubRequest
from audience.models import Game, Touch
from postbacks.models import EVERY_CLICK, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network

# In the session: {slug of the game: kind of network}.
SESSION_KEY = "guide_networks"


@dataclass(frozen=True, slots=True)
class ChosenNetwork:
    """A network, and the click parameters that its postbacks in the game name, in their order."""

    network: Network
    named: tuple[str, ...] = ()

    @property
    def click_param(self) -> str:
        """The parameter of the click in the code; '' while no postback names one."""
        if EVERY_CLICK in self.named:
            return next(param for network in NETWORKS.values() if (param := network.click_param))
        return next(iter((*self.network.click_params, *self.named)), "")

    def takes(self, touch: Touch) -> bool:
        """Whether a click is of the network, or one that its postbacks take."""
        return touch.network == self.network.kind or touch.parameter in self.named or EVERY_CLICK in self.named

    @property
    def clicks(self) -> Q:
        """The condition of Touch rows that `takes` is true for."""
        if EVERY_CLICK in self.named:
            return ~Q(pk=None)
        return Q(network=self.network.kind) | Q(parameter__in=self.named)


def read(request: HubRequest, game: Game, *, configs: Sequence[PostbackConfig] | None = None) -> ChosenNetwork:
    """Return the network that this session chose for the game, else the default. `configs` are those of the game."""
    kind = request.session.get(SESSION_KEY, {}).get(game.slug)
    return chosen(game, kind if kind in NETWORKS else None, configs=configs)


def remember(request: HubRequest, game: Game, kind: str) -> None:
    """Keep the choice for the pages of this session. `kind` is one of NETWORKS."""
    choices: dict[str, Any] = request.session.get(SESSION_KEY, {})
    if choices.get(game.slug) != kind:
        request.session[SESSION_KEY] = {**choices, game.slug: kind}


def chosen(game: Game, kind: str | None = None, *, configs: Sequence[PostbackConfig] | None = None) -> ChosenNetwork:
    """Return the network `kind`, by default that of the newest postback, else the first one.

    Without `configs`, the postbacks of the game, these are read by one query.
    """
    stored = PostbackConfig.objects.kept().filter(game=game).only("network", "click_parameters", "created_at")
    known = stored if configs is None else configs
    rows = sorted((row for row in known if row.network in NETWORKS), key=lambda row: row.created_at, reverse=True)
    kind = kind or next((row.network for row in rows), next(iter(NETWORKS)))
    named = [name for row in rows if row.network == kind for name in row.click_parameters]
    return ChosenNetwork(NETWORKS[kind], tuple(dict.fromkeys(named)))
