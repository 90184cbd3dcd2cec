"""The body of `events`: one event, since a bad one refuses its whole request."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.facts import Address, DataUse, Facts, Item, Name

EVENTS = {"game_launch": "CompleteRegistration", "purchase": "Purchase"}
# The standard events of Meta's pixel.
STANDARD_EVENTS = {
    "AddPaymentInfo": "Add payment info",
    "AddToCart": "Add to cart",
    "AddToWishlist": "Add to wishlist",
    "CompleteRegistration": "Complete registration",
    "Contact": "Contact",
    "CustomizeProduct": "Customize product",
    "Donate": "Donate",
    "FindLocation": "Find location",
    "InitiateCheckout": "Initiate checkout",
    "Lead": "Lead",
    "PageView": "Page view",
    "Purchase": "Purchase",
    "Schedule": "Schedule",
    "Search": "Search",
    "StartTrial": "Start trial",
    "SubmitApplication": "Submit application",
    "Subscribe": "Subscribe",
    "ViewContent": "View content",
}
# At most 50 characters. Meta does not publish the allowed ones: ASCII letters, digits and separators.
CUSTOM_NAME = r"[A-Za-z0-9_][A-Za-z0-9 _.:-]{0,49}"
WEBSITE = "website"
# Other sources than the website. `app` and `business_messaging` need fields that no event has.
OTHER_SOURCES = {
    "email": "Email",
    "phone_call": "Phone call",
    "chat": "Chat",
    "physical_store": "Physical store",
    "system_generated": "System generated",
    "other": "Other",
}
# The cookie _fbc is `fb.<index>.<milliseconds>.<fbclid>`; _fbp has a random number in the place of the fbclid. Meta's
# parameter builder appends two or eight characters to both, and to hashes.
ENDING = r"(\.([\w-]{2}|[\w-]{8}))?"
FBC = re.compile(r"fb\.\d+\.\d{13}\.([!-~]+)", re.ASCII)
FBP = re.compile(rf"fb\.\d+\.\d{{13}}\.\d+{ENDING}", re.ASCII)
MARKED_HASH = re.compile(r"[0-9a-f]{64}\.([\w-]{2}|[\w-]{8})", re.ASCII)
ZIP_PLUS_4 = re.compile(r"\d{5}-\d{4}", re.ASCII)
LIMITED = "LDU"
# Meta's numbers for the states of the USA that have a privacy law.
_NAMES = ("CA", "CO", "CT", "FL", "OR", "TX", "MT", "DE", "NE", "NH", "NJ", "MN", "MD", "RI")
STATES = {name: number for number, name in enumerate(_NAMES, 1000)}


def event_name(facts: Facts) -> str:
    """Meta's case-sensitive name: the goal's, else the trigger's, else the event's own as a custom event.

    ValueError for a name that is none of these.
    """
    name = facts.sent_as or EVENTS.get(facts.trigger) or facts.trigger
    if name not in STANDARD_EVENTS and not re.fullmatch(CUSTOM_NAME, name):
        raise ValueError(f"no event name for Meta: {name!r}")
    return name


def body(target: Target, event: str, facts: Facts) -> dict[str, Any]:
    """`event_time` in seconds, while the times in click ids and cookies are in milliseconds."""
    source = target.credential.get("action_source", "")
    fields = {
        "event_name": event,
        "event_time": values.unix_seconds(facts.event_at),
        "event_id": str(facts.event_id),
        "action_source": source if source in OTHER_SOURCES else WEBSITE,
        "event_source_url": values.web_url(facts.page_url),
        "referrer_url": values.web_url(facts.referrer),
        "user_data": user_data(facts, is_raw=target.credential.get("external_id") == "raw"),
        "custom_data": custom_data(facts),
        **data_processing_options(facts.data_use),
    }
    return values.without_blanks(
        {"data": [values.without_blanks(fields)], "test_event_code": values.text(target.test_code)}
    )


def user_data(facts: Facts, *, is_raw: bool = False) -> dict[str, Any]:
    """Match keys: what identifies a person hashed, the values of the click unchanged. `is_raw`: the external id too."""
    name, address = facts.name or Name(), facts.address or Address()
    return values.without_blanks(
        {
            "em": facts.hashes.email or hashes(values.email, facts.email, facts.more_emails),
            # A hash of the number in E.164 has the plus sign in it, which Meta's has not.
            "ph": hashes(phone, facts.phone, facts.more_phones),
            "external_id": values.text(facts.external_id) if is_raw else hashes(external_id, facts.external_id),
            "fn": values.sha256(letters(name.first)),
            "ln": values.sha256(letters(name.last)),
            "ct": values.sha256(letters(address.city, "LM")),
            "st": values.sha256(state(address)),
            "zp": values.sha256(postal_code(address)),
            "country": values.sha256(letters(address.country)),
            "client_ip_address": values.ip(facts.ip),
            "client_user_agent": values.text(facts.user_agent),
            "fbc": fbc(facts),
            "fbp": fbp(facts),
        }
    )


def is_sufficient(user: dict[str, Any]) -> bool:
    """Whether Meta accepts these match keys: otherwise it refuses the event (2804050)."""
    has_key = any(key in user for key in ("em", "ph", "external_id", "fbc", "fbp"))
    return has_key or ("client_ip_address" in user and "client_user_agent" in user)


def fbc(facts: Facts) -> str | None:
    """The click: the cookie _fbc if it is of this click, else made of the fbclid and when it was seen.

    The fbclid is case-sensitive and never decoded here. A newer click replaces an older cookie.
    """
    cookie, click = (facts.cookies.get("_fbc") or "").strip(), values.text(facts.click_id)
    stored = FBC.fullmatch(cookie)
    if stored and (click is None or re.fullmatch(re.escape(click) + ENDING, stored[1], re.ASCII)):
        return cookie
    if click is None:
        return None
    seen_at = facts.clicked_at or facts.event_at
    return f"fb.1.{values.unix_milliseconds(seen_at)}.{click}"


def fbp(facts: Facts) -> str | None:
    """The cookie _fbp, None for a damaged one."""
    cookie = (facts.cookies.get("_fbp") or "").strip()
    return cookie if FBP.fullmatch(cookie) else None


def hashes(
    read: Callable[[str | None], str | None], first: str | None, more: Iterable[str] = ()
) -> str | list[str] | None:
    """The hash of a value, or a hash of Meta's parameter builder as it came; a list if the event states several."""
    texts = [values.text(contact) for contact in (first, *more)]
    made = [text if text and MARKED_HASH.fullmatch(text) else values.sha256(read(text)) for text in texts]
    unique = list(dict.fromkeys(filter(None, made)))
    return unique if len(unique) > 1 else next(iter(unique), None)


