"""The message shape that RudderStack, Segment and MetaRouter share. Pure: wire values in, Message or Invalid out."""

import hashlib
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from audience.intake.dialects import segment_context
from audience.intake.messages.message import Message, Violation
from audience.intake.messages.times import Timing, is_stated, moment, timed
from audience.models import Kind
from audience.models.people import ANONYMOUS, USER

# What `type` of a batch member, or the route, makes of a message.
KINDS = {kind.value: kind for kind in (Kind.IDENTIFY, Kind.TRACK, Kind.PAGE, Kind.SCREEN, Kind.GROUP, Kind.ALIAS)}
MERGE = "merge"
TYPES = (*KINDS, MERGE)
NO_ID = "request neither has anonymousId nor userId"
# An id becomes an index key, which PostgreSQL bounds; no SDK's own ids come near.
LONGEST_ID = 512
LONGEST_NAME = 256
LONGEST_MESSAGE_ID = 256


FRAMED = ("sent_at", "timestamp", "context", "integrations")


class Invalid(Exception):
    """One message that cannot be taken, with its reason."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(field, code, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around a message: when it came, and what its batch says for members that do not say it.

    `both_directions`: `timestamp` is corrected by `sentAt` also where the client's clock was behind.
    """

    received_at: datetime
    both_directions: bool = False
    sent_at: Any = None
    timestamp: Any = None
    context: Mapping[str, Any] = field(default_factory=dict)
    integrations: Mapping[str, Any] = field(default_factory=dict)

    def said(self) -> dict[str, Any]:
        """What was said of it, to be kept with a member that is not taken; `Frame(**said)` says it again."""
        return {name: value for name in FRAMED if (value := getattr(self, name))}


def parse(raw: Mapping[str, Any], *, kind: str, frame: Frame) -> Message:
    """One wire object as a Message. `kind` is one of TYPES; raises Invalid."""
    context = {**frame.context, **mapping(raw, "context")}
    timing = _timing(raw, frame)
    message = Message(
        kind=KINDS.get(kind, Kind.ALIAS),
        message_id=_message_id(raw),
        event_at=timing.event_at,
        day=timing.day,
        time_note=timing.note,
        name=_name(raw, kind),
        user_id=_id(raw, "userId"),
        anonymous_id=_id(raw, "anonymousId"),
        device_id=segment_context.device_id(context)[:LONGEST_ID],
        session_id=text_of(context.get("sessionId"))[:LONGEST_ID],
        surface="",
        consent_level=text_of(raw.get("consentLevel")) if raw.get("consentLevel") in CONSENT_LEVELS else "",
        test=raw.get("test") is True,
        properties=mapping(raw, "properties"),
        context=segment_context.canonical(context),
        integrations={**frame.integrations, **mapping(raw, "integrations")},
        raw=dict(raw),
    )
    if not message.user_id and not message.anonymous_id:
        raise Invalid("userId", "MISSING_REQUIRED_FIELD", NO_ID)
    _by_kind(raw, kind, context, message)
    return message


def webhook(raw: Mapping[str, Any], received_at: datetime) -> Message:
    """Any JSON object, told by no player: a track event named `webhook` with the object as its properties."""
    return Message(
        kind=Kind.TRACK,
        message_id=str(uuid.uuid4()),
        event_at=received_at,
        day=None,
        name="webhook",
        properties=dict(raw),
        raw=dict(raw),
    )


CONSENT_LEVELS = ("not_set", "none", "anonymous", "full")


def _by_kind(raw: Mapping[str, Any], kind: str, context: Mapping[str, Any], message: Message) -> None:
    """What each kind asks for and means beyond the common fields."""
    if kind == "track" and not message.name:
        raise Invalid("event", "MISSING_REQUIRED_FIELD", "event is required for track")
    if kind == "identify":
        # Browser SDKs put the traits of identify into the context.
        message.traits = {**mapping(context, "traits"), **mapping(raw, "traits")}
    elif kind == "group":
        message.group_id = _required_id(raw, "groupId", kind)
        message.traits = mapping(raw, "traits")
    elif kind == "alias":
        previous = _required_id(raw, "previousId", kind)
        message.links = [(ANONYMOUS, previous), (USER, previous)]
        message.links += [(USER, message.user_id)] if message.user_id else []
        # In a column too, so that an erasure of the old id finds the event.
        message.anonymous_id = message.anonymous_id or previous
    elif kind == MERGE:
        message.links = _merge_links(raw)


