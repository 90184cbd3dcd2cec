"""The body of `event/track/`. Events API 2.0 names only: 1.0 names are accepted and match nobody (observed)."""

import re
from typing import Any

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.facts import Facts, Item

# TikTok cannot optimise on custom events, so a launch is sent as the nearest standard event (many integrations).
EVENTS = {"game_launch": "CompleteRegistration", "purchase": "Purchase"}
# Web events of TikTok's list; both names of a purchase are in use.
STANDARD_EVENTS = {
    "AddPaymentInfo": "Add payment info",
    "AddToCart": "Add to cart",
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
    """Match keys: email, phone and external_id hashed, the values of the click unchanged."""
    return values.without_blanks(
        {
            "ttclid": values.text(facts.click_id),
            "ttp": values.text(facts.cookies.get("_ttp")),
            "email": facts.hashes.email or values.sha256(values.email(facts.email)),
            "phone": facts.hashes.phone or values.sha256(values.phone(facts.phone)),
            "external_id": values.sha256(values.text(facts.external_id)),
            "ip": values.ip(facts.ip),
            "user_agent": values.text(facts.user_agent),
            "locale": values.text(facts.locale),
        }
    )


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
