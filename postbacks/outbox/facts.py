"""From our rows to a network's Facts, cut down to what the player allowed.

Properties and traits are free-form, so every reader here takes any JSON value and answers None for what it cannot
use. Nothing in this module raises for bad data: one odd purchase must not hold up its neighbours.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.functions import Collate

from audience.models import Conversion, Identity
from audience.models.people import USER
from consent.models import Level
from postbacks.networks.interface.network import Consent, Facts, Item

# What free-form data may yet make a network's own functions raise; anything else is a bug.
BAD_DATA = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ValidationError)

# Where senders put a fact, the usual name first.
EMAIL = ("email", "email_address", "emailAddress")
PHONE = ("phone", "phone_number", "phoneNumber")
VALUE = ("value", "revenue", "total")
ORDER_ID = ("transaction_id", "transactionId", "order_id", "orderId")
ITEMS = ("items", "products", "contents")
ITEM_ID = ("item_id", "itemId", "product_id", "productId", "sku", "id")
ITEM_NAME = ("item_name", "itemName", "product_name", "productName", "name")
ITEM_CATEGORY = ("item_category", "itemCategory", "category")
ITEM_PRICE = ("price", "item_price", "unit_price")

# Facts.consent: field -> what senders call it.
CONSENT_STRINGS = {
    "tcf": ("tc_string", "tcString", "gdpr_consent"),
    "gpp": ("gpp", "gpp_string", "gppString"),
    "gpp_sid": ("gpp_sid", "gppSid"),
    "us_privacy": ("us_privacy", "usPrivacy", "uspString"),
}
CONSENT_FLAGS = {
    "gdpr": ("gdpr", "gdpr_applies", "gdprApplies"),
    "ad_user_data": ("ad_user_data", "adUserData"),
    "ad_personalization": ("ad_personalization", "adPersonalization"),
}
FLAGS = {"true": True, "1": True, "granted": True, "false": False, "0": False, "denied": False}

ITEMS_MAX = 100  # lines of one purchase that are passed on; a request of either network stays well under its limits
QUANTITY_MAX = 1_000_000
TEXT_MAX = 1024
# DecimalField(max_digits=20, decimal_places=6) of Conversion.value: 14 digits before the point.
MONEY_MAX = Decimal(10) ** 14


def load_names(conversions: Sequence[Conversion]) -> None:
    """Load, in one query, what `of` reads of the identities: for events without a user id the person's."""
    unnamed = [conversion.person for conversion in conversions if not _text(conversion.user_id)]
    if unnamed:
        users = Identity.objects.filter(namespace=USER, person__in={person.pk for person in unnamed})
        # "C": of two that an alias named at one moment the same one in every database.
        first = users.order_by("person", "first_seen_at", Collate("value", "C")).distinct("person")
        found = dict(first.values_list("person", "value"))
        for person in unnamed:
            person.first_user_id = found.get(person.pk)


def of(conversion: Conversion, *, event_id: str, level: Level, sent_as: str = "", object_id: str = "") -> Facts:
    """The facts of one conversion at a level of consent. `sent_as` and `object_id` are those of its goal (Delivery).

    FULL gives everything; ANONYMOUS gives the click id and what was bought, nothing that leads to a person or a
    device (no email, phone, user id, IP, user agent, browser id, page or order number). NONE is the caller's to
    refuse. IP and user agent are those of the click, never those of the server that reported the conversion.
    Reads `touch`, `person` and, without a user id, the one the person was first known by, which is a query unless
    `load_names` has loaded it.
    """
    properties = _object(conversion.properties)
    personal = _personal(conversion, properties) if level == Level.FULL else {}
    touch = conversion.touch
    return Facts(
        trigger=conversion.trigger,
        sent_as=sent_as,
        event_id=event_id,
        object_id=object_id or None,
        event_at=conversion.event_at,
        clicked_at=touch.clicked_at if touch else None,
        click_id=_text(touch.click_id) if touch else None,
        value=_value(conversion, properties),
        currency=_text(conversion.currency.upper()) or _upper(_first(properties, ("currency",))),
        items=_items(properties),
        consent=consent(_object(conversion.context)),
        **personal,
    )