def _merge_links(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    listed = raw.get("mergeProperties")
    if not isinstance(listed, list) or not listed:
        raise Invalid("mergeProperties", "MISSING_REQUIRED_FIELD", "mergeProperties is required for merge")
    links = []
    for item in listed:
        pair = (text_of(item.get("type")), text_of(item.get("value"))) if isinstance(item, dict) else ("", "")
        if not all(pair):
            text = "mergeProperties must be a list of objects with type and value"
            raise Invalid("mergeProperties", "INVALID_FORMAT", text)
        if len(pair[1]) > LONGEST_ID:
            text = f"mergeProperties has a value longer than {LONGEST_ID} characters"
            raise Invalid("mergeProperties", "INVALID_VALUE", text)
        links.append((pair[0].lower()[:64], pair[1]))
    return links


def _name(raw: Mapping[str, Any], kind: str) -> str:
    """The event's name, or the page's or screen's; MetaRouter documents `eventName` beside `event`."""
    if kind == "track":
        return (text_of(raw.get("event")) or text_of(raw.get("eventName")))[:LONGEST_NAME]
    return text_of(raw.get("name"))[:LONGEST_NAME] if kind in {"page", "screen"} else ""


def _message_id(raw: Mapping[str, Any]) -> str:
    """The sender's id; ours when there is none. An overlong one keeps its identity as a hash."""
    found = text_of(raw.get("messageId"))
    if len(found) > LONGEST_MESSAGE_ID:
        return hashlib.sha256(found.encode()).hexdigest()
    return found or str(uuid.uuid4())


def _timing(raw: Mapping[str, Any], frame: Frame) -> Timing:
    """The sender's timestamp, with its clock corrected by sentAt where that is ahead of the receipt; else the original
    timestamp by sentAt in either direction; else the receipt.

    The day is always that of the unmodified client time, since a retry repeats that and nothing else.
    """
    received_at, sent_at = frame.received_at, moment(raw.get("sentAt") or frame.sent_at)
    timestamps = (raw.get("timestamp"), frame.timestamp)
    for value in timestamps:
        if moment(value):
            return timed(value, received_at=received_at, sent_at=sent_at, both_directions=frame.both_directions)
    original = raw.get("originalTimestamp")
    if moment(original):
        corrected = timed(original, received_at=received_at, sent_at=sent_at, both_directions=True)
        # Without sentAt nothing shows how far this clock is off.
        return corrected if sent_at else Timing(received_at, corrected.day)
    return timed(next(filter(is_stated, (*timestamps, original)), None), received_at=received_at)


def _id(raw: Mapping[str, Any], name: str) -> str:
    value = text_of(raw.get(name))
    if len(value) > LONGEST_ID:
        raise Invalid(name, "INVALID_VALUE", f"{name} is longer than {LONGEST_ID} characters")
    return value


def _required_id(raw: Mapping[str, Any], name: str, kind: str) -> str:
    value = _id(raw, name)
    if not value:
        raise Invalid(name, "MISSING_REQUIRED_FIELD", f"{name} is required for {kind}")
    return value


def mapping(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object inside another; {} for anything else."""
    value = holder.get(name)
    return dict(value) if isinstance(value, Mapping) else {}


def text_of(value: Any) -> str:
    """An id or a name as text: numbers and objects in their JSON spelling; null and control characters are nothing.

    NUL characters are control characters too: they come as the U+FFFD that body.decode made of them.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        value = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    if not value.isprintable():
        value = "".join(c for c in value if unicodedata.category(c) != "Cc")
    value = str(value.strip())
    return value if value.strip("\ufffd ") else ""
