"""The predefined events of Immutable Audience (docs/events.md): what Afterclick knows of names before a game sends any.

Other names are as good; RudderStack, Segment and MetaRouter use those of Segment's specification.
"""

from dataclasses import dataclass

from audience.digest import money
from audience.models import PropertyType

TEXT, NUMBER = PropertyType.TEXT, PropertyType.NUMBER


@dataclass(frozen=True, slots=True)
class PredefinedProperty:
    """`types` are those that the document allows; `spellings` are other names of the same property."""

    name: str
    types: tuple[PropertyType, ...]
    required: bool = False
    spellings: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.spellings)


@dataclass(frozen=True, slots=True)
class PredefinedEvent:
    name: str
    description: str
    properties: tuple[PredefinedProperty, ...] = ()


def _needs(name: str, *types: PropertyType, spellings: tuple[str, ...] = ()) -> PredefinedProperty:
    return PredefinedProperty(name, types or (TEXT,), required=True, spellings=spellings)


def _may(name: str, *types: PropertyType, spellings: tuple[str, ...] = ()) -> PredefinedProperty:
    return PredefinedProperty(name, types or (TEXT,), spellings=spellings)


def _method(name: str, description: str) -> PredefinedEvent:
    return PredefinedEvent(name, description, (_may("method"),))


def _of_game(name: str, description: str) -> PredefinedEvent:
    return PredefinedEvent(name, description, (_needs("game_id", TEXT, NUMBER),))


_EVENTS = (
    _method("sign_up", "The player created an account."),
    _method("sign_in", "The player signed in."),
    PredefinedEvent(
        "game_launch",
        "The game was started. Only a player’s first launch counts.",
        (_may("platform"), _may("version", TEXT, NUMBER), _may("build_id", TEXT, NUMBER)),
    ),
    PredefinedEvent(
        "purchase",
        "The player paid.",
        (
            # A decimal number as text is allowed too.
            _needs("currency", TEXT, spellings=money.CURRENCY[1:]),
            _needs("value", NUMBER, TEXT, spellings=(*money.AMOUNT[1:], "price")),
            _may("item_id", TEXT, NUMBER, spellings=("itemId",)),
            _may("item_name"),
            _may("quantity", NUMBER),
            _may("transaction_id", TEXT, NUMBER),
        ),
    ),
    PredefinedEvent(
        "progression",
        "The player started, failed or completed a part of the game.",
        (
            _needs("status"),
            _may("world", TEXT, NUMBER),
            _may("level", TEXT, NUMBER),
            _may("stage", TEXT, NUMBER),
            _may("score", NUMBER),
            _may("duration_sec", NUMBER),
        ),
    ),
    PredefinedEvent(
        "resource",
        "The player received or spent a currency of the game.",
        (
            _needs("flow"),
            _needs("currency"),
            _needs("amount", NUMBER, TEXT),
            _may("item_type"),
            _may("item_id", TEXT, NUMBER),
        ),
    ),
    _of_game("wishlist_add", "The player added a game to a wishlist."),
    _of_game("wishlist_remove", "The player removed a game from a wishlist."),
    _of_game("game_page_viewed", "The player opened the page of a game."),
    PredefinedEvent("email_acquired", "The player gave an email address.", (_may("source"),)),
    PredefinedEvent("link_clicked", "The player followed a link.", (_needs("url"),)),
    PredefinedEvent("milestone_reached", "The player reached a milestone.", (_needs("name"),)),
    PredefinedEvent(
        "achievement_unlocked",
        "The player unlocked an achievement.",
        (_needs("achievement_id", TEXT, NUMBER), _needs("achievement_name")),
    ),
    PredefinedEvent("form_submitted", "The player submitted a form.", (_may("email_hash"),)),
    PredefinedEvent("scroll_depth", "The player scrolled down a page.", (_needs("depth", NUMBER, TEXT),)),
    PredefinedEvent("button_clicked", "The player clicked a button."),
    PredefinedEvent("session_start", "A session began."),
    PredefinedEvent("session_heartbeat", "A session continued."),
    PredefinedEvent("session_end", "A session ended."),
)
EVENTS = {event.name: event for event in _EVENTS}
