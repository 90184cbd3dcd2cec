"""The time zone in which the pages of a user show times and begin days: the user's own, else that of the game."""

from typing import Any
from zoneinfo import ZoneInfo

from audience.models import AccountSettings, Game
from audience.wording.time_zones import zone_or_utc


def zone_of(user: Any, game: Game | None = None) -> ZoneInfo:
    """Return the user's time zone, else the game's, else UTC."""
    return zone_or_utc(chosen_by(user) or (game.time_zone if game else ""))


def chosen_by(user: Any) -> str:
    """Return the name of the time zone that a user chose, '' for that of each game."""
    # Users without a row have no such attribute.
    settings: AccountSettings | None = getattr(user, "account_settings", None)
    return settings.time_zone if settings else ""


def choose(*, user: Any, time_zone: str) -> None:
    """Store the time zone of a user; '' for that of each game."""
    AccountSettings.objects.update_or_create(user=user, defaults={"time_zone": time_zone})
