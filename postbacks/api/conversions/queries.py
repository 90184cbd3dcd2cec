"""The filters of conversions that the list and the funnel share."""

from collections.abc import Mapping
from typing import Any

from audience.api.toolkit.queries import times_of
from audience.database import clock
from audience.models import Game
from postbacks.reporting.conversion_status import ConversionFilter

DEFAULT_DAYS = 7


def conversion_filter(game: Game, query: Mapping[str, Any]) -> ConversionFilter:
    """Return the filter that the parameters state; without a period, of the last DEFAULT_DAYS days."""
    since, until = times_of(query, zone=game.zone, now=clock.now(), days=DEFAULT_DAYS)
    return ConversionFilter(
        game=game,
        since=since,
        until=until,
        trigger=query.get("event", ""),
        network=query.get("network", ""),
        click=query.get("click", ""),
        currency=query.get("currency", ""),
        problem=query.get("problem", ""),
    )
