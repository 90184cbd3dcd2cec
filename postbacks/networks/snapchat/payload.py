"""The body of `/v3/<pixel>/events`: one event, contacts hashed, click id, cookie, address and agent as they came."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from postbacks.networks.interface import values
from postbacks.networks.interface.facts import Address, DataUse, Facts, Item, Name

# APP_INSTALL belongs to app campaigns, so a launch is sent as the nearest event of the web.
EVENTS = {
    "game_launch": "SIGN_UP",
    "purchase": "PURCHASE",
    "achievement_unlocked": "ACHIEVEMENT_UNLOCKED",
    "level_complete": "LEVEL_COMPLETE",
    "complete_tutorial": "COMPLETE_TUTORIAL",
    "spent_credits": "SPENT_CREDITS",
    "invite": "INVITE",
}
# Snap's list is closed: an event with another name is refused.
STANDARD_EVENTS = {
    "ACHIEVEMENT_UNLOCKED": "Achievement unlocked",
    "ADD_BILLING": "Add billing",
    "ADD_CART": "Add to cart",
    "ADD_TO_WISHLIST": "Add to wishlist",
    "AD_CLICK": "Ad click",
    "AD_VIEW": "Ad view",
    "APP_INSTALL": "App install",
    "APP_OPEN": "App open",
    "COMPLETE_TUTORIAL": "Complete tutorial",
    "CUSTOM_EVENT_1": "Custom event 1",
    "CUSTOM_EVENT_2": "Custom event 2",
    "CUSTOM_EVENT_3": "Custom event 3",
    "CUSTOM_EVENT_4": "Custom event 4",
    "CUSTOM_EVENT_5": "Custom event 5",
    "INVITE": "Invite",
    "LEVEL_COMPLETE": "Level complete",
    "LIST_VIEW": "List view",
    "LOGIN": "Log in",
    "PAGE_VIEW": "Page view",
    "PURCHASE": "Purchase",
    "RATE": "Rate",
    "RESERVE": "Reserve",
    "SAVE": "Save",
    "SEARCH": "Search",
    "SHARE": "Share",
    "SIGN_UP": "Sign up",
    "SPENT_CREDITS": "Spent credits",
    "START_CHECKOUT": "Start checkout",
    "START_TRIAL": "Start trial",
    "SUBSCRIBE": "Subscribe",
    "VIEW_CONTENT": "View content",
}
# As Segment's destination lists them (segmentio/action-destinations).
CURRENCIES = frozenset(
    {
        *("AED", "ALL", "AUD", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK"),
        *("DKK", "DZD", "EGP", "EUR", "GBP", "GHS", "GIP", "HKD", "HRK", "HUF", "IDR", "ILS"),
        *("INR", "IQD", "ISK", "JOD", "JPY", "KES", "KRW", "KWD", "KZT", "LBP", "MAD", "MXN"),
        *("MYR", "NGN", "NOK", "NZD", "OMR", "PEN", "PHP", "PKR", "PLN", "QAR", "RON", "RUB"),
        *("SAR", "SEK", "SGD", "THB", "TRY", "TWD", "TZS", "UAH", "USD", "VND", "XOF", "ZAR"),
    }
)
# Of these user data one is enough (Snap's documentation). A click id is none of them.
LEAST_USER_DATA = (("em",), ("ph",), ("client_ip_address", "client_user_agent"))
CLICK_COOKIE = "_scclid"  # the click id, as Snap's tag keeps it
BROWSER_COOKIE = "_scid"
ZIP_PLUS_4 = re.compile(r"\d{5}-\d{4}", re.ASCII)
STATE = re.compile(r"[a-z]{2}")


def event_name(facts: Facts) -> str:
    """Snap's name: the goal's, else the usual one of the event. ValueError for a name that is not in its list."""
    name = facts.sent_as or EVENTS.get(facts.trigger) or facts.trigger
    if name not in STANDARD_EVENTS:
        raise ValueError(f"no event name for Snapchat: {name!r}")
    return name


def body(name: str, facts: Facts) -> dict[str, Any]:
    """One event in an envelope: what Snap does with the valid events of a batch with an invalid one is not known.

    `event_time` is in seconds, since milliseconds are refused for some sources.
    """
    event = values.without_blanks(
        {
            "event_name": name,
            "event_time": values.unix_seconds(facts.event_at),
            "action_source": "WEB",
            "event_source_url": values.web_url(facts.page_url),
            "event_id": str(facts.event_id),
            "user_data": user_data(facts),
            "custom_data": custom_data(facts),
            **data_processing(facts.data_use),
        }
    )
    return {"data": [event]}


def user_data(facts: Facts) -> dict[str, Any]:
    """Match keys. A number that its sender hashed is left out: that hash is of `+` and digits, Snap's of digits."""
    name, address = facts.name or Name(), facts.address or Address()
    stated_email = [facts.hashes.email] if facts.hashes.email else []
    return values.without_blanks(
        {
            "em": stated_email or hashes(values.email, facts.email, facts.more_emails),
            "ph": hashes(phone, facts.phone, facts.more_phones),
            "external_id": hashes(values.text, facts.external_id),
            "fn": hashes(letters, name.first),
            "ln": hashes(letters, name.last),
            "ct": hashes(letters, address.city),
            "st": hashes(state, address.state),
            "zp": hashes(postal_code, address.postal_code),
            "country": hashes(letters, address.country),
            "client_ip_address": values.ip(facts.ip),
            "client_user_agent": values.text(facts.user_agent),
            "sc_click_id": values.text(facts.click_id) or values.text(facts.cookies.get(CLICK_COOKIE)),
            "sc_cookie1": values.text(facts.cookies.get(BROWSER_COOKIE)),
        }
    )


