"""Events with a click parameter whose macro was not filled in (audience/digest/click_ids.py), counted by the digest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Max, Sum
from django.urls import reverse

from audience.digest.click_ids import CLICK_IDS
from audience.hub.events.placeholders import period_start
from audience.models import ClickMacroCount, Game


@dataclass(frozen=True, slots=True)
class ClickMacro:
    """`parameter` is a key of CLICK_IDS, `value` what it states. Its text, "ttclid=__CLICKID__", is the filter in the
    URL."""

    parameter: str
    value: str

    def __str__(self) -> str:
        return f"{self.parameter}={self.value}"

    @property
    def network(self) -> str:
        return CLICK_IDS[self.parameter]

    def href(self, game: Game) -> str:
        """Return the URL of the list of these events."""
        return f"{reverse('events', kwargs={'slug': game.slug})}?{urlencode({'macro': str(self)})}"


def parse(text: str) -> ClickMacro | None:
    """Parse the filter in a URL; None if it is blank or invalid."""
    parameter, _, value = text.partition("=")
    return ClickMacro(parameter, value) if parameter in CLICK_IDS and value else None


def most_frequent(game: Game, *, limit: int) -> list[tuple[ClickMacro, int, datetime]]:
    """Return the most frequent macros: [(macro, number of events, hour of the last one), ...]."""
    counts: Any = ClickMacroCount.objects.filter(game=game, starts_at__gte=period_start(), parameter__in=CLICK_IDS)
    totals = counts.values_list("parameter", "value").annotate(total=Sum("number"), last_at=Max("starts_at"))
    rows = totals.order_by("-total", "parameter", "value")[:limit]
    return [(ClickMacro(parameter, value), total, last_at) for parameter, value, total, last_at in rows]


def describe(note: Any) -> list[str]:
    """Return ["ttclid=__CLICKID__", ...] of the macros in an event's note, {parameter: value} or None."""
    stated = note if isinstance(note, dict) else {}
    return [f"{parameter}={value}" for parameter, value in stated.items() if parameter in CLICK_IDS]
