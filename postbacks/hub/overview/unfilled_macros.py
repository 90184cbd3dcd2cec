"""The notice of the Overview about ad URLs whose macro the network did not replace by a click id."""

from audience.hub.events import click_macros
from audience.hub.events.click_macros import ClickMacro
from audience.models import Game
from postbacks.hub.overview.attention import WARN, AttentionItem
from postbacks.reporting.labels import network_label

MAX_MACROS = 3
# The network of click parameters without one of their own here.
OTHER = "other"


def items(game: Game) -> list[AttentionItem]:
    """Return the most frequent unfilled macros."""
    return [
        AttentionItem(
            tone=WARN,
            title="Macro not replaced in an ad’s URL",
            subject=f"{number:,} {'click has' if number == 1 else 'clicks have'} an unfilled {_name(macro)} macro",
            href=macro.href(game),
            cause=f"The URL of these events contains “{macro}” instead of a click ID. The network did not "
            "replace the macro, so these visits count as clicks only if their UTM tags mark them as paid.",
            next_step="Check the ad’s URL: correct the macro, or let the network add its click ID automatically.",
            since=last_at,
            since_label="The last hour with such events began",
        )
        for macro, number, last_at in click_macros.most_frequent(game, limit=MAX_MACROS)
    ]


def _name(macro: ClickMacro) -> str:
    """Return the network's name without "Ads", or the parameter's."""
    return macro.parameter if macro.network == OTHER else network_label(macro.network).removesuffix(" Ads")
