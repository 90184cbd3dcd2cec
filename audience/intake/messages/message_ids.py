"""Message ids: which texts are none, and whether two messages with one id are the same event."""

import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from audience.intake.messages.message import SERVER_ID_PREFIX, Message
from audience.intake.messages.times import is_blank, parse_time

# What SDKs and studios' own code send when they have no id, in small letters. Every event has it then.
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
    """Whether this is no id. Blanks around it and invisible characters are not read."""
    if not message_id.isprintable():
        message_id = "".join(c for c in message_id if unicodedata.category(c) not in {"Cc", "Cf"})
    return message_id.strip().lower() in PLACEHOLDERS


class Fingerprint(NamedTuple):
    """What is equal in a message and its retry. `stated_time` is '' when the client stated none.

    Not the time of the event: of a message without a time it is the moment of receipt, which a retry changes.
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
    """The first readable time in these fields of a message, in one form; else the first text; '' without either."""
    values = [raw.get(name) for name in fields]
    for value in values:
        if found := parse_time(value):
            return found.isoformat()
    return next((value for value in values if isinstance(value, str) and not is_blank(value)), "")


def replacement_id(message_id: str, of: Fingerprint) -> str:
    """The id under which a message is stored when another event has its `message_id`, as stored: a retry repeats it."""
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, orjson.dumps([message_id, *of]).decode()))
    return SERVER_ID_PREFIX + own if message_id.startswith(SERVER_ID_PREFIX) else own
