"""The body of `measurement/conversions`: one conversion a request, since one that is refused refuses all of them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from urllib.parse import unquote

from iso4217 import Currency

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.credentials import json_object
from postbacks.networks.interface.facts import Facts, Item

# X documents both forms of an event's id, ol288 and tw-o8z6j-ol288. Integrations with a pixel token send the latter.
SENDS_FULL_EVENT_ID = True
# X's Tag Manager template has this name for milliseconds since 1970 instead; a body has one of the two.
TIME = "conversion_time"
# Of a cookie: X has published no form of its click ids, which have letters and digits in every example.
CLICK_ID = re.compile(r"[A-Za-z0-9_-]{6,128}")
# A check has an email that nobody has: RFC 2606 reserves `.invalid`.
CHECK_EMAIL = "afterclick-check@afterclick.invalid"


def body(target: Target, facts: Facts) -> dict[str, Any]:
    """ValueError without an Event ID."""
    return {"conversions": [conversion(target, facts)]}


def conversion(target: Target, facts: Facts) -> dict[str, Any]:
    """`value` and `price_currency` as a pair or not at all: X counts a value without currency as no amount."""
    if not facts.object_id:
        raise ValueError("no Event ID of X")
    pair = price(facts.value, facts.currency)
    return values.without_blanks(
        {
            TIME: time_text(facts.event_at),
            "event_id": event_id(target.pixel_id, facts.object_id),
            "identifiers": identifiers(facts),
            "conversion_id": str(facts.event_id),
            "value": pair[0] if pair else None,
            "price_currency": pair[1] if pair else None,
            "number_items": number_items(facts.items) or None,
        }
    )


def check_body(target: Target, *, event_id: str, now: datetime) -> dict[str, Any]:
    """One conversion without value for each Event ID: X takes all of a request or none. ValueError without any."""
    if not target.object_ids:
        raise ValueError("no Event ID of X")
    facts = Facts(trigger="", event_id="", event_at=now, email=CHECK_EMAIL)
    checks = [
        replace(facts, object_id=id_, event_id=f"afterclick-check-{event_id}-{number}")
        for number, id_ in enumerate(checked_ids(target), 1)
    ]
    return {"conversions": [conversion(target, check) for check in checks]}


def checked_ids(target: Target) -> list[str]:
    """The Event IDs as they are sent, each once: ol288 and tw-o8z6j-ol288 are one."""
    return list(dict.fromkeys(event_id(target.pixel_id, id_) for id_ in target.object_ids))


def time_text(moment: datetime) -> str:
    """2026-11-28T10:00:00.000Z: always three digits of milliseconds, in UTC. ValueError outside 2001 to 2286."""
    whole = values.EPOCH + timedelta(milliseconds=values.unix_milliseconds(moment))
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{whole.microsecond // 1000:03d}Z"


def event_id(pixel_id: str, object_id: str) -> str:
    """tw-<pixel>-<event>; an id that was entered in this form is sent as it is."""
    return f"tw-{pixel_id}-{object_id}" if SENDS_FULL_EVENT_ID and not object_id.startswith("tw-") else object_id


def identifiers(facts: Facts) -> list[dict[str, str]]:
    """One element for each identifier; the address and the browser of the click share one, as in X's example.

    X refuses the request for an element that has nothing but an address or nothing but a browser: without the other,
    either is put into the first element. [] without a click id, an email and a phone number, which X needs beside them.
    """
    strong = [
        {"twclid": click_id(facts)},
        {"hashed_email": facts.hashes.email or values.sha256(values.email(facts.email))},
        {"hashed_phone_number": facts.hashes.phone or values.sha256(values.phone(facts.phone))},
    ]
    elements: list[dict[str, str]] = [element for part in strong if (element := values.without_blanks(part))]
    if not elements:
        return []
    connection = values.without_blanks(
        {"ip_address": values.ip(facts.ip), "user_agent": values.text(facts.user_agent)},
    )
    if len(connection) == 2:
        return [*elements, connection]
    return [{**elements[0], **connection}, *elements[1:]]


def has_strong_identifier(facts: Facts) -> bool:
    """Whether X can match the conversion: address and browser alone are not enough (its documentation)."""
    return bool(identifiers(facts))


def click_id(facts: Facts) -> str | None:
    """The click id, never hashed; else that of the cookie, which X's pixel writes as URI-encoded JSON and X's Tag
    Manager template as it is."""
    if stated := values.text(facts.click_id):
        return stated
    cookie = unquote((facts.cookies.get("_twclid") or "").strip())
    stored = json_object(cookie).get("twclid", "") if cookie.startswith("{") else cookie
    return stored if isinstance(stored, str) and CLICK_ID.fullmatch(stored) else None


def price(value: Decimal | None, currency: str | None) -> tuple[str, str] | None:
    """(amount with the digits of its currency, its ISO 4217 letters); None unless both are usable."""
    letters = (currency or "").strip().upper()
    digits = currency_digits(letters)
    if value is None or not value.is_finite() or digits is None:
        return None
    return f"{value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN):f}", letters


def currency_digits(letters: str) -> int | None:
    """The digits after the point; None for letters that are no currency, and for gold and the like."""
    try:
        exponent: int | None = Currency(letters).exponent
    except ValueError:
        return None
    return exponent


def number_items(items: Sequence[Item]) -> int:
    """Units, not lines; a line without a quantity is one unit."""
    lines = [item for item in items if values.text(item.id) or values.text(item.name)]
    return sum(1 if item.quantity is None else values.count(item.quantity) or 0 for item in lines)
