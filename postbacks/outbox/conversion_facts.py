"""Reads the Facts of a conversion from the database, limited to what the player's consent allows.

Properties and traits are free-form: the functions here accept any JSON value, return None for what they cannot use, and
never raise.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.functions import Collate, Lower

from audience.digest import clicks, money, orders
from audience.ids.values import PLACEHOLDER_IDS, is_placeholder
from audience.models import Conversion, Identity
from audience.models.people import USER
from consent.models import Level
from postbacks.networks.interface.facts import DataUse, Facts, Item
from postbacks.outbox import privacy_flags
from postbacks.outbox.conditions import number
from postbacks.outbox.contact_facts import read_contacts
from postbacks.outbox.json_objects import as_object
from postbacks.outbox.personal_facts import read_personal

# What a network's functions may raise for free-form data; anything else is a bug.
BAD_DATA = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ValidationError)

# The names that a fact may have in properties and traits, the usual one first.
ITEMS = ("items", "products", "contents")
ITEM_ID = ("item_id", "itemId", "product_id", "productId", "sku", "id")
ITEM_NAME = ("item_name", "itemName", "product_name", "productName", "name")
ITEM_CATEGORY = ("item_category", "itemCategory", "category")
ITEM_PRICE = ("price", "item_price", "unit_price")

MAX_ITEMS = 100  # of one purchase; keeps a request under the limits of the networks
MAX_QUANTITY = 1_000_000
MAX_TEXT = 1024
# DecimalField(max_digits=20, decimal_places=6) of Conversion.value: 14 digits before the point.
MAX_MONEY = Decimal(10) ** 14


def load_first_user_ids(conversions: Sequence[Conversion]) -> None:
    """Load in one query the first user id of each person, which `read_facts` reads for events without one."""
    persons = [conversion.person for conversion in conversions if not _id(conversion.user_id)]
    if persons:
        users = Identity.objects.filter(namespace=USER, person__in={person.pk for person in persons})
        users = users.annotate(lower=Lower("value")).exclude(lower__in=PLACEHOLDER_IDS)
        # "C": ties are broken in the same way in every database.
        first = users.order_by("person", "first_seen_at", Collate("value", "C")).distinct("person")
        by_person = {identity.person_id: identity.as_sent for identity in first}
        for person in persons:
            person.first_user_id = by_person.get(person.pk)


def read_facts(conversion: Conversion, *, event_id: str, level: Level, sent_as: str = "", object_id: str = "") -> Facts:
    """The facts of one conversion at a consent level. `sent_as` and `object_id` are those of its goal (Delivery).

    FULL returns everything; ANONYMOUS only the click id and what was bought, no personal data (email, phone, name,
    ids, IP, user agent, page, order number). The caller refuses NONE. IP and user agent are those of the click,
    never those of the server that reported the conversion.
    Reads `game`, `touch`, `person` and, without a user id, the person's first: a query unless `load_first_user_ids`
    loaded it.
    """
    properties = as_object(conversion.properties)
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
        click_parameter=_text(touch.parameter) if touch else None,
        value=_money(conversion.value),
        currency=_text(conversion.currency),
        items=_items(properties, conversion.currency),
        has_full_consent=level == Level.FULL,
        consent=privacy_flags.consent(as_object(conversion.context), properties),
        data_use=_data_use(conversion),
        **personal,
    )


def is_limited(conversion: Conversion) -> bool:
    """Whether networks may use the data of the conversion in a limited way only. Reads `game`."""
    use = _data_use(conversion)
    return use is not None and use.limited


def _data_use(conversion: Conversion) -> DataUse | None:
    properties, context = as_object(conversion.properties), as_object(conversion.context)
    return privacy_flags.data_use(context, properties, always_limited=conversion.game.limited_data_use)


def _personal(conversion: Conversion, properties: dict[str, Any]) -> dict[str, Any]:
    """The personal facts, by their names in Facts."""
    context, touch = as_object(conversion.context), conversion.touch
    person_traits = conversion.person.traits
    # The context has `ip: null` if the sender disabled recording of the address.
    has_address = touch is not None and context.get("ip", "") is not None
    return {
        **read_contacts(context, properties, person_traits),
        **read_personal(context.get("traits"), properties, person_traits, context),
        "external_id": _id(conversion.user_id) or _user_identity(conversion),
        "locale": _text(context.get("locale")),
        "order_id": orders.read_order_id(properties) or None,
        "cookies": {**clicks.cookies(properties, context), **(_texts(touch.cookies) if touch else {})},
        "ip": _text(touch.ip) if touch and has_address else None,
        "user_agent": _text(touch.user_agent) if touch else None,
        "page_url": _text(touch.page_url, max_length=2048) if touch else None,
        "referrer": _text(touch.referrer, max_length=2048) if touch else None,
    }


def _user_identity(conversion: Conversion) -> str | None:
    """The person's first user id."""
    if not hasattr(conversion.person, "first_user_id"):
        load_first_user_ids([conversion])
    return _text(conversion.person.first_user_id)


def _id(raw: str) -> str | None:
    """An id without surrounding spaces; None for placeholders, which events stored by version 0.2 may have."""
    return None if is_placeholder(raw.strip()) else _text(raw)


def _items(properties: dict[str, Any], currency: str) -> tuple[Item, ...]:
    """The items of a purchase: its list, or the single item that the purchase's properties describe."""
    lines = _first(properties, ITEMS)
    if isinstance(lines, list):
        items = [item for line in lines[:MAX_ITEMS] if isinstance(line, dict) and (item := _item(line, currency))]
        if items:
            return tuple(items)
    # `id` and `name` of the purchase itself are not those of an item.
    single = _item({name: value for name, value in properties.items() if name not in ("id", "name")}, currency)
    return (single,) if single else ()


def _item(line: dict[str, Any], currency: str) -> Item | None:
    """None for a line without id and name."""
    item = Item(
        id=_text(_first(line, ITEM_ID)),
        name=_text(_first(line, ITEM_NAME)),
        category=_text(_first(line, ITEM_CATEGORY)),
        price=money.read_price(_first(line, ITEM_PRICE), currency),
        quantity=_quantity(line.get("quantity")),
    )
    return item if item.id or item.name else None


def _money(raw: Any) -> Decimal | None:
    """A number or decimal string from 0 up; None for nan, infinity, a negative amount and everything else."""
    amount = number(raw)
    return amount if amount is not None and 0 <= amount < MAX_MONEY else None


def _quantity(raw: Any) -> int | None:
    count = _money(raw)
    is_whole = count is not None and count == count.to_integral_value() and count <= MAX_QUANTITY
    return int(count) if count is not None and is_whole else None


def _first(fields: dict[str, Any], names: Iterable[str]) -> Any:
    """The first value of `names` that is neither None nor blank."""
    for name in names:
        value = fields.get(name)
        if value is not None and value != "":
            return value
    return None


def _texts(raw: Any) -> dict[str, str]:
    return {name: text for name, value in as_object(raw).items() if (text := _text(value))}


def _text(raw: Any, *, max_length: int = MAX_TEXT) -> str | None:
    """Trimmed text of a string or an integer; None for blanks, other types and longer text."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return None
    text = str(raw).strip()
    return text if 0 < len(text) <= max_length else None