def phone(value: str | None) -> str | None:
    """The digits with the country code, without the plus sign."""
    number = values.phone(value)
    return number.removeprefix("+") if number else None


def external_id(value: str | None) -> str | None:
    """In lower case and without spaces, as Meta's SDK for Node and its parameter builder hash it."""
    return re.sub(r"\s+", "", value).lower() if value else None


def letters(text: str | None, kinds: str = "LMN") -> str | None:
    """A name or a place in lower case, without spaces and punctuation: `St. Anne-on-Sea` -> `stanneonsea`.

    `kinds` are those of the Unicode categories that stay: letters, marks and numbers.
    """
    composed = unicodedata.normalize("NFC", text or "").lower()
    return "".join(c for c in composed if unicodedata.category(c)[0] in kinds) or None


def state(address: Address) -> str | None:
    """The state or region; of the USA only the two letters, since Meta knows it by these."""
    name = letters(address.state)
    return None if name and address.country == "US" and len(name) != 2 else name


def postal_code(address: Address) -> str | None:
    """A postal code without spaces and dashes; of the USA the first five digits."""
    code = letters(address.postal_code)
    is_american = address.country == "US" or ZIP_PLUS_4.fullmatch(address.postal_code or "")
    return code[:5] if code and is_american else code


def custom_data(facts: Facts) -> dict[str, Any]:
    """Value and currency as a pair or not at all, order id, and the items that have an id, as Meta requires."""
    pair = values.money(facts.value, facts.currency)
    contents = [entry for item in facts.items if (entry := content(item))]
    return values.without_blanks(
        {
            "value": pair[0] if pair else None,
            "currency": pair[1] if pair else None,
            "order_id": values.text(facts.order_id),
            "content_type": "product" if contents else None,
            "content_ids": [entry["id"] for entry in contents],
            "contents": contents,
            "num_items": sum(entry.get("quantity", 1) for entry in contents) or None,
        }
    )


def content(item: Item) -> dict[str, Any]:
    """One of `contents`; the price is per unit, in the currency of the event. {} without an id."""
    name = values.text(item.id)
    fields = {"id": name, "quantity": values.count(item.quantity), "item_price": values.price(item.price)}
    return values.without_blanks(fields) if name else {}


def data_processing_options(use: DataUse | None) -> dict[str, Any]:
    """Limited data use; {} without it. 0 for country and state: Meta finds them out by itself."""
    if use is None or not use.limited:
        return {}
    country, _, name = (use.region or "").partition("-")
    is_american = "US" in (use.country, country)
    return {
        "data_processing_options": [LIMITED],
        "data_processing_options_country": 1 if is_american else 0,
        "data_processing_options_state": STATES.get(name, 0) if is_american else 0,
    }
