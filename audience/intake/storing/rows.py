"""What one request leaves in the tables, as texts that PostgreSQL reads: made before any lock or connection is held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from audience.intake.messages import times
from audience.intake.messages.message import Message, Rejected
from audience.intake.messages.message_ids import stored_id
from audience.intake.storing import notation
from audience.models import ApiKey, Dialect
from audience.models.keys import MIN_RETENTION_DAYS

# What is kept of a rejected message, in bytes of JSON.
RAW_LIMIT = 32 * 1024
# And of what stood around it, which a batch repeats for each of its members.
ENVELOPE_LIMIT = 2 * 1024
# What stands in the place of more: {"truncated": true, "bytes": 40000}.
TRUNCATED = "truncated"

# Of an Event, without its id, with the type of its text.
EVENT = {
    "game_id": "bigint",
    "day": "date",
    "message_id": "text",
    "kind": "text",
    "name": "text",
    "user_id": "text",
    "anonymous_id": "text",
    "device_id": "text",
    "session_id": "text",
    "group_id": "text",
    "links": "jsonb",
    "event_at": "timestamptz",
    "received_at": "timestamptz",
    "key_id": "bigint",
    "dialect": "text",
    "surface": "text",
    "request_ip": "text",
    "origin": "text",
    "consent_level": "text",
    "test": "boolean",
    "properties": "jsonb",
    "traits": "jsonb",
    "context": "jsonb",
    "integrations": "jsonb",
    "raw": "jsonb",
}
REJECTION = {
    "game_id": "bigint",
    "key_id": "bigint",
    "dialect": "text",
    "received_at": "timestamptz",
    "message_id": "text",
    "errors": "jsonb",
    "route": "text",
    "frame": "jsonb",
    "raw": "jsonb",
    "subjects": "text[]",
    "origin": "text",
    "request_ip": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one key sent in one request: messages as a dialect understood them, and those it refused."""

    key: ApiKey
    dialect: Dialect
    received_at: datetime
    messages: Sequence[Message]
    rejected: Sequence[Rejected] = ()


class EventRow(NamedTuple):
    """The values of EVENT, as text in PostgreSQL's own notation.

    `days_back`: on how many days before `day` a copy of it may lie, 0 where the client's own time gave the day.
    """

    values: tuple[str, ...]
    day: date
    message_id: str
    days_back: int


def events(sent: Submission) -> list[EventRow]:
    """A row for each message, in the order of sending; no event happened after it was received."""
    request = _Request.of(sent)
    moments = times.bounded([message.event_at for message in sent.messages if not message.joined], sent.received_at)
    places = accumulate((not message.joined for message in sent.messages), initial=-1)
    next(places)
    return [_event(request, message, moments[place]) for message, place in zip(sent.messages, places, strict=True)]


class _Request(NamedTuple):
    """What all messages of a request have in common, as EVENT has it."""

    day: date
    received: str
    game: str
    key: str
    dialect: str
    is_sandbox: bool
    is_server: bool

    @classmethod
    def of(cls, sent: Submission) -> "_Request":
        key, at = sent.key, sent.received_at
        day = at.astimezone(UTC).date()
        names = (str(key.game_id), str(key.id), sent.dialect.value)
        return cls(day, at.isoformat(), *names, key.is_sandbox, key.is_server)


def _event(request: _Request, message: Message, event_at: datetime) -> EventRow:
    day = message.day or request.day
    message_id = stored_id(message.message_id, is_server=request.is_server)
    values = (
        request.game,
        day.isoformat(),
        message_id,
        message.kind.value,
        message.name,
        message.user_id,
        message.anonymous_id,
        message.device_id,
        message.session_id,
        message.group_id,
        _json(message.links) if message.links else "[]",
        event_at.isoformat(),
        request.received,
        request.key,
        request.dialect,
        message.surface,
        message.request_ip,
        message.origin,
        message.consent_level,
        "t" if message.test or request.is_sandbox else "f",
        _json(message.properties) if message.properties else "{}",
        _json(message.traits) if message.traits else "{}",
        _json(message.context_with_time_note()),
        _json(message.integrations) if message.integrations else "{}",
        _json(message.raw),
    )
    return EventRow(values, day, message_id, _days_back(message))


def _days_back(message: Message) -> int:
    """A message without a time may be sent again past midnight, and one with an unreadable time as late as any other:
    a client that states a time stores its messages until they are taken."""
    if message.day is not None:
        return 0
    return MIN_RETENTION_DAYS if message.time_note else 1


def rejections(sent: Submission, *, keep: int) -> list[tuple[str, ...]]:
    """The values of REJECTION of the first `keep` refused messages."""
    return [
        (
            str(sent.key.game_id),
            str(sent.key.pk),
            sent.dialect.value,
            sent.received_at.isoformat(),
            refusal.message_id or "",
            _json([violation.as_dict() for violation in refusal.errors]),
            refusal.route,
            _json(_bounded(refusal.envelope, ENVELOPE_LIMIT)),
            _json(_bounded(refusal.raw, RAW_LIMIT)),
            notation.array(_subjects(refusal.raw)),
            refusal.origin,
            refusal.request_ip,
        )
        for refusal in sent.rejected[:keep]
    ]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _bounded(value: Any, limit: int) -> Any:
    size = len(orjson.dumps(value))
    return value if size <= limit else {TRUNCATED: True, "bytes": size}


def _subjects(raw: Any) -> list[str]:
    """Every id a refused message, or list of messages, names, whatever it calls it: names that end in `id`.

    Trimmed as the ids of good messages are, and numbers as text: one may be what the message was refused for.
    """
    messages = raw if isinstance(raw, list) else [raw]
    named = (pair for message in messages if isinstance(message, dict) for pair in message.items())
    ids = (value for name, value in named if isinstance(name, str) and name.lower().endswith("id"))
    return [text[:512] for value in ids if isinstance(value, str | int) and (text := str(value).strip())]
