"""Says what the intake would do with a request, message by message, without storing anything."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import orjson

from audience.database import clock
from audience.intake.dialects import dry_run
from audience.intake.dialects.dry_run import DryRun
from audience.intake.dialects.read_fields import lacks_message_id, unread_fields
from audience.intake.messages.message import Message, Violation
from audience.intake.messages.message_ids import fingerprint, replacement_id
from audience.intake.messages.times import TIME_NOTES
from audience.intake.requests import suppressed_ids
from audience.intake.storing import reused_ids, rows
from audience.intake.storing.reused_ids import StoredEvent
from audience.intake.storing.rows import EVENT_COLUMNS, EventRow, Submission
from audience.models import ApiKey, Dialect, Event

REFUSED_WITH_OTHERS = Violation(
    "", "REQUEST_REFUSED", "Another item of the request is invalid, so nothing of the request is stored."
)


class Status(StrEnum):
    """DUPLICATE: the event is stored already, and the message is acknowledged without storing it again."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class CheckedMessage:
    """What would become of a message. `index` is its place in the body, None for a request refused as a whole.

    `event` is what would be stored, not saved; None if it is rejected. `ignored` are sentences about parts of the
    message that are not used.
    """

    index: int | None
    status: Status
    event: Event | None = None
    errors: Sequence[Violation] = ()
    ignored: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """`status` and `answer` are those of the route; `messages` are in the order of the body."""

    status: int
    answer: str
    messages: Sequence[CheckedMessage]


def check(
    *,
    key: ApiKey,
    body: bytes,
    route: str = "",
    origin: str | None = None,
    address: str | None = None,
    received_at: datetime | None = None,
) -> CheckedRequest:
    """Return what a POST of the body with this key would do; nothing is written, and no rate limit is used up.

    `key` may be unsaved, with a game and a dialect. `route` is one of dry_run.ROUTES of its dialect, '' for the one
    that suits the body. Without `origin` and `address` the key's restrictions to callers are not checked. Raises
    ValueError for a route that the dialect does not have.
    """
    dialect = Dialect(key.dialect)
    route = route or dry_run.default_route(dialect, body)
    if route not in dry_run.ROUTES[dialect]:
        raise ValueError(f"{dialect.label} has no route “{route}”.")
    at = received_at or clock.now()
    key.game.suppressed_ids = suppressed_ids.read(key.game)
    result = dry_run.run(key=key, route=route, body=body, received_at=at, origin=origin, address=address)
    valid = {id(message): checked for one in result.submissions for message, checked in _checked(one, dialect)}
    messages: list[CheckedMessage] = []
    for outcome in result.outcomes:
        if outcome.errors:
            messages.append(CheckedMessage(outcome.index, Status.REJECTED, errors=outcome.errors))
        messages += [replace(valid[id(message)], index=outcome.index) for message in outcome.messages]
    return CheckedRequest(result.status, result.answer, _with_others(result, messages))


def _checked(submission: Submission, dialect: Dialect) -> Iterator[tuple[Message, CheckedMessage]]:
    """Yield what becomes of each valid message: events with its id may be stored, or come before it in the request."""
    found = rows.events(submission)
    stored = reused_ids.find_repeated(submission.key.game_id, found) if found else {}
    by_id = {name: list(events) for name, events in stored.items()}
    for message, row in zip(submission.messages, found, strict=True):
        earlier = reused_ids.repeated_by(row, by_id)
        is_duplicate = any(event.equals(message) for event in earlier)
        if earlier and not is_duplicate:
            if submission.reject_reused:
                errors = submission.reject_reused(message).errors
                yield message, CheckedMessage(None, Status.REJECTED, errors=errors)
                continue
            row = row.with_id(replacement_id(row.message_id, fingerprint(message)))
        by_id.setdefault(row.message_id, []).append(_as_stored(row))
        status = Status.DUPLICATE if is_duplicate else Status.ACCEPTED
        yield message, CheckedMessage(None, status, _event(row), ignored=_ignored(message, dialect))


def _as_stored(row: EventRow) -> StoredEvent:
    values: dict[str, Any] = dict(zip(EVENT_COLUMNS, row.values, strict=True))
    names = ("kind", "name", "user_id", "anonymous_id", "device_id", "raw")
    return StoredEvent(row.day, *(values[name] for name in names))


# Type of a column -> reader of its text.
READERS: dict[str, Callable[[str], Any]] = {
    "bigint": int,
    "date": date.fromisoformat,
    "text": str,
    "timestamptz": datetime.fromisoformat,
    "boolean": lambda text: text == "t",
    "jsonb": orjson.loads,
}


def _event(row: EventRow) -> Event:
    values = zip(EVENT_COLUMNS.items(), row.values, strict=True)
    # An unsaved key has no id.
    return Event(**{name: None if text is None else READERS[kind](text) for (name, kind), text in values})


def _ignored(message: Message, dialect: Dialect) -> list[str]:
    sentences = [
        f"The {name.replace('_', ' ')} “{text}” is a placeholder, so it is not used."
        for name, text in message.placeholders.items()
    ]
    sentences += [TIME_NOTES[message.time_note]] if message.time_note else []
    if lacks_message_id(message.raw, dialect):
        sentences.append("The message has no usable ID, so it gets a new one. If it is sent again, it is stored twice.")
    if unread := unread_fields(message.raw, dialect):
        sentences.append(f"Not used, but stored with the original message: {', '.join(unread)}.")
    return sentences


def _with_others(result: DryRun, messages: list[CheckedMessage]) -> list[CheckedMessage]:
    """Add the other items of a request that is refused because of one of them."""
    places = {message.index for message in messages}
    if result.submissions or None in places or not messages:
        return messages
    others = [index for index in range(result.items) if index not in places]
    rejected = [CheckedMessage(index, Status.REJECTED, errors=(REFUSED_WITH_OTHERS,)) for index in others]
    return sorted([*messages, *rejected], key=lambda message: message.index or 0)
