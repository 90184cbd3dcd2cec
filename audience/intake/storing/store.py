"""The durable write of a group of requests, all of it or nothing: Events once by message id, Batches, Rejections.

A large group is copied in, since that is the fastest way into PostgreSQL. COPY knows no ON CONFLICT: when a message of
the group is stored already, which only a retry brings about, the group is written by the statement that passes over
copies. A small group always is: it goes over in one piece, where a transaction with COPY takes eight.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from django.db import IntegrityError, connection, transaction

from audience.intake.storing import allowance, notation, rows
from audience.intake.storing.rows import EventRow, Submission

# Events and rejections from which on COPY is the faster way.
COPY_FROM = 200

IDS = "SELECT nextval('audience_event_id_seq') FROM generate_series(1, %s)"
COPY_EVENTS = f"COPY audience_event (id, {', '.join(rows.EVENT)}) FROM STDIN"
COPY_REJECTIONS = f"COPY audience_rejection ({', '.join(rows.REJECTION)}) FROM STDIN"
COPY_BATCHES = """COPY audience_batch (game_id, key_id, dialect, received_at, accepted, duplicates, rejected, event_ids,
    first_day, last_day, state, attempts, next_attempt_at, error) FROM STDIN"""

# The ids follow the order of sending, which decides between messages of one moment: the digest sorts by (event_at, id).
# The order by the unique index's columns makes two groups with the same ids wait for, not deadlock with, each other.
WRITE = """
    WITH sent AS MATERIALIZED (
        SELECT nextval('audience_event_id_seq') AS id, given.*
        FROM json_to_recordset({events}) AS given (place int, days_back int, {event_types})
    ), new AS (
        INSERT INTO audience_event (id, {event_names})
        SELECT id, {event_values} FROM sent
        {unless}
        ORDER BY day, message_id
        ON CONFLICT (game_id, message_id, day) DO NOTHING
        RETURNING id
    ), stored AS (
        SELECT place, count(*) AS accepted, array_agg(id ORDER BY id) AS ids, min(day) AS first, max(day) AS last
        FROM new JOIN sent USING (id) GROUP BY place
    ), refused AS (
        INSERT INTO audience_rejection ({rejection_names})
        SELECT {rejection_values} FROM json_to_recordset({rejections}) AS given ({rejection_types})
    ), batches AS (
        INSERT INTO audience_batch (game_id, key_id, dialect, received_at, accepted, duplicates, rejected, event_ids,
            first_day, last_day, state, attempts, next_attempt_at, error)
        SELECT game_id, key_id, dialect, received_at, coalesce(accepted, 0), messages - coalesce(accepted, 0), rejected,
            coalesce(ids, '{{}}'), first, last, CASE WHEN accepted > 0 THEN 'pending' ELSE 'done' END, 0,
            received_at, ''
        FROM json_to_recordset({requests}) AS given (place int, game_id bigint, key_id bigint, dialect text,
            received_at timestamptz, messages int, rejected int)
        LEFT JOIN stored USING (place) ORDER BY place
    )
    SELECT place, accepted FROM stored
"""
# A message without a readable client time lies on the day of its receipt, so that its copy may lie on an earlier day.
# Asked only when it must be: planning the look into every partition costs more than the insert itself.
UNLESS_ON_A_DAY_BEFORE = """
    WHERE NOT EXISTS (
        SELECT 1 FROM audience_event old
        WHERE sent.days_back > 0 AND old.game_id = sent.game_id AND old.message_id = sent.message_id
          AND old.day < sent.day AND old.day >= sent.day - sent.days_back
    )
