"""The validation rules of the Immutable dialect: all violations of a message, not only the first."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from audience.ids.values import clean, is_storable, length
from audience.intake.messages.message import Message, Violation
from audience.intake.messages.message_ids import is_placeholder
from audience.intake.messages.times import is_blank, parse_iso
from audience.models import Kind
from audience.models.people import ANONYMOUS, DEVICE, USER, WEAK

TYPES = ("track", "identify", "alias", "page", "screen")
IDENTITY_TYPES = ("passport", "steam", "epic", "google", "apple", "discord", "email", "custom")
SURFACES = ("web", "pixel", "unity", "unreal")
CONSENT_LEVELS = ("not_set", "none", "anonymous", "full")
OTHER_TEXTS = ("sessionId", "fromType", "toType")
CHOICES = {"identityType": IDENTITY_TYPES, "surface": SURFACES, "consentLevel": CONSENT_LEVELS}

TIME_FIELDS = ("eventTimestamp",)

MAX_AGE = timedelta(days=30)
MAX_AHEAD = timedelta(hours=24)

# The maximum length of a text in characters, by field; MAX_LENGTH for all others.
MAX_LENGTH = 256
MAX_CONTEXT_LENGTHS = {"userAgent": 512, "pageUrl": 2048, "pagePath": 2048, "pageReferrer": 2048}

UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse_timestamp(text: str) -> datetime | None:
    """An aware datetime in UTC; None when the text is not ISO 8601 with an offset."""
    return parse_iso(text, offset_required=True)


def violations(message: dict[str, Any], *, now: datetime) -> list[Violation]:
    """All violations of one message. Nearly all messages have none, so each rule returns early for a valid value."""
    errors: list[Violation] = []
    _check_type(message, errors)
    _check_message_id(message, errors)
    _check_timestamp(message, now, errors)
    _check_ids(message, errors)
    check_text(message, "eventName", errors, required=message.get("type") == "track")
    for name in OTHER_TEXTS:
        if name in message:
            check_text(message, name, errors)
    for name, choices in CHOICES.items():
        if name in message:
            _check_choice(message, name, choices, errors)
    if message.get("test") is not None and not isinstance(message["test"], bool):
        errors.append(Violation("test", "INVALID_FORMAT", "test must be true or false."))
    _check_context(message, errors)
    for name in ("properties", "traits"):
        if message.get(name) is not None and not isinstance(message[name], dict):
            errors.append(Violation(name, "INVALID_FORMAT", f"{name} must be an object."))
    return errors


def _check_type(message: dict[str, Any], errors: list[Violation]) -> None:
    kind = message.get("type")
    if is_blank(kind):
        errors.append(missing("type"))
    elif not isinstance(kind, str):
        errors.append(_not_text("type"))
    elif kind not in TYPES:
        errors.append(Violation("type", "UNSUPPORTED_TYPE", f"type must be one of {', '.join(TYPES)}."))


def _check_message_id(message: dict[str, Any], errors: list[Violation]) -> None:
    value = message.get("messageId")
    if is_blank(value):
        errors.append(missing("messageId"))
    elif not isinstance(value, str) or not (UUID_FORM.fullmatch(value) or is_placeholder(value)):
        errors.append(Violation("messageId", "INVALID_FORMAT", "messageId must be a UUID."))
    elif is_placeholder(value):
        text = "messageId is a placeholder, not an ID. Each message needs a new UUID."
        errors.append(Violation("messageId", "INVALID_FORMAT", text))


def _check_timestamp(message: dict[str, Any], now: datetime, errors: list[Violation]) -> None:
    value = message.get("eventTimestamp")
    if is_blank(value):
        errors.append(missing("eventTimestamp"))
        return
    moment = parse_timestamp(value) if isinstance(value, str) else None
    if moment is None:
        text = "eventTimestamp must be ISO 8601 with an offset: 2026-04-08T12:00:00Z."
        errors.append(Violation("eventTimestamp", "INVALID_FORMAT", text))
    elif moment < now - MAX_AGE:
        errors.append(Violation("eventTimestamp", "INVALID_VALUE", "eventTimestamp is more than 30 days in the past."))
    elif moment > now + MAX_AHEAD:
        errors.append(
            Violation("eventTimestamp", "INVALID_VALUE", "eventTimestamp is more than 24 hours in the future.")
        )


def _check_ids(message: dict[str, Any], errors: list[Violation]) -> None:
    for name in ("userId", "anonymousId", "deviceId"):
        check_id(message, name, errors)
    if message.get("type") != "alias":
        if _is_absent(message.get("userId")) and _is_absent(message.get("anonymousId")):
            errors.append(Violation("userId", "MISSING_REQUIRED_FIELD", "userId or anonymousId is required."))
        return
    check_id(message, "fromId", errors, required=True)
    check_id(message, "toId", errors, required=True)
    if (previous := read_id(message, "fromId")) and previous == read_id(message, "toId"):
        errors.append(Violation("toId", "INVALID_VALUE", "fromId and toId must be different."))


def _check_context(message: dict[str, Any], errors: list[Violation]) -> None:
    context = message.get("context")
    if context is None:
        errors.append(missing("context"))
        return
    if not isinstance(context, dict):
        errors.append(Violation("context", "INVALID_FORMAT", "context must be an object."))
        return
    for name in ("library", "libraryVersion"):
        check_text(context, name, errors, required=True, path="context.")
    for name, value in context.items():
        max_length = MAX_CONTEXT_LENGTHS.get(name, MAX_LENGTH)
        if name not in ("library", "libraryVersion") and isinstance(value, str) and len(value) > max_length:
            errors.append(_too_long(f"context.{name}", max_length))
        elif name in CONTEXT_TEXTS and value is not None and not isinstance(value, str):
            errors.append(_not_text(f"context.{name}"))


CONTEXT_TEXTS = frozenset(
    ["userAgent", "browserLanguage", "locale", "timezone", "screen", "pageUrl", "pagePath", "pageReferrer", "pageTitle"]
)


def check_text(
    raw: dict[str, Any], name: str, errors: list[Violation], *, required: bool = False, path: str = "", limit: int = 0
) -> None:
    """Add a violation to `errors` unless the field is a text of at most `limit` characters, by default MAX_LENGTH."""
    limit = limit or MAX_LENGTH
    value = raw.get(name)
    if is_blank(value):
        if required:
            errors.append(missing(path + name))
    elif not isinstance(value, str):
        errors.append(_not_text(path + name))
    elif len(value) > limit:
        errors.append(_too_long(path + name, limit))


def check_id(raw: dict[str, Any], name: str, errors: list[Violation], *, required: bool = False) -> None:
    """Add violations to `errors` unless the field is a valid id."""
    value = raw.get(name)
    if isinstance(value, str):
        value = clean(value)
        if not is_storable(value):
            errors.append(Violation(name, "INVALID_VALUE", f"{name} has characters that cannot be stored."))
        if length(value) > MAX_LENGTH:
            errors.append(_too_long(name, MAX_LENGTH))
    if not isinstance(value, str) or not value:
        check_text({name: value}, name, errors, required=required)


def _is_absent(value: Any) -> bool:
    """Whether the value is null, or a text without an id."""
    return value is None or isinstance(value, str) and not clean(value)


def _check_choice(message: dict[str, Any], name: str, choices: tuple[str, ...], errors: list[Violation]) -> None:
    value = message.get(name)
    if is_blank(value):
        return
    if not isinstance(value, str):
        errors.append(_not_text(name))
    elif value not in choices:
        errors.append(Violation(name, "INVALID_ENUM", f"{name} must be one of {', '.join(choices)}."))


def missing(name: str) -> Violation:
    return Violation(name, "MISSING_REQUIRED_FIELD", f"{name} is required.")


def _not_text(name: str) -> Violation:
    return Violation(name, "INVALID_FORMAT", f"{name} must be a string.")


def _too_long(name: str, max_length: int) -> Violation:
    return Violation(name, "INVALID_VALUE", f"{name} is longer than {max_length} characters.")


def links(raw: Mapping[str, Any], message: Message) -> list[tuple[str, str]]:
    """The ids that an alias or a typed identify joins (audience/digest/event_ids.py).

    The previous id of an alias without a type is linked as an anonymous id and as a user id.
    """
    if message.kind == Kind.IDENTIFY and not is_blank(raw.get("identityType")) and message.user_id:
        return [(raw["identityType"], message.user_id)]
    if message.kind != Kind.ALIAS:
        return []
    previous, kind = read_id(raw, "fromId"), text(raw, "fromType").lower()
    namespaces = [kind] if kind in WEAK else [USER] if kind else [ANONYMOUS, USER]
    links = [*((namespace, previous) for namespace in namespaces), (USER, read_id(raw, "toId"))]
    for end in ("from", "to"):
        provider = text(raw, f"{end}Type").lower()
        if provider and provider not in {ANONYMOUS, USER, DEVICE}:
            links.append((provider[:64], read_id(raw, f"{end}Id")))
    return links


def read_id(raw: Mapping[str, Any], name: str) -> str:
    """An id of the message; '' when it is absent or not a text."""
    value = raw.get(name)
    return clean(value) if isinstance(value, str) else ""


def text(raw: Mapping[str, Any], name: str) -> str:
    """A text of the message without outer spaces; '' when it is absent or not a text."""
    value = raw.get(name)
    return value.strip() if isinstance(value, str) else ""
