"""The click parameters that postbacks name, for the digest (CLICK_PARAMETERS_HOOK)."""

from collections.abc import Iterable

from django.db.models import Value

from audience.models import Game
from postbacks.models import EVERY_CLICK, ConfigVersion, PostbackConfig

# A digest looks for each of them in every event of the game, for good.
MAX_NAMED = 50


def refusal(game: Game, names: Iterable[str]) -> str:
    """Return why a postback of the game cannot name these parameters, as a sentence; '' if it can."""
    named = list(names)
    if not named or len({*of_game(game), *named} - {EVERY_CLICK}) <= MAX_NAMED:
        return ""
    return (
        f"The postbacks of a game can have at most {MAX_NAMED} click parameters, including removed ones. Use an "
        "existing one."
    )


def of_game(game: Game) -> list[str]:
    """Return the parameters that any postback of the game names or named, deleted ones too, in the order in which they
    were named: an event with several keeps the click that it made."""
    versions = ConfigVersion.objects.filter(config__game=game).exclude(click_parameters=[]).order_by()
    configs = PostbackConfig.objects.filter(game=game).exclude(click_parameters=[]).order_by()
    rows = versions.annotate(rank=Value(0)).values_list("rank", "set_at", "click_parameters")
    rows = rows.union(configs.annotate(rank=Value(1)).values_list("rank", "created_at", "click_parameters"))
    names = dict.fromkeys(name for *_, stated in sorted(rows) for name in stated)
    return [name for name in names if name != EVERY_CLICK]