"""
# The names of what `sent` is made of.
INPUT_COLUMNS = ("place", "days_back", *rows.EVENT)
SQL_NAMES = {
    "event_names": ", ".join(rows.EVENT),
    "event_types": notation.recordset_columns(rows.EVENT),
    "event_values": notation.cast(rows.EVENT),
    "rejection_names": ", ".join(rows.REJECTION),
    "rejection_types": notation.recordset_columns(rows.REJECTION),
    "rejection_values": notation.cast(rows.REJECTION),
}
PARAMS = {"events": "$1", "rejections": "$2", "requests": "$3"}
# Their names are those of prepared statements.
STATEMENTS = {
    b"write_timed": WRITE.format(**SQL_NAMES, **PARAMS, unless=""),
    b"write_untimed": WRITE.format(**SQL_NAMES, **PARAMS, unless=UNLESS_ON_A_DAY_BEFORE),
}


@dataclass(slots=True)
class Write:
    """The rows of what one key sent, as far as they are kept; once stored, how many of its events were `new`."""

    sent: Submission
    events: list[EventRow] = field(init=False)
    rejections: list[tuple[str, ...]] = field(init=False)
    new: int = 0

    def __post_init__(self) -> None:
        self.events = rows.events(self.sent)
        keep = allowance.take(self.sent.key.game_id, self.sent.key.pk, len(self.sent.rejected))
        self.rejections = rows.rejections(self.sent, keep=keep)

    @property
    def size(self) -> int:
        return len(self.events) + len(self.rejections)


def write(group: Sequence[Write]) -> None:
    """Store the group, and set how many events are `new` in each. Raises what the database raises."""
    if is_small(group) or any(row.days_back for one in group for row in one.events):
        _write(group)
        return
    try:
        _copy(group)
    except IntegrityError:
        _write(group)


def is_small(group: Sequence[Write]) -> bool:
    """Whether `statement` is the best way to store it."""
    return sum(one.size for one in group) < COPY_FROM


def statement(group: Sequence[Write]) -> tuple[bytes, list[bytes]]:
    """Which of STATEMENTS stores this group, and its values."""
    untimed = False
    events, rejections, requests = [], [], []
    for place, one in enumerate(group):
        for row in one.events:
            events.append(dict(zip(INPUT_COLUMNS, (place, row.days_back, *row.values), strict=True)))
            untimed = untimed or row.days_back > 0
        rejections += [dict(zip(rows.REJECTION, values, strict=True)) for values in one.rejections]
        requests.append(_request(place, one))
    name = b"write_untimed" if untimed else b"write_timed"
    return name, [orjson.dumps(values) for values in (events, rejections, requests)]


def apply_result(group: Sequence[Write], answer: Iterable[Sequence[Any]]) -> None:
    """Set how many events are `new` in each, from the rows of `statement`."""
    for one in group:
        one.new = 0
    for place, accepted in answer:
        group[int(place)].new = int(accepted)


def _write(group: Sequence[Write]) -> None:
    """Anything, in one statement."""
    name, values = statement(group)
    with _savepoint_if_nested(), _prepared_cursor() as cursor:
        cursor.execute(STATEMENTS[name], [value.decode() for value in values])
        apply_result(group, cursor.fetchall())


def _savepoint_if_nested() -> AbstractContextManager[None]:
    """A transaction of the caller's stays usable when the statement fails; without one it is its own."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


@contextmanager
def _prepared_cursor() -> Iterator[psycopg.RawCursor]:
    """A cursor whose statement is planned once a connection, which for WRITE takes longer than to run it. Django's own
    cursors write the values into the statement, so that to PostgreSQL each is another one."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    raw.prepare_threshold = 0
    try:
        with connection.wrap_database_errors, psycopg.RawCursor(raw) as cursor:
            yield cursor
    finally:
        raw.prepare_threshold = None


def _request(place: int, one: Write) -> dict[str, object]:
    sent = one.sent
    return {
        "place": place,
        "game_id": sent.key.game_id,
        "key_id": sent.key.pk,
        "dialect": sent.dialect.value,
        "received_at": sent.received_at,
        "messages": len(one.events),
        "rejected": len(sent.rejected),
    }


@transaction.atomic
def _copy(group: Sequence[Write]) -> None:
    """Raises IntegrityError when a copy of one of the messages is there already, on its own day."""
    every = [row for one in group for row in one.events]
    with connection.cursor() as cursor:
        cursor.execute(IDS, [len(every)])
        ids = [number for (number,) in cursor.fetchall()]
    # Sorted as WRITE sorts them, and for the same reason.
    lines = sorted(
        (row.day, row.message_id, notation.line((str(number), *row.values)))
        for number, row in zip(ids, every, strict=True)
    )
    _copy_in(COPY_EVENTS, [line for _, _, line in lines])
    _copy_in(COPY_REJECTIONS, [notation.line(values) for one in group for values in one.rejections])
    left = iter(ids)
    _copy_in(COPY_BATCHES, [_batch(one, [next(left) for _ in one.events]) for one in group])
    for one in group:
        one.new = len(one.events)


def _batch(one: Write, ids: Sequence[int]) -> str:
    """The record of a request without copies; `pending`, and so the digest's work, when it brought anything."""
    sent, days = one.sent, [row.day for row in one.events]
    received_at = sent.received_at.isoformat()
    bounds = (min(days).isoformat(), max(days).isoformat()) if days else ("\\N", "\\N")
    names = (str(sent.key.game_id), str(sent.key.pk), sent.dialect.value, received_at)
    counts = (str(len(ids)), "0", str(len(sent.rejected)))
    state = "pending" if ids else "done"
    return "\t".join([*names, *counts, notation.array(map(str, ids)), *bounds, state, "0", received_at, ""]) + "\n"


def _copy_in(query: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(query) as into:
        into.write("".join(lines))