def is_matchable(user: dict[str, Any]) -> bool:
    return any(all(name in user for name in names) for names in LEAST_USER_DATA)


def hashes(read: Callable[[str | None], str | None], first: str | None, more: Iterable[str] = ()) -> list[str]:
    """The hashes of what `read` recognizes, each once."""
    hashed = (values.sha256(read(raw)) for raw in (first, *more))
    return list(dict.fromkeys(filter(None, hashed)))


def phone(raw: str | None) -> str | None:
    """`+44 844 412 4653` -> `448444124653`."""
    number = values.phone(raw)
    return number.removeprefix("+") if number else None


def letters(text: str | None) -> str | None:
    """Lower-case letters and digits only, of any script: `O'Neill` -> `oneill`, `Raphaël` -> `raphaël`."""
    composed = unicodedata.normalize("NFC", text or "").lower()
    return "".join(c for c in composed if unicodedata.category(c)[0] in "LMN") or None


def state(text: str | None) -> str | None:
    """A state as its two letters; None for anything else."""
    code = letters(text)
    return code if code and STATE.fullmatch(code) else None


def postal_code(text: str | None) -> str | None:
    """Letters and digits; of a code of the USA with four further digits the first five."""
    return letters(text[:5] if text and ZIP_PLUS_4.fullmatch(text) else text)


def custom_data(facts: Facts) -> dict[str, Any]:
    """Value and currency as a pair or not at all, items, order id."""
    pair = values.money(facts.value, facts.currency)
    if pair and pair[1] not in CURRENCIES:
        pair = None
    contents = [entry for item in facts.items if (entry := content(item))]
    return values.without_blanks(
        {
            "value": pair[0] if pair else None,
            "currency": pair[1] if pair else None,
            "order_id": values.text(facts.order_id),
            "content_ids": [entry["id"] for entry in contents],
            "contents": contents,
            "num_items": sum(entry.get("quantity", 1) for entry in contents) or None,
        }
    )


def content(item: Item) -> dict[str, Any] | None:
    """One of `contents`; None for an item without an id. The price is per unit, in the currency of the event."""
    fields = values.without_blanks(
        {
            "id": values.text(item.id),
            "quantity": values.count(item.quantity),
            "item_price": values.price(item.price),
        }
    )
    return fields if "id" in fields else None


def data_processing(use: DataUse | None) -> dict[str, Any]:
    """Limited data use; {} without it. Zeros leave it to Snap to find the state: California is the only one it has."""
    if use is None or not use.limited:
        return {}
    is_california = use.country == "US" and use.region == "US-CA"
    return {
        "data_processing_options": ["LDU"],
        "data_processing_options_country": 1 if is_california else 0,
        "data_processing_options_state": 1000 if is_california else 0,
    }