def _personal(conversion: Conversion, properties: dict[str, Any]) -> dict[str, str | None]:
    """The facts that lead to a person or a device, by their names in Facts."""
    context, touch = _object(conversion.context), conversion.touch
    # What the event itself states is nearer than what is known of the person.
    said = (_object(context.get("traits")), properties, _object(conversion.person.traits))
    return {
        "email": _first_text(said, EMAIL),
        "phone": _first_text(said, PHONE),
        "external_id": _text(conversion.user_id) or _user_identity(conversion),
        "locale": _text(context.get("locale")),
        "order_id": _text(_first(properties, ORDER_ID)),
        "browser_id": _text(touch.browser_id) if touch else None,
        "ip": _text(touch.ip) if touch else None,
        "user_agent": _text(touch.user_agent) if touch else None,
        "page_url": _text(touch.page_url, longest=2048) if touch else None,
        "referrer": _text(touch.referrer, longest=2048) if touch else None,
    }


def consent(context: dict[str, Any]) -> Consent | None:
    """The consent that an event states in its context, or in the object `consent` there; None when it states none."""
    places = (_object(context.get("consent")), context)
    found: dict[str, Any] = {name: _first_text(places, names) for name, names in CONSENT_STRINGS.items()}
    found |= {name: _first_flag(places, names) for name, names in CONSENT_FLAGS.items()}
    stated = {name: value for name, value in found.items() if value is not None}
    return Consent(**stated) if stated else None


def _first_flag(places: Iterable[dict[str, Any]], names: tuple[str, ...]) -> bool | None:
    """True or False as one of `FLAGS` says it; None for anything else."""
    for place in places:
        for name in names:
            said = FLAGS.get(str(place.get(name)).strip().lower())
            if said is not None:
                return said
    return None


def _user_identity(conversion: Conversion) -> str | None:
    """The user id the person was first known by."""
    if not hasattr(conversion.person, "first_user_id"):
        load_names([conversion])
    return _text(conversion.person.first_user_id)


def _value(conversion: Conversion, properties: dict[str, Any]) -> Decimal | None:
    return _money(conversion.value if conversion.value is not None else _first(properties, VALUE))


def _items(properties: dict[str, Any]) -> tuple[Item, ...]:
    """The lines of a purchase: a list of them, or the one that the purchase itself names."""
    lines = _first(properties, ITEMS)
    if isinstance(lines, list):
        found = [item for line in lines[:ITEMS_MAX] if isinstance(line, dict) and (item := _item(line))]
        if found:
            return tuple(found)
    # The purchase's own `id` and `name` are not an article's.
    own = _item({name: value for name, value in properties.items() if name not in ("id", "name")})
    return (own,) if own else ()


def _item(line: dict[str, Any]) -> Item | None:
    """None for a line that names no article."""
    item = Item(
        id=_text(_first(line, ITEM_ID)),
        name=_text(_first(line, ITEM_NAME)),
        category=_text(_first(line, ITEM_CATEGORY)),
        price=_money(_first(line, ITEM_PRICE)),
        quantity=_quantity(line.get("quantity")),
    )
    return item if item.id or item.name else None


def _money(raw: Any) -> Decimal | None:
    """A number or decimal string from 0 up; None for nan, infinity, a negative amount and everything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(raw).strip())
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and 0 <= amount < MONEY_MAX else None


def _quantity(raw: Any) -> int | None:
    count = _money(raw)
    whole = count is not None and count == count.to_integral_value() and count <= QUANTITY_MAX
    return int(count) if count is not None and whole else None


def _upper(raw: Any) -> str | None:
    """Three letters of a currency in upper case."""
    text = (_text(raw) or "").upper()
    return text if re.fullmatch(r"[A-Z]{3}", text) else None


def _object(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}


def _first(fields: dict[str, Any], names: Iterable[str]) -> Any:
    """The first of `names` that holds something; a blank string is nothing."""
    for name in names:
        value = fields.get(name)
        if value is not None and value != "":
            return value
    return None


def _first_text(places: Iterable[dict[str, Any]], names: tuple[str, ...]) -> str | None:
    for place in places:
        for name in names:
            if name in place and (text := _text(place[name])):
                return text
    return None


def _text(raw: Any, *, longest: int = TEXT_MAX) -> str | None:
    """Trimmed text of a string or a number; None for blanks, other types and what is too long to be meant."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return None
    text = str(raw).strip()
    return text if 0 < len(text) <= longest else None
