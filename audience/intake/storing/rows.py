"""The rows of a request in PostgreSQL's text format, built before a lock or a connection is taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import Any, NamedTuple

import orjson

from audience.ids.values import read_id
from audience.intake.messages import times
from audience.intake.messages.message import Message, Rejected, stored_id
from audience.models import ApiKey, Dialect
from audience.models.games import MIN_RETENTION_DAYS

# The maximum size of a stored rejected message, in bytes of JSON.
MAX_RAW_BYTES = 32 * 1024
# The same for its batch envelope, which is stored with each rejected member of a batch.
MAX_ENVELOPE_BYTES = 2 * 1024
# The key of the object that is stored in place of a larger one: {"truncated": true, "bytes": 40000}.
TRUNCATED = "truncated"

# The columns of an Event except its id, and of a Rejection, with their types.
EVENT_COLUMNS = {
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
REJECTION_COLUMNS = {
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


# The values of REJECTION_COLUMNS, in text format except for the array.
RejectionRow = tuple[str | list[str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The messages of one key in one request, and those that its dialect rejected.

    `reject_reused` returns the rejection of a message whose id another event has. Without it, such a message is stored
    under a new id (message_ids.replacement_id).
    """

    key: ApiKey
    dialect: Dialect
    received_at: datetime
    messages: Sequence[Message]
    rejected: Sequence[Rejected] = ()
    reject_reused: Callable[[Message], Rejected] | None = None


class EventRow(NamedTuple):
    """`values` are those of EVENT_COLUMNS, in text format.

    The key is None for an event that was sent without one, a click of a tracking link.
    `days_back` is the number of days before `day` on which a duplicate may be stored; 0 if the client states the time.
    """

    values: tuple[str | None, ...]
    day: date
    message_id: str
    days_back: int

    def with_id(self, message_id: str) -> "EventRow":
        return self._replace(message_id=message_id, values=(*self.values[:2], message_id, *self.values[3:]))


def events(submission: Submission) -> list[EventRow]:
    """A row for each message, in the order of sending, with `event_at` limited to the receipt."""
    request = _Request.of(submission)
    stated = [message.event_at for message in submission.messages if not message.is_joined]
    moments = times.limit_to_receipt(stated, submission.received_at)
    items = accumulate((not message.is_joined for message in submission.messages), initial=-1)
    next(items)
    return [_event(request, message, moments[item]) for message, item in zip(submission.messages, items, strict=True)]


class _Request(NamedTuple):
    """The values of EVENT_COLUMNS that are the same for all messages of a request."""

    day: date
    received: str
    game: str
    key: str | None
    dialect: str
    is_sandbox: bool
    is_server: bool

    @classmethod
    def of(cls, submission: Submission) -> "_Request":
        key, received_at = submission.key, submission.received_at
        day = received_at.astimezone(UTC).date()
        key_id = None if key.id is None else str(key.id)
        names = (str(key.game_id), key_id, submission.dialect.value)
        return cls(day, received_at.isoformat(), *names, key.is_sandbox, key.is_server)


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
        _json(message.context_with_notes()),
        _json(message.integrations) if message.integrations else "{}",
        _json(message.raw),
    )
    return EventRow(values, day, message_id, _days_back(message))


def _days_back(message: Message) -> int:
    """A message without a time may be sent again after midnight, and a message with an unreadable time much later:
    clients that state times store their messages until they are accepted."""
    if message.day is not None:
        return 0
    return MIN_RETENTION_DAYS if message.time_note else 1


def rejections(submission: Submission, *, limit: int) -> list[RejectionRow]:
    """A row for each of the first `limit` rejected messages."""
    return [
        (
            str(submission.key.game_id),
            str(submission.key.pk),
            submission.dialect.value,
            submission.received_at.isoformat(),
            rejection.message_id or "",
            _json([violation.as_dict() for violation in rejection.errors]),
            rejection.route,
            _json(_truncated(rejection.envelope, MAX_ENVELOPE_BYTES)),
            _json(_truncated(rejection.raw, MAX_RAW_BYTES)),
            subjects_of(rejection.raw),
            rejection.origin,
            rejection.request_ip,
        )
        for rejection in submission.rejected[:limit]
    ]


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _truncated(value: Any, limit: int) -> Any:
    size = len(orjson.dumps(value))
    return value if size <= limit else {TRUNCATED: True, "bytes": size}


def subjects_of(raw: Any) -> list[str]:
    """All ids in a rejected message or list of messages, for erasures: the values of keys that end in `id`.

    They are cleaned like the ids of valid messages.
    """
    messages = raw if isinstance(raw, list) else [raw]
    fields = (pair for message in messages if isinstance(message, dict) for pair in message.items())
    ids = (value for name, value in fields if isinstance(name, str) and name.lower().endswith("id"))
    return [text[:512] for value in ids if isinstance(value, str | int) and (text := read_id(value))]
