"""The message format that RudderStack, Segment and MetaRouter share: pure functions from JSON values to Message."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from audience.ids.values import is_placeholder as is_placeholder_id
from audience.ids.values import is_storable, length, read_id
from audience.intake.dialects.segment_fields import canonical_context, device_id, json_mapping, mapping, text_of
from audience.intake.messages.message import MAX_MESSAGE_ID_LENGTH, Message, Violation
from audience.intake.messages.message_ids import is_placeholder
from audience.intake.messages.times import Timing, is_blank, parse_time, read_timing
from audience.models import Kind
from audience.models.people import ANONYMOUS, USER

# By `type` of a batch member, or by route.
KINDS = {kind.value: kind for kind in (Kind.IDENTIFY, Kind.TRACK, Kind.PAGE, Kind.SCREEN, Kind.GROUP, Kind.ALIAS)}
MERGE = "merge"
TYPES = (*KINDS, MERGE)
# Ids are index keys, whose size PostgreSQL limits. Ids of SDKs are much shorter.
MAX_ID_LENGTH = 512
MAX_NAME_LENGTH = 256
# The longest way of a request from a client with a right clock: a phone in a bad network.
MAX_LATENCY = timedelta(seconds=10)
CONSENT_LEVELS = ("not_set", "none", "anonymous", "full")

TIME_FIELDS = ("timestamp", "originalTimestamp")
ENVELOPE_FIELDS = ("sent_at", "timestamp", "context", "integrations")


class InvalidMessage(Exception):
    """A message is rejected, with the violation as the reason."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(field, code, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnvelope:
    """The time of receipt, and the values of the batch that its members do not state themselves.

    `is_metarouter`: MetaRouter's document applies, not RudderStack's. `timestamp` is corrected by `sentAt` also when
    the client's clock was behind, and an alias needs no `previousId`.
    """

    received_at: datetime
    is_metarouter: bool = False
    sent_at: Any = None
    timestamp: Any = None
    context: Mapping[str, Any] = field(default_factory=dict)
    integrations: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The values of the batch, to be stored with rejected members, as arguments for a BatchEnvelope."""
        return {name: value for name in ENVELOPE_FIELDS if (value := getattr(self, name))}


def parse(raw: Mapping[str, Any], *, kind: str, envelope: BatchEnvelope) -> Message:
    """A JSON object as a Message. Raises InvalidMessage, also when `kind` is not one of TYPES."""
    if kind not in TYPES:
        raise InvalidMessage("type", "UNSUPPORTED_TYPE", f"type must be one of {', '.join(TYPES)}")
    context = {**envelope.context, **mapping(raw, "context")}
    timing = _timing(raw, envelope)
    message = Message(
        kind=KINDS.get(kind, Kind.ALIAS),
        message_id=_message_id(raw),
        event_at=timing.event_at,
        day=timing.day,
        time_note=timing.note,
        name=_name(raw, kind),
        user_id=_id(raw, "userId"),
        anonymous_id=_id(raw, "anonymousId"),
        device_id=_read_id(device_id(context), "context.device.id"),
        session_id=text_of(context.get("sessionId"))[:MAX_ID_LENGTH],
        consent_level=text_of(raw.get("consentLevel")) if raw.get("consentLevel") in CONSENT_LEVELS else "",
        test=raw.get("test") is True,
        group_id=_context_group(context),
        properties=json_mapping(raw, "properties"),
        traits=json_mapping(raw, "traits"),
        context=canonical_context(context),
        integrations={**envelope.integrations, **mapping(raw, "integrations")},
        raw=dict(raw),
        time_fields=TIME_FIELDS,
    )
    if not message.user_id and not message.anonymous_id:
        raise InvalidMessage("userId", "MISSING_REQUIRED_FIELD", "request neither has anonymousId nor userId")
    _set_fields_of_kind(raw, kind, context, message)
    if kind == "alias":
        _set_previous_id(raw, message, is_metarouter=envelope.is_metarouter)
    message.move_placeholders()
    message.add_linked_contacts()
    return message


def parse_webhook(raw: Mapping[str, Any], received_at: datetime) -> Message:
    """Any JSON object as a track event named `webhook` without a player, with the object as its properties."""
    return Message(
        kind=Kind.TRACK,
        message_id=str(uuid.uuid4()),
        event_at=received_at,
        day=None,
        name="webhook",
        properties=dict(raw),
        raw=dict(raw),
    )


def _set_fields_of_kind(raw: Mapping[str, Any], kind: str, context: Mapping[str, Any], message: Message) -> None:
    """Check and set the fields of a kind. Raises InvalidMessage."""
    if kind == "track" and not message.name:
        raise InvalidMessage("event", "MISSING_REQUIRED_FIELD", "event is required for track")
    if kind == "identify":
        # Browser SDKs put the traits of identify into the context.
        message.traits = {**mapping(context, "traits"), **message.traits}
        message.context.pop("traits", None)
    elif kind == "group":
        message.group_id = _required_id(raw, "groupId", kind)
    elif kind == MERGE:
        message.links = _merge_links(raw)


def _set_previous_id(raw: Mapping[str, Any], message: Message, *, is_metarouter: bool) -> None:
    """Check and set the ids of an alias. Raises InvalidMessage.

    MetaRouter's SDK for iOS sends `previousId` within the properties, and those for Android and React Native not at
    all: they link the anonymous id to the user, as an identify does.
    """
    previous = _id(raw, "previousId")
    if not previous and is_metarouter:
        previous = _id(message.properties, "previousId")
        if not previous and message.user_id and message.anonymous_id:
            return
    previous = previous or _required_id(raw, "previousId", "alias")
    message.links = [(ANONYMOUS, previous), (USER, previous)]
    message.links += [(USER, message.user_id)] if message.user_id else []
    # Also in the column, so that an erasure of the previous id finds the event.
    message.anonymous_id = message.anonymous_id or previous


def _merge_links(raw: Mapping[str, Any]) -> list[tuple[str, str]]:
    listed = raw.get("mergeProperties")
    if not isinstance(listed, list) or not listed:
        raise InvalidMessage("mergeProperties", "MISSING_REQUIRED_FIELD", "mergeProperties is required for merge")
    links = []
    for item in listed:
        pair = (text_of(item.get("type")), read_id(item.get("value"))) if isinstance(item, dict) else ("", "")
        if not all(pair):
            text = "mergeProperties must be a list of objects with type and value"
            raise InvalidMessage("mergeProperties", "INVALID_FORMAT", text)
        _check_id(pair[1], "mergeProperties")
        links.append((pair[0].lower()[:64], pair[1]))
    return links


def _name(raw: Mapping[str, Any], kind: str) -> str:
    """The name of the event, page or screen. MetaRouter documents `eventName` besides `event`; its mobile SDKs, and
    RudderStack's, send the name of a page or screen as `event`."""
    names = {"track": ("event", "eventName"), "page": ("name", "event"), "screen": ("name", "event")}.get(kind, ())
    return next(filter(None, (text_of(raw.get(name)) for name in names)), "")[:MAX_NAME_LENGTH]


