"""Click parameters that only one game has, named by its postbacks: their clicks are of the network `other`.

A parameter that was named once stays one, so that moving and erasing events find the clicks that they made.
"""

from collections.abc import Callable, Iterable, Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from audience.digest.click_ids import CLICK_IDS
from audience.models import Game

NETWORK = "other"


def table_of(game: Game) -> Mapping[str, str]:
    """Return CLICK_IDS and, after them, the parameters of the game. One query per Game instance."""
    if not hasattr(game, "named_click_parameters"):
        read: Callable[..., Iterable[str]] = import_string(settings.CLICK_PARAMETERS_HOOK)
        game.named_click_parameters = tuple(read(game))
    return {**CLICK_IDS, **{name: NETWORK for name in game.named_click_parameters if name not in CLICK_IDS}}
