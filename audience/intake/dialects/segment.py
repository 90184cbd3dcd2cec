"""The message format that RudderStack, Segment and MetaRouter share: pure functions from JSON values to Message."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from audience.intake.dialects.segment_destinations import add_destination_ids
from audience.intake.dialects.segment_fields import canonical_context, device_id, json_mapping, mapping, text_of
from audience.intake.dialects.segment_ids import (
    MAX_ID_LENGTH,
    InvalidMessage,
    checked_id,
    context_group,
    merge_links,
    required_id,
    set_previous_id,
    stated_id,
)
from audience.intake.messages.message import MAX_MESSAGE_ID_LENGTH, Message
from audience.intake.messages.message_ids import is_placeholder
from audience.intake.messages.times import Timing, is_blank, parse_time, read_timing
from audience.models import Kind

# By `type` of a batch member, or by route.
KINDS = {kind.value: kind for kind in (Kind.IDENTIFY, Kind.TRACK, Kind.PAGE, Kind.SCREEN, Kind.GROUP, Kind.ALIAS)}
MERGE = "merge"
TYPES = (*KINDS, MERGE)
MAX_NAME_LENGTH = 256
# The longest way of a request from a client with a right clock: a phone in a bad network.
MAX_LATENCY = timedelta(seconds=10)
CONSENT_LEVELS = ("not_set", "none", "anonymous", "full")

TIME_FIELDS = ("timestamp", "originalTimestamp")
ENVELOPE_FIELDS = ("sent_at", "timestamp", "context", "integrations")


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
    context = {**envelope.context, **json_mapping(raw, "context")}
    timing = _timing(raw, envelope)
    properties = json_mapping(raw, "properties")
    integrations = {**envelope.integrations, **mapping(raw, "integrations")}
    message = Message(
        kind=KINDS.get(kind, Kind.ALIAS),
        message_id=_message_id(raw),
        event_at=timing.event_at,
        day=timing.day,
        time_note=timing.note,
        name=_name(raw, kind),
        user_id=stated_id(raw, "userId"),
        anonymous_id=stated_id(raw, "anonymousId"),
        device_id=checked_id(device_id(context), "context.device.id"),
        session_id=text_of(context.get("sessionId"))[:MAX_ID_LENGTH],
        consent_level=text_of(raw.get("consentLevel")) if raw.get("consentLevel") in CONSENT_LEVELS else "",
        test=raw.get("test") is True,
        group_id=context_group(context),
        properties=properties,
        traits=json_mapping(raw, "traits"),
        context=add_destination_ids(canonical_context(context), properties, integrations),
        integrations=integrations,
        raw=dict(raw),
        time_fields=TIME_FIELDS,
    )
    if not message.user_id and not message.anonymous_id:
        raise InvalidMessage("userId", "MISSING_REQUIRED_FIELD", "request neither has anonymousId nor userId")
    _set_fields_of_kind(raw, kind, context, message)
    if kind == "alias":
        set_previous_id(raw, message, is_metarouter=envelope.is_metarouter)
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
        message.group_id = required_id(raw, "groupId", kind)
    elif kind == MERGE:
        message.links = merge_links(raw)


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
