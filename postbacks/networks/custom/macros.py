"""The macros of a template, such as {click_id}, and their values for one conversion."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal

from postbacks.networks.interface import values
from postbacks.networks.interface.call import Target
from postbacks.networks.interface.facts import Facts

# Macro -> what takes its place, as the form and docs/networks/custom.md list them.
MACROS = {
    "click_id": "Click ID of the ad, unchanged",
    "event": "Name of the event: the name of the goal, otherwise game_launch or purchase",
    "trigger": "Name of the event as the game sends it",
    "event_id": "ID of the event, the same on every attempt",
    "value": "Amount paid, such as 9.99",
    "currency": "Currency, such as USD",
    "order_id": "Order ID",
    "timestamp": "Time of the event, in seconds since 1970",
    "timestamp_ms": "Time of the event, in milliseconds since 1970",
    "time": "Time of the event, such as 2026-01-02T03:04:05Z",
    "click_timestamp": "Time of the click, in seconds since 1970",
    "user_id": "User ID, otherwise the anonymous ID",
    "user_id_sha256": "SHA-256 of that ID",
    "email_sha256": "SHA-256 of the email, in lowercase",
    "phone_sha256": "SHA-256 of the phone number, with + and its country code",
    "ip": "IP address at the time of the click",
    "user_agent": "Browser at the time of the click",
    "country": "Country of the player, as two letters",
    "page_url": "Page of the click",
    "postback": "Name of this postback",
    "secret": "The secret below, which is never shown on pages or in logs",
    "secret_base64": "The secret in Base64, as required by the header Authorization: Basic",
    "test": "1 for a test conversion, otherwise empty",
}
# Those that every conversion has: in a path nothing can be left out. A click ID is missing only if every click counts.
ALWAYS_PRESENT = frozenset({"click_id", "event", "trigger", "event_id", "timestamp", "timestamp_ms", "time"})
SECRET_MACROS = frozenset({"secret", "secret_base64"})
IN_PATH = ALWAYS_PRESENT | SECRET_MACROS | {"postback"}


@dataclass(frozen=True, slots=True)
class Number:
    """A value that is a number where a JSON template has the macro without quotation marks."""

    value: int | float

    def __str__(self) -> str:
        return format(Decimal(str(self.value)), "f")


Value = str | Number
Values = Mapping[str, Value]


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def values_of(target: Target, name: str, facts: Facts) -> dict[str, Value]:
    """The values of the macros that have one; `name` is the event's. Value and currency are a pair or missing."""
    pair = values.money(facts.value, facts.currency)
    email = facts.hashes.email or values.sha256(values.email(facts.email))
    phone = facts.hashes.phone or values.sha256(values.phone(facts.phone))
    user, secret = values.text(facts.external_id), values.text(target.credential.get("token"))
    seconds = Number(values.unix_seconds(facts.event_at))
    given: dict[str, Value | None] = {
        "click_id": values.text(facts.click_id),
        "event": name,
        "trigger": facts.trigger,
        "event_id": facts.event_id,
        "value": Number(pair[0]) if pair else None,
        "currency": pair[1] if pair else None,
        "order_id": values.text(facts.order_id),
        "timestamp": seconds,
        "timestamp_ms": Number(values.unix_milliseconds(facts.event_at)),
        "time": f"{facts.event_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "click_timestamp": Number(values.unix_seconds(facts.clicked_at)) if facts.clicked_at else None,
        "user_id": user,
        "user_id_sha256": values.sha256(user),
        "email_sha256": email,
        "phone_sha256": phone,
        "ip": values.ip(facts.ip),
        "user_agent": values.text(facts.user_agent),
        "country": values.text(facts.address.country) if facts.address else None,
        "page_url": values.web_url(facts.page_url),
        "postback": target.pixel_id,
        "secret": secret,
        "secret_base64": base64_of(secret) if secret else None,
        "test": "1" if target.test_code else None,
    }
    return {macro: value for macro, value in given.items() if value is not None}
