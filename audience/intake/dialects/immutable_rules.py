"""What the Immutable dialect asks of a message: every violation of one message, not only the first."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from audience.intake.message import Violation
from audience.intake.times import iso

TYPES = ("track", "identify", "alias", "page", "screen")
IDENTITY_TYPES = ("passport", "steam", "epic", "google", "apple", "discord", "email", "custom")
SURFACES = ("web", "pixel", "unity", "unreal")
CONSENT_LEVELS = ("not_set", "none", "anonymous", "full")
CHOICES = {"identityType": IDENTITY_TYPES, "surface": SURFACES, "consentLevel": CONSENT_LEVELS}

OLDEST = timedelta(days=30)
NEWEST = timedelta(hours=24)

# Longest text in characters, by field; those not named here take DEFAULT_LENGTH.
DEFAULT_LENGTH = 256
CONTEXT_LENGTHS = {"userAgent": 512, "pageUrl": 2048, "pagePath": 2048, "pageReferrer": 2048}

UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def missing(value: Any) -> bool:
    """Absent, null, empty and blank are one."""
    return value is None or (isinstance(value, str) and not value.strip())


def timestamp(text: str) -> datetime | None:
    """An aware datetime in UTC, or None when the text is not ISO 8601 with an offset."""
    return iso(text, offset_required=True)


def violations(message: dict[str, Any], *, now: datetime) -> list[Violation]:
    """Everything wrong with one message; empty when it is good."""
    found = [*_type(message), *_message_id(message), *_when(message, now), *_ids(message)]
    found += _text(message, "eventName", required=message.get("type") == "track")
    for name in ("deviceId", "sessionId", "fromType", "toType"):
        if name in message:
            found += _text(message, name)
    for name, choices in CHOICES.items():
        if name in message:
            found += _choice(message, name, choices)
    if message.get("test") is not None and not isinstance(message["test"], bool):
        found.append(Violation("test", "INVALID_FORMAT", "test must be true or false."))
    found += _context(message)
    for name in ("properties", "traits"):
        if message.get(name) is not None and not isinstance(message[name], dict):
            found.append(Violation(name, "INVALID_FORMAT", f"{name} must be an object."))
    return found


def _type(message: dict[str, Any]) -> Iterator[Violation]:
    kind = message.get("type")
    if missing(kind):
        yield _required("type")
    elif not isinstance(kind, str):
        yield _not_text("type")
    elif kind not in TYPES:
        yield Violation("type", "UNSUPPORTED_TYPE", f"type must be one of {', '.join(TYPES)}.")


def _message_id(message: dict[str, Any]) -> Iterator[Violation]:
    value = message.get("messageId")
    if missing(value):
        yield _required("messageId")
    elif not isinstance(value, str) or not UUID_FORM.fullmatch(value):
        yield Violation("messageId", "INVALID_FORMAT", "messageId must be a UUID.")


def message_id(message: dict[str, Any]) -> str:
    """The id of a good message in its one spelling: UUIDs are the same in either case."""
    return str(message["messageId"].lower())


def _when(message: dict[str, Any], now: datetime) -> Iterator[Violation]:
    value = message.get("eventTimestamp")
    if missing(value):
        yield _required("eventTimestamp")
        return
    when = timestamp(value) if isinstance(value, str) else None
    if when is None:
        yield Violation(
            "eventTimestamp", "INVALID_FORMAT", "eventTimestamp must be ISO 8601 with an offset: 2026-04-08T12:00:00Z."
        )
    elif when < now - OLDEST:
        yield Violation("eventTimestamp", "INVALID_VALUE", "eventTimestamp is more than 30 days in the past.")
    elif when > now + NEWEST:
        yield Violation("eventTimestamp", "INVALID_VALUE", "eventTimestamp is more than 24 hours in the future.")


def _ids(message: dict[str, Any]) -> Iterator[Violation]:
    yield from _text(message, "userId")
    yield from _text(message, "anonymousId")
    if message.get("type") != "alias":
        if missing(message.get("userId")) and missing(message.get("anonymousId")):
            yield Violation("userId", "MISSING_REQUIRED_FIELD", "userId or anonymousId is required.")
        return
    yield from _text(message, "fromId", required=True)
    yield from _text(message, "toId", required=True)
    if not missing(message.get("fromId")) and message.get("fromId") == message.get("toId"):
        yield Violation("toId", "INVALID_VALUE", "fromId and toId must be different.")


def _context(message: dict[str, Any]) -> Iterator[Violation]:
    context = message.get("context")
    if context is None:
        yield _required("context")
        return
    if not isinstance(context, dict):
        yield Violation("context", "INVALID_FORMAT", "context must be an object.")
        return
    for name in ("library", "libraryVersion"):
        yield from _text(context, name, required=True, path="context.")
    for name, value in context.items():
        longest = CONTEXT_LENGTHS.get(name, DEFAULT_LENGTH)
        if name not in ("library", "libraryVersion") and isinstance(value, str) and len(value) > longest:
            yield _too_long(f"context.{name}", longest)
        elif name in CONTEXT_TEXTS and value is not None and not isinstance(value, str):
            yield _not_text(f"context.{name}")


CONTEXT_TEXTS = frozenset(
    ["userAgent", "browserLanguage", "locale", "timezone", "screen", "pageUrl", "pagePath", "pageReferrer", "pageTitle"]
)


def _text(holder: dict[str, Any], name: str, *, required: bool = False, path: str = "") -> Iterator[Violation]:
    value = holder.get(name)
    if missing(value):
        if required:
            yield _required(path + name)
    elif not isinstance(value, str):
        yield _not_text(path + name)
    elif len(value) > DEFAULT_LENGTH:
        yield _too_long(path + name, DEFAULT_LENGTH)


def _choice(message: dict[str, Any], name: str, choices: tuple[str, ...]) -> Iterator[Violation]:
    value = message.get(name)
    if missing(value):
        return
    if not isinstance(value, str):
        yield _not_text(name)
    elif value not in choices:
        yield Violation(name, "INVALID_ENUM", f"{name} must be one of {', '.join(choices)}.")


def _required(name: str) -> Violation:
    return Violation(name, "MISSING_REQUIRED_FIELD", f"{name} is required.")


def _not_text(name: str) -> Violation:
    return Violation(name, "INVALID_FORMAT", f"{name} must be a string.")


def _too_long(name: str, longest: int) -> Violation:
    return Violation(name, "INVALID_VALUE", f"{name} is longer than {longest} characters.")
