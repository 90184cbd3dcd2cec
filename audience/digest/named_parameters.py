"""Click parameters that only one game has, named by its postbacks: their clicks are of the network `other`.

A parameter that was named once stays one, so that moving and erasing events find the clicks that they made.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from django.conf import settings
from django.utils.module_loading import import_string

from audience.digest import click_ids, click_places, money, orders
from audience.digest.click_ids import CLICK_IDS
from audience.models import Game

NETWORK = "other"
READ_OTHERWISE = (
    *click_places.CONTEXT_TEXTS,
    *click_places.PROPERTIES_URLS,
    *click_places.LINKS,
    *click_ids.CAMPAIGN,
    *orders.ORDER_ID,
    *money.AMOUNT,
    *money.CURRENCY,
)


def table_of(game: Game) -> Mapping[str, str]:
    """Return CLICK_IDS and, after them, the parameters of the game. One query per Game instance."""
    if not hasattr(game, "named_click_parameters"):
        read: Callable[..., Iterable[str]] = import_string(settings.CLICK_PARAMETERS_HOOK)
        game.named_click_parameters = tuple(read(game))
    return {**CLICK_IDS, **{name: NETWORK for name in game.named_click_parameters if name not in CLICK_IDS}}


def is_read_otherwise(name: str) -> bool:
    """Whether events have something else under this name, in lower case: a URL, a cookie, an order or an amount. As a
    click parameter it would make each of them a click."""
    cookies = {cookie.lower() for cookie in [*click_ids.FIRST_PARTY_COOKIES, *sum(click_ids.COOKIES.values(), ())]}
    # As in clicks.cookies.
    bare = {cookie.lstrip("_") for cookie in cookies} - CLICK_IDS.keys()
    return name in cookies | bare or _letters(name) in {_letters(taken) for taken in READ_OTHERWISE}


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
