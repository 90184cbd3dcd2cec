"""The body of `conversion_events`. Reddit decodes strictly: one unknown key is a 400 for the whole request."""

import re
from typing import Any

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.facts import AdvertisingId, DataUse, Facts, Item, Screen

TYPES = {
    "game_launch": {"tracking_type": "CUSTOM", "custom_event_name": "game_launch"},
    "purchase": {"tracking_type": "PURCHASE"},
}
STANDARD_EVENTS = {
    "PAGE_VISIT": "Page visit",
    "VIEW_CONTENT": "View content",
    "SEARCH": "Search",
    "ADD_TO_CART": "Add to cart",
    "ADD_TO_WISHLIST": "Add to wishlist",
    "PURCHASE": "Purchase",
    "LEAD": "Lead",
    "SIGN_UP": "Sign up",
}
# At most 64 characters (API schema). Reddit does not publish the allowed ones: ASCII letters, digits and separators.
CUSTOM_NAME = r"[A-Za-z0-9_][A-Za-z0-9 _.:-]{0,63}"
# The `_rdt_uuid` cookie: a UUID, or milliseconds, a dot and a UUID. Anything else rejects the request (observed).
UUID = re.compile(r"([0-9]+\.)?[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def event_type(facts: Facts) -> dict[str, str]:
    """Reddit's `type`: the goal's name, else the trigger's, else the event's own as a custom event.

    ValueError for a name that is none of these.
    """
    if not facts.sent_as and facts.trigger in TYPES:
        return TYPES[facts.trigger]
    name = facts.sent_as or facts.trigger
    if name in STANDARD_EVENTS:
        return {"tracking_type": name}
    if not re.fullmatch(CUSTOM_NAME, name):
        raise ValueError(f"no event name for Reddit: {name!r}")
    return {"tracking_type": "CUSTOM", "custom_event_name": name}


def body(target: Target, kind: dict[str, str], facts: Facts) -> dict[str, Any]:
    """One event in Reddit's envelope (an invalid one would reject the whole request); `event_at` in milliseconds."""
    event = values.without_blanks(
        {
            "event_at": values.unix_milliseconds(facts.event_at),
            "action_source": "WEBSITE",
            "type": kind,
            "click_id": values.text(facts.click_id),  # never hashed
            "event_source_url": values.web_url(facts.page_url),
            "user": user(facts),
            "metadata": metadata(facts),
        }
    )
    # test_id belongs here; inside the event it is an unknown field (observed).
    return {"data": values.without_blanks({"test_id": values.text(target.test_code), "events": [event]})}


def user(facts: Facts) -> dict[str, Any]:
    """Match keys: email, phone, external and advertising id hashed, the click's address and user agent unchanged."""
    device = facts.advertising_id or AdvertisingId()
    return values.without_blanks(
        {
            # A hash of the address as it is written is none of its canonical form, which is all that Reddit knows.
            "email": facts.hashes.canonical_email or values.sha256(email(facts.email)),
            "phone_number": facts.hashes.phone or values.sha256(values.phone(facts.phone)),
            "external_id": values.sha256(values.text(facts.external_id)),
            "ip_address": values.ip(facts.ip),
            "user_agent": values.text(facts.user_agent),
            "uuid": uuid(facts.cookies.get("_rdt_uuid")),
            "idfa": values.sha256(values.text(device.idfa)),
            "aaid": values.sha256(values.text(device.aaid)),
            "screen_dimensions": screen_dimensions(facts.screen),
            "data_processing_options": data_processing_options(facts.data_use),
        }
    )


def screen_dimensions(screen: Screen | None) -> dict[str, int]:
    return {"width": screen.width, "height": screen.height} if screen else {}


def data_processing_options(use: DataUse | None) -> dict[str, Any]:
    """Limited data use; {} without it. Without a country and region Reddit finds them out by itself."""
    if use is None or not use.limited:
        return {}
    return values.without_blanks({"modes": ["LDU"], "country": use.country, "region": use.region})


def email(raw: str | None) -> str | None:
    """`Al.ice$+Apple@Example.Com` -> `alice@example.com`: lower case; +tag and all but letters and digits of the user
    part are removed. None for anything else, and for letters outside of ASCII: without them it is another address."""
    name, _, domain = (values.email(raw) or "").rpartition("@")
    user = re.sub(r"[^a-z0-9]", "", name.partition("+")[0])
    return f"{user}@{domain}" if user and name.isascii() else None


def uuid(cookie: str | None) -> str | None:
    """The browser cookie's id; None for a value that Reddit rejects."""
    value = (cookie or "").strip()
    return value if UUID.fullmatch(value) else None


def metadata(facts: Facts) -> dict[str, Any]:
    """The deduplication id, value and currency as a pair or not at all, and items."""
    pair = values.money(facts.value, facts.currency)
    products = [entry for item in facts.items if (entry := product(item))]
    return values.without_blanks(
        {
            "conversion_id": str(facts.event_id),
            "value": pair[0] if pair else None,
            "currency": pair[1] if pair else None,
            "item_count": item_count(products),
            "products": products,
        }
    )


def item_count(products: list[dict[str, Any]]) -> int | None:
    """Units, not lines; a line without a quantity is one unit. None without any line."""
    return sum(line.get("quantity", 1) for line in products) if products else None


def product(item: Item) -> dict[str, Any]:
    """One of `products`; `item_price` is per unit, in the currency of the event."""
    return values.without_blanks(
        {
            "id": values.text(item.id),
            "name": values.text(item.name),
            "category": values.text(item.category),
            "quantity": values.count(item.quantity),
            "item_price": values.price(item.price),
        }
    )
