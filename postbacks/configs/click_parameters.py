"""The click parameters that postbacks name, for the digest (CLICK_PARAMETERS_HOOK)."""

from audience.models import Game
from postbacks.models import EVERY_CLICK, ConfigVersion, PostbackConfig


def of_game(game: Game) -> list[str]:
    """Return the parameters that any postback of the game names or named, deleted ones too, in alphabetical order."""
    configs = PostbackConfig.objects.filter(game=game).exclude(click_parameters=[])
    versions = ConfigVersion.objects.filter(config__game=game).exclude(click_parameters=[])
    rows = configs.values_list("click_parameters", flat=True).order_by()
    stated = rows.union(versions.values_list("click_parameters", flat=True).order_by())
    return sorted({name for names in stated for name in names} - {EVERY_CLICK})
