"""Message ids: which texts are placeholders, and whether two messages with one id are the same event."""

import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from audience.intake.messages.message import SERVER_ID_PREFIX, Message
from audience.intake.messages.times import is_blank, parse_time

# Texts, in lower case, that SDKs and the code of studios send when they have no id: many events have them.
PLACEHOLDERS = frozenset(
    {
        "",
        "00000000-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
        "null",
        "(null)",
        "nil",
        "undefined",
        "none",
        "nan",
        "true",
        "false",
        "{}",
        "[]",
        "[object object]",
    }
)


def is_placeholder(message_id: str) -> bool:
    """Whether the text is a placeholder or empty. Outer spaces and invisible characters are ignored."""
    if not message_id.isprintable():
        message_id = "".join(c for c in message_id if unicodedata.category(c) not in {"Cc", "Cf"})
    return message_id.strip().lower() in PLACEHOLDERS


class Fingerprint(NamedTuple):
    """The fields that a message and its retry have in common. `stated_time` is '' if the client states no time.

    The time of the event is not used: without a stated time it is the time of receipt, which differs for a retry.
    """

    kind: str
    name: str
    user_id: str
    anonymous_id: str
    device_id: str
    stated_time: str


def fingerprint(message: Message) -> Fingerprint:
    ids = (message.user_id, message.anonymous_id, message.device_id)
    return Fingerprint(message.kind.value, message.name, *ids, stated_time(message.raw, message.time_fields))


def stated_time(raw: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    """The first readable time in these fields of a message, in ISO 8601; else the first text; '' without either."""
    values = [raw.get(name) for name in fields]
    for value in values:
        if moment := parse_time(value):
            return moment.isoformat()
    return next((value for value in values if isinstance(value, str) and not is_blank(value)), "")


def replacement_id(message_id: str, fingerprint: Fingerprint) -> str:
    """The id to store a message under if another event has its `message_id`, as stored. A retry gets the same id."""
    derived = str(uuid.uuid5(uuid.NAMESPACE_OID, orjson.dumps([message_id, *fingerprint]).decode()))
    return SERVER_ID_PREFIX + derived if message_id.startswith(SERVER_ID_PREFIX) else derived
