"""Everything in a game that needs attention."""

from typing import Any

from audience.models import Game
from postbacks.hub.overview import attention, set_aside_work, unfilled_macros
from postbacks.hub.overview.attention import AttentionItem
from postbacks.hub.overview.backlog import Backlog
from postbacks.hub.toolkit.config_rows import ConfigRow


def notices_of(game: Game, configs: list[ConfigRow], backlog: Backlog, *, user: Any = None) -> list[AttentionItem]:
    """Return all notices, worst first."""
    items = [*attention.items(game, configs, backlog, user=user), *set_aside_work.items(game)]
    items += unfilled_macros.items(game)
    return sorted(items, key=lambda item: item.tone != attention.BAD)