def _message_id(raw: Mapping[str, Any]) -> str:
    """The stated id, hashed if it is too long; a new UUID for a placeholder or none."""
    text = text_of(raw.get("messageId"))
    if is_placeholder(text):
        return str(uuid.uuid4())
    if len(text) > MAX_MESSAGE_ID_LENGTH:
        return hashlib.sha256(text.encode()).hexdigest()
    return text


def _timing(raw: Mapping[str, Any], envelope: BatchEnvelope) -> Timing:
    """The time is `timestamp`, corrected by `sentAt` if that is ahead of the receipt; else `originalTimestamp`,
    corrected by `sentAt` in both directions; else the receipt.

    Where `sentAt` is up to MAX_LATENCY before the receipt, the clock is right and the difference is the way of the
    request: `originalTimestamp` is the time. RudderStack's browser SDK sends one request for each event, in parallel,
    and correcting them would put the events of a page in the order in which their requests happened to arrive.

    `day` is always the day of the unmodified client time, since a retry repeats nothing else.
    """
    received_at, sent_at = envelope.received_at, parse_time(raw.get("sentAt") or envelope.sent_at)
    read = partial(read_timing, received_at=received_at, sent_at=sent_at)
    timestamps = (raw.get("timestamp"), envelope.timestamp)
    for value in timestamps:
        if parse_time(value):
            return read(value, both_directions=envelope.is_metarouter)
    original = raw.get("originalTimestamp")
    if parse_time(original):
        is_exact = sent_at is not None and timedelta(0) <= received_at - sent_at <= MAX_LATENCY
        corrected = read(original, both_directions=not is_exact)
        # Without `sentAt` the error of the clock is unknown.
        return corrected if sent_at else Timing(received_at, corrected.day)
    stated = next((value for value in (*timestamps, original) if not is_blank(value)), None)
    return read_timing(stated, received_at=received_at)


def _id(raw: Mapping[str, Any], name: str) -> str:
    return _read_id(raw.get(name), name)


def _read_id(value: Any, name: str) -> str:
    text = read_id(value)
    _check_id(text, name)
    return text


def _check_id(value: str, name: str) -> None:
    if length(value) > MAX_ID_LENGTH:
        raise InvalidMessage(name, "INVALID_VALUE", f"{name} is longer than {MAX_ID_LENGTH} characters")
    if not is_storable(value):
        raise InvalidMessage(name, "INVALID_VALUE", f"{name} has characters that cannot be stored")


def _context_group(context: Mapping[str, Any]) -> str:
    """The group that the player is in during any call. A value that is no id does not reject the message."""
    value = read_id(context.get("groupId"))
    is_usable = length(value) <= MAX_ID_LENGTH and is_storable(value) and not is_placeholder_id(value)
    return value if is_usable else ""


def _required_id(raw: Mapping[str, Any], name: str, kind: str) -> str:
    value = _id(raw, name)
    if not value:
        raise InvalidMessage(name, "MISSING_REQUIRED_FIELD", f"{name} is required for {kind}")
    return value
