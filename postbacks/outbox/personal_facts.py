"""Reads name, address, advertising ID and screen of a player from traits, properties and context, free-form JSON.

As for contacts (contact_facts.py), the closest source counts: the traits of the event, its properties, the traits of
the player.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audience.ids.values import UUID_FORM, clean, is_placeholder
from postbacks.networks.interface.contacts import read_region
from postbacks.networks.interface.facts import Address, AdvertisingId, Name, Screen
from postbacks.outbox.contact_facts import COUNTRY
from postbacks.outbox.json_objects import address_of, as_object

FIRST_NAME = ("first_name", "firstName", "firstname")
LAST_NAME = ("last_name", "lastName", "lastname")
# Fields of Address, except for the country -> their names in an object `address`.
ADDRESS = {
    "city": ("city",),
    "state": ("state", "region"),
    "postal_code": ("postal_code", "postalCode", "zip", "zip_code", "zipCode"),
}
# context.os.name or context.device.type, in lower case -> the field of AdvertisingId.
SYSTEMS = {
    **dict.fromkeys(("ios", "ipados", "iphone os", "tvos", "watchos", "visionos", "apple"), "idfa"),
    "android": "aaid",
}
# `screen` of a stored context. Networks take a side of up to this many pixels.
SCREEN = re.compile(r"(\d{1,5})(?:\.0+)?x(\d{1,5})(?:\.0+)?")
MAX_PIXELS = 32_767
MAX_TEXT = 256

Source = Mapping[str, Any]


def read_personal(event_traits: Any, properties: Source, person_traits: Any, context: Source) -> dict[str, Any]:
    """Return `name`, `address`, `advertising_id` and `screen` of Facts."""
    sources = [as_object(event_traits), properties, as_object(properties.get("user_data")), as_object(person_traits)]
    return {
        "name": _name(sources),
        "address": next(filter(None, (_address(address_of(source)) for source in sources)), None),
        "advertising_id": _advertising_id(context),
        "screen": _screen(context.get("screen")),
    }


def _name(sources: Iterable[Source]) -> Name | None:
    """Return the names of the closest source that states one, also in its address, as the user_data of Google."""
    for source in sources:
        first, last = (_text([source, address_of(source)], names) for names in (FIRST_NAME, LAST_NAME))
        if first or last:
            return Name(first=first, last=last)
    return None


def _address(holder: Source) -> Address | None:
    country = next(filter(None, (read_region(holder.get(name)) for name in COUNTRY)), None)
    address = Address(country=country, **{field: _text([holder], names) for field, names in ADDRESS.items()})
    return None if address == Address() else address


def _advertising_id(context: Source) -> AdvertisingId | None:
    """Return the advertising ID of the device, unless the player has switched it off; a system sends zeros then."""
    device = as_object(context.get("device"))
    value = clean(str(device.get("advertisingId") or ""))
    is_off = device.get("adTrackingEnabled") is False
    if is_off or not UUID_FORM.fullmatch(value) or is_placeholder(value):
        return None
    stated = (as_object(context.get("os")).get("name"), device.get("type"))
    kind = next((SYSTEMS[name] for name in (str(text).strip().lower() for text in stated) if name in SYSTEMS), None)
    return AdvertisingId(**{kind: value}) if kind else None


def _screen(stated: Any) -> Screen | None:
    match = SCREEN.fullmatch(stated) if isinstance(stated, str) else None
    if match is None:
        return None
    width, height = int(match[1]), int(match[2])
    return Screen(width, height) if 0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS else None


def _text(holders: Sequence[Source], names: Iterable[str]) -> str | None:
    """Return the first text of these fields that is no placeholder; a postal code may be a number."""
    for holder, name in ((holder, name) for holder in holders for name in names):
        value = holder.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            text = clean(str(value))
            if 0 < len(text) <= MAX_TEXT and not is_placeholder(text):
                return text
    return None
