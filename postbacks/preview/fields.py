"""Finds the fields of a network's body that a fact fills, by building the body twice with the fact changed.

This needs no list of fields per network, and finds empty fields too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from postbacks.networks import NETWORKS
from postbacks.networks.interface.credentials import CredentialField
from postbacks.networks.interface.entered_requests import Layout
from postbacks.networks.interface.facts import (
    Address,
    AdvertisingId,
    Consent,
    DataUse,
    Facts,
    Hashes,
    Item,
    Name,
    Screen,
)
from postbacks.networks.interface.network import Network
from postbacks.networks.interface.payload_fields import HIDDEN, INDEX, leaves

# The labels of facts, in the order of the page.
LABELS = {
    "trigger": "Event",
    "object_id": "ID of the goal at the network",
    "event_id": "Event ID",
    "event_at": "Event time",
    "clicked_at": "Click time",
    "click_id": "Ad click ID",
    "click_parameter": "Kind of click ID",
    "cookies": "Browser ID (cookie of the network)",
    "email": "Email",
    "phone": "Phone number",
    "more_emails": "More emails",
    "more_phones": "More phone numbers",
    "hashes": "Email or phone number, hashed by the client",
    "name": "Name",
    "address": "Address",
    "external_id": "User ID",
    "ip": "IP address at the click",
    "user_agent": "Browser at the click",
    "advertising_id": "Advertising ID of the device",
    "screen": "Screen",
    "locale": "Language",
    "page_url": "Page of the click",
    "referrer": "Referrer of the click",
    "value": "Value",
    "currency": "Currency",
    "order_id": "Order ID",
    "items": "Items",
    "has_full_consent": "Full consent",
    "consent": "Consent stated on the event",
    "data_use": "Limited data use",
}
HASH = re.compile(r"[0-9a-f]{64}")
COOKIE = "1735888000000.6ff3ff0b-5de3-4be7-9b2c-ec8a9c8f5a33"
COOKIES = {name: network.sample_cookies.get(name, COOKIE) for network in NETWORKS.values() for name in network.cookies}
SAMPLE_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAMPLE = Facts(
    trigger="purchase",
    event_id="one",
    event_at=SAMPLE_TIME,
    object_id="111111",
    clicked_at=SAMPLE_TIME,
    click_id="one",
    cookies=COOKIES,
    email="one@example.com",
    phone="+15550100001",
    name=Name(first="one", last="one"),
    address=Address(city="one", state="one", postal_code="1", country="DE"),
    external_id="one",
    ip="203.0.113.1",
    user_agent="one",
    advertising_id=AdvertisingId(idfa="one", aaid="one"),
    screen=Screen(1, 1),
    locale="en-GB",
    page_url="https://example.com/one",
    referrer="https://example.com/one",
    value=Decimal(1),
    currency="USD",
    order_id="one",
    items=(Item(id="one", name="one", category="one", price=Decimal(1), quantity=1),),
    has_full_consent=True,
    consent=Consent(tcf="one", gdpr=True, gpp="one", us_privacy="one", ad_user_data=True, ad_personalization=True),
    data_use=DataUse(limited=True, country="US", region="US-CA"),
)
CHANGED: dict[str, Any] = {
    "trigger": "game_launch",
    "event_id": "two",
    "event_at": SAMPLE_TIME + timedelta(hours=1),
    "object_id": "222222",
    "clicked_at": SAMPLE_TIME + timedelta(hours=1),
    "click_id": "two",
    "cookies": {name: f"{value[:-1]}4" for name, value in COOKIES.items()},
    "email": "two@example.com",
    "phone": "+15550100002",
    "more_emails": ("two@example.com",),
    "more_phones": ("+15550100002",),
    "hashes": Hashes(email="1" * 64, canonical_email="2" * 64, phone="3" * 64),
    "name": Name(first="two", last="two"),
    "address": Address(city="two", state="two", postal_code="2", country="FR"),
    "external_id": "two",
    "ip": "203.0.113.2",
    "user_agent": "two",
    "advertising_id": AdvertisingId(idfa="two", aaid="two"),
    "screen": Screen(2, 2),
    "locale": "de-DE",
    "page_url": "https://example.com/two",
    "referrer": "https://example.com/two",
    "value": Decimal(2),
    "currency": "EUR",
    "order_id": "two",
    "items": (Item(id="two", name="two", category="two", price=Decimal(2), quantity=2),),
    "has_full_consent": False,
    "consent": Consent(tcf="two", gdpr=False, gpp="two", us_privacy="two", ad_user_data=False),
    "data_use": DataUse(limited=False),
}


@dataclass(frozen=True, slots=True)
class BodyField:
    """The path of a field, such as `data[].user.email`, and whether it holds a hash."""

    path: str
    is_hashed: bool


@lru_cache(maxsize=256)
def fields_by_fact(kind: str, layout: Layout = ()) -> dict[str, list[BodyField]]:
    """Return {fact: its fields in the order of the body}, without the facts that the network does not use."""
    network = NETWORKS[kind]
    sample = _values(network, SAMPLE, layout)
    changes = {**CHANGED, "click_parameter": next(reversed(network.click_params), None)}
    changed = {fact: _values(network, replace(SAMPLE, **{fact: changes[fact]}), layout) for fact in LABELS}
    return {fact: differing for fact, values in changed.items() if (differing := _differing(sample, values))}


def _differing(sample: dict[str, list[Any]], changed: dict[str, list[Any]]) -> list[BodyField]:
    paths = [path for path in {**sample, **changed} if sample.get(path) != changed.get(path)]
    return [BodyField(path, _is_hash(sample.get(path, changed.get(path, [])))) for path in paths]


def _is_hash(values: list[Any]) -> bool:
    return any(isinstance(value, str) and HASH.fullmatch(value) for value in values)


def _values(network: Network, facts: Facts, layout: Layout) -> dict[str, list[Any]]:
    samples = {part.name: part.sample for part in network.credential_fields if part.sample}
    return values_of(body_of(network, facts, pixel_id="", parts=samples | dict(layout)))


def body_of(network: Network, facts: Facts, *, pixel_id: str, parts: Mapping[str, str]) -> dict[str, Any]:
    """Return the body exactly as sending builds it, with these `parts` of a credential and without its secrets.

    Raises the errors of `network.build`.
    """
    fields = network.credential_fields
    credential = {part.name: part.default or _placeholder(part) for part in fields}
    target = network.target(pixel_id=pixel_id, credential={**credential, **parts}, base_url="https://not.sent")
    body: dict[str, Any] = network.build(target, facts).payload or {}
    return body


def _placeholder(part: CredentialField) -> str:
    """What a body is built with in place of a secret; an optional part for several lines is left out."""
    if part.required:
        return "not-needed"
    return HIDDEN if part.kind == "secret" and part.lines == 1 else ""


def values_of(body: dict[str, Any]) -> dict[str, list[Any]]:
    """Return {path: values} in the order of the body; paths have no indexes, so that a path may have several values.

    One value and a list of values have the same path.
    """
    values: dict[str, list[Any]] = {}
    for path, value in leaves(body, ""):
        values.setdefault(INDEX.sub("[]", path).removesuffix("[]"), []).append(value)
    return values
