"""The durable write of one request: Events once by message id, one Batch, the Rejections."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from django.db import connection
from django.db.models import JSONField, Value

from audience.intake.message import Message, Rejected
from audience.models import ApiKey, Batch, BatchState, Dialect, Kind, Rejection

# A message without any client time may be retried past midnight: its copy lies at most this far back.
UNTIMED_LOOKBACK = timedelta(days=1)
# What is kept of a rejected message, in bytes of JSON.
RAW_LIMIT = 32 * 1024
# And of what stood around it, which a batch repeats for each of its members.
FRAME_LIMIT = 2 * 1024
# What stands in the place of more: {"truncated": true, "bytes": 40000}.
TRUNCATED = "truncated"

COLUMNS = {
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
    "consent_level": "text",
    "test": "boolean",
    "properties": "jsonb",
    "traits": "jsonb",
    "context": "jsonb",
    "integrations": "jsonb",
    "raw": "jsonb",
}
# The ids follow the order of sending, which decides between messages of one moment: the digest sorts by (event_at, id).
# The order by the unique index's columns makes two requests with the same ids wait for, not deadlock with, each other.
INSERT = """
    INSERT INTO audience_event (id, {columns})
    SELECT new.* FROM (
        SELECT nextval(pg_get_serial_sequence('audience_event', 'id')), sent.*
        FROM unnest({arrays}) AS sent
    ) AS new (id, {columns})
    {unless}
    ORDER BY new.day, new.message_id
    ON CONFLICT (game_id, message_id, day) DO NOTHING
    RETURNING id, day
"""
UNLESS_THE_DAY_BEFORE = """
    WHERE NOT EXISTS (
        SELECT 1 FROM audience_event old, unnest(%s::text[], %s::date[]) AS untimed (message_id, day)
        WHERE untimed.message_id = new.message_id AND old.game_id = new.game_id
          AND old.message_id = new.message_id AND old.day = untimed.day
    )
"""
NAMES = ", ".join(COLUMNS)
ARRAYS = ", ".join(f"%s::{kind}[]" for kind in COLUMNS.values())
INSERT_TIMED = INSERT.format(columns=NAMES, arrays=ARRAYS, unless="")
# Asked only when it must be: planning the look into every partition costs more than the insert itself.
INSERT_UNTIMED = INSERT.format(columns=NAMES, arrays=ARRAYS, unless=UNLESS_THE_DAY_BEFORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Whose messages these are, in which dialect they were said, and when they came."""

    key: ApiKey
    dialect: Dialect
    received_at: datetime


def events(request: Request, messages: Sequence[Message]) -> list[tuple[int, date]]:
    """Insert the messages that are not there yet; the (id, day) of those."""
    if not messages:
        return []
    of_kind: dict[Kind, Iterator[int]] = defaultdict(itertools.count)
    rows = [_row(request, message, next(of_kind[message.kind])) for message in messages]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    untimed = [message.message_id for message in messages if message.day is None]
    day_before = request.received_at.astimezone(UTC).date() - UNTIMED_LOOKBACK
    with connection.cursor() as cursor:
        if untimed:
            cursor.execute(INSERT_UNTIMED, [*columns, untimed, [day_before] * len(untimed)])
        else:
            cursor.execute(INSERT_TIMED, columns)
        return [(event_id, day) for event_id, day in cursor.fetchall()]


def _row(request: Request, message: Message, position: int) -> tuple[Any, ...]:
    """The values of COLUMNS, in their order.

    What happened "now" happened in the order in which it was sent, a microsecond apart: of two words at one moment
    nothing else could tell which came later (digest/traits.py). `position` counts the messages of its kind.
    """
    now = message.event_at == request.received_at
    event_at = message.event_at + timedelta(microseconds=position if now else 0)
    return (
        request.key.game_id,
        message.day or request.received_at.astimezone(UTC).date(),
        message.message_id,
        message.kind.value,
        message.name,
        message.user_id,
        message.anonymous_id,
        message.device_id,
        message.session_id,
        message.group_id,
        _json(message.links),
        event_at,
        request.received_at,
        request.key.pk,
        request.dialect.value,
        message.surface,
        message.request_ip,
        message.consent_level,
        message.test or request.key.is_sandbox,
        _json(message.properties),
        _json(message.traits),
        _json(message.context),
        _json(message.integrations),
        _json(message.raw),
    )


def batch(request: Request, *, new: Sequence[tuple[int, date]], duplicates: int, rejected: int) -> Batch:
    """The record of the request; `pending`, and so the digest's work, when anything new came."""
    days = [day for _, day in new]
    return Batch.objects.create(
        game_id=request.key.game_id,
        key=request.key,
        dialect=request.dialect,
        received_at=request.received_at,
        accepted=len(new),
        duplicates=duplicates,
        rejected=rejected,
        event_ids=[event_id for event_id, _ in new],
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        state=BatchState.PENDING if new else BatchState.DONE,
        next_attempt_at=request.received_at,
    )


def rejections(request: Request, rejected: Sequence[Rejected]) -> None:
    Rejection.objects.bulk_create(
        Rejection(
            game_id=request.key.game_id,
            key=request.key,
            dialect=request.dialect,
            received_at=request.received_at,
            message_id=refusal.message_id or "",
            errors=[violation.as_dict() for violation in refusal.errors],
            route=refusal.route,
            frame=_plain(_bounded(refusal.frame, FRAME_LIMIT)),
            # Django writes a bare None as SQL NULL, which the column refuses: a null message is JSON's null.
            raw=Value(None, JSONField()) if refusal.raw is None else _plain(_bounded(refusal.raw, RAW_LIMIT)),
            subjects=_subjects(refusal.raw),
        )
        for refusal in rejected
    )


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return orjson.loads(orjson.dumps(value))


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
