"""The body of `event/track/`. Events API 2.0 names only: 1.0 names are accepted and match nobody (observed)."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.facts import Address, Facts, Item, Name

# TikTok cannot optimize on custom events, so a launch is sent as the nearest standard event (many integrations).
EVENTS = {"game_launch": "CompleteRegistration", "purchase": "Purchase"}
# Web events of TikTok's list; both names of a purchase are in use.
STANDARD_EVENTS = {
    "AddPaymentInfo": "Add payment info",
    "AddToCart": "Add to cart",
    "AddToWishlist": "Add to wishlist",
    "ClickButton": "Click button",
    "CompletePayment": "Complete payment",
    "CompleteRegistration": "Complete registration",
    "Contact": "Contact",
    "Download": "Download",
    "InitiateCheckout": "Initiate checkout",
    "PlaceAnOrder": "Place an order",
    "Purchase": "Purchase",
    "Search": "Search",
    "StartTrial": "Start trial",
    "SubmitForm": "Submit form",
    "Subscribe": "Subscribe",
    "ViewContent": "View content",
}
# TikTok publishes no rule that we know of: ASCII letters, digits and separators.
CUSTOM_NAME = r"[A-Za-z0-9_][A-Za-z0-9 _.:-]{0,49}"
ZIP_PLUS_4 = re.compile(r"\d{5}-\d{4}", re.ASCII)


def event_name(facts: Facts) -> str:
    """TikTok's case-sensitive name: the goal's, else the trigger's, else the event's own as a custom event.

    ValueError for a name that is none of these.
    """
    name = facts.sent_as or EVENTS.get(facts.trigger) or facts.trigger
    if name not in STANDARD_EVENTS and not re.fullmatch(CUSTOM_NAME, name):
        raise ValueError(f"no event name for TikTok: {name!r}")
    return name


def body(target: Target, event: str, facts: Facts) -> dict[str, Any]:
    """One event in an envelope; `event_time` in seconds, `event_id` is always text (a number: 40002, observed)."""
    return values.without_blanks(
        {
            "event_source": "web",
            "event_source_id": target.pixel_id,
            "test_event_code": values.text(target.test_code),
            "data": [
                values.without_blanks(
                    {
                        "event": event,
                        "event_time": values.unix_seconds(facts.event_at),
                        "event_id": str(facts.event_id),
                        "user": user(facts),
                        "properties": properties(facts),
                        "page": page(facts),
                        "limited_data_use": facts.data_use.limited if facts.data_use else None,
                    }
                )
            ],
        }
    )


def user(facts: Facts) -> dict[str, Any]:
    """Match keys: email, phone, external_id, names and postal code hashed, the values of the click unchanged."""
    name, address = facts.name or Name(), facts.address or Address()
    return values.without_blanks(
        {
            "ttclid": values.text(facts.click_id),
            "ttp": values.text(facts.cookies.get("_ttp")),
            "email": facts.hashes.email or hashes(values.email, facts.email, facts.more_emails),
            "phone": facts.hashes.phone or hashes(values.phone, facts.phone, facts.more_phones),
            "external_id": values.sha256(values.text(facts.external_id)),
            "ip": values.ip(facts.ip),
            "user_agent": values.text(facts.user_agent),
            "locale": values.text(facts.locale),
            "first_name": values.sha256(bare(name.first)),
            "last_name": values.sha256(bare(name.last)),
            "city": bare(address.city),
            "state": bare(address.state),
            "country": bare(address.country),
            "zip_code": values.sha256(postal_code(address.postal_code)),
        }
    )


def hashes(read: Callable[[str | None], str | None], first: str | None, more: Iterable[str]) -> str | list[str] | None:
    """The hash of a contact; a list if the event states several."""
    found = list(dict.fromkeys(filter(None, (values.sha256(read(contact)) for contact in (first, *more)))))
    return found if len(found) > 1 else next(iter(found), None)


def bare(text: str | None) -> str | None:
    """A name or a place in lower case, without spaces and punctuation: `St. Anne-on-Sea` -> `stanneonsea`."""
    composed = unicodedata.normalize("NFC", text or "").lower()
    return "".join(c for c in composed if unicodedata.category(c)[0] in "LMN") or None


def postal_code(text: str | None) -> str | None:
    """A postal code in the same form; of one of the USA with four further digits the first five."""
    return bare(text[:5] if text and ZIP_PLUS_4.fullmatch(text) else text)


def properties(facts: Facts) -> dict[str, Any]:
    """Value and currency as a pair or not at all, items, order id."""
    pair = values.money(facts.value, facts.currency)
    contents = [entry for item in facts.items if (entry := content(item))]
    return values.without_blanks(
        {
            "value": pair[0] if pair else None,
            "currency": pair[1] if pair else None,
            "content_type": "product" if contents else None,
            "contents": contents,
            "order_id": values.text(facts.order_id),
        }
    )


def content(item: Item) -> dict[str, Any]:
    """One of `contents`; the price is per unit, in the currency of the event."""
    return values.without_blanks(
        {
            "content_id": values.text(item.id),
            "content_name": values.text(item.name),
            "content_category": values.text(item.category),
            "price": values.price(item.price),
            "quantity": values.count(item.quantity),
        }
    )


def page(facts: Facts) -> dict[str, Any]:
    return values.without_blanks({"url": values.web_url(facts.page_url), "referrer": values.web_url(facts.referrer)})
