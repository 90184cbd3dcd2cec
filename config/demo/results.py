"""What became of the events that the back end of the demo game sent."""

from dataclasses import dataclass

from django.conf import settings

from audience.models import Conversion, Game
from postbacks.networks import NETWORKS
from postbacks.reporting.conversion_rows import ConversionRow, conversion_row, with_outcomes

MAX_ROWS = 6


@dataclass(frozen=True, slots=True)
class Received:
    """The requests that an imitation received."""

    label: str
    url: str


def rows_of(game: Game, steam_id: str) -> list[ConversionRow]:
    """Return the newest conversions of a player, the newest first; [] without a player."""
    found = Conversion.objects.filter(game=game, user_id=steam_id).order_by("-event_at") if steam_id else None
    return [] if found is None else [conversion_row(row, addresses=False) for row in with_outcomes(found)[:MAX_ROWS]]


def received_of(rows: list[ConversionRow]) -> list[Received]:
    """Return where to read what the networks of the rows' clicks received."""
    kinds = dict.fromkeys(row.conversion.touch.network for row in rows if row.conversion.touch)
    return [
        Received(NETWORKS[kind].label, f"{settings.NETWORK_URLS[kind]}/sandbox/requests?network={kind}")
        for kind in kinds
        if kind in NETWORKS
    ]
