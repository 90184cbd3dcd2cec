"""The networks of the page "Integrations": those with a postback, the two to add next, and all others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audience.models import Conversion, Game
from postbacks.hub.toolkit.config_rows import ConfigRow, config_rows
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network

# Where most studios advertise first. They are suggested as long as no conversion says otherwise.
USUAL = ("meta", "google")
MAX_SUGGESTED = 2
# The newest conversions, whose ad clicks say which networks a game needs.
SCAN_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Card:
    """A network and its postbacks. `unsent`: how many recent conversions followed its ad clicks, without a postback."""

    network: Network
    postbacks: Sequence[ConfigRow]
    unsent: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Each network once, in the order of NETWORKS; `suggested` begins with the network of the most conversions."""

    connected: list[Card]
    suggested: list[Card]
    others: list[Card]


def of_game(game: Game) -> Catalogue:
    rows = config_rows(game)
    clicked = _recent_clicks(game)
    cards = [_card(network, rows, clicked) for network in NETWORKS.values()]
    open_cards = [card for card in cards if not card.postbacks]
    suggested = sorted(filter(_is_candidate, open_cards), key=_rank)[:MAX_SUGGESTED]
    return Catalogue(
        connected=[card for card in cards if card.postbacks],
        suggested=suggested,
        others=[card for card in open_cards if card not in suggested],
    )


def _recent_clicks(game: Game) -> Mapping[str | None, int]:
    newest = Conversion.objects.filter(game=game).counted().order_by("-event_at", "-pk")
    return Counter(newest.values_list("touch__network", flat=True)[:SCAN_LIMIT])


def _card(network: Network, rows: Sequence[ConfigRow], clicked: Mapping[str | None, int]) -> Card:
    postbacks = [row for row in rows if row.config.network == network.kind]
    return Card(network, postbacks, 0 if postbacks else clicked.get(network.kind, 0))


def _is_candidate(card: Card) -> bool:
    return bool(card.unsent) or card.network.kind in USUAL


def _rank(card: Card) -> tuple[int, int]:
    kind = card.network.kind
    return -card.unsent, USUAL.index(kind) if kind in USUAL else len(USUAL)
