"""The statement that stores a group of requests: Events, Batches and Rejections.

The channel sends it for small groups, and transaction.py executes it for groups that COPY cannot store. It skips
messages whose id is stored already: duplicates, and events that reuse an id (reused_ids.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import orjson
import psycopg
from django.db import connection

from audience.intake.messages.message import Rejected
from audience.intake.storing import allowance, rows
from audience.intake.storing.rows import EventRow, RejectionRow, Submission

# From this number of rows (events and rejections) on, COPY is faster than the statement.
MIN_COPY_ROWS = 200
# Building the statement for more characters of rows would occupy the event loop for too long.
MAX_LOOP_CHARACTERS = 512 * 1024

INPUT_COLUMNS = ("write_index", "days_back", *rows.EVENT_COLUMNS)


def _input_columns(columns: Mapping[str, str]) -> str:
    """The column definitions for json_to_recordset. JSON is passed as text, so that JSON `null` is not NULL."""
    return ", ".join(f"{name} {'text' if kind == 'jsonb' else kind}" for name, kind in columns.items())


def _input_values(columns: Mapping[str, str]) -> str:
    """The values of the columns of `_input_columns`, cast to their types."""
    return ", ".join(f"{name}::{kind}" if kind == "jsonb" else name for name, kind in columns.items())


# The parameters are JSON arrays of events, rejections and batches. `write_index` numbers the writes of a group.
# The ids follow the order of sending, which decides between messages of the same time: the digest sorts by (event_at,
# id). Rows are inserted in the order of the unique index, so that two groups with the same message ids do not deadlock.
WRITE_NEW = f"""
    WITH sent AS MATERIALIZED (
        SELECT nextval('audience_event_id_seq') AS id, input.*
        FROM json_to_recordset($1) AS input (write_index int, days_back int, {_input_columns(rows.EVENT_COLUMNS)})
    ), new AS (
        INSERT INTO audience_event (id, {", ".join(rows.EVENT_COLUMNS)})
        SELECT id, {_input_values(rows.EVENT_COLUMNS)} FROM sent
        WHERE true
        ORDER BY day, message_id
        ON CONFLICT (game_id, message_id, day) DO NOTHING
        RETURNING id
    ), stored AS (
        SELECT write_index, count(*) AS accepted, array_agg(id ORDER BY id) AS ids, min(day) AS first, max(day) AS last
        FROM new JOIN sent USING (id) GROUP BY write_index
    ), refused AS (
        INSERT INTO audience_rejection ({", ".join(rows.REJECTION_COLUMNS)})
        SELECT {_input_values(rows.REJECTION_COLUMNS)}
        FROM json_to_recordset($2) AS input ({_input_columns(rows.REJECTION_COLUMNS)})
    ), request AS MATERIALIZED (
        SELECT nextval('audience_batch_id_seq') AS id, input.*
        FROM json_to_recordset($3) AS input (write_index int, game_id bigint, key_id bigint, dialect text,
            received_at timestamptz, messages int, rejected int)
    ), batches AS (
        INSERT INTO audience_batch (id, game_id, key_id, dialect, received_at, accepted, duplicates, rejected,
            event_ids, first_day, last_day, state, attempts, next_attempt_at, error)
        SELECT id, game_id, key_id, dialect, received_at, coalesce(accepted, 0), messages - coalesce(accepted, 0),
            rejected, coalesce(ids, '{{}}'), first, last, CASE WHEN accepted > 0 THEN 'pending' ELSE 'done' END, 0,
            received_at, ''
        FROM request LEFT JOIN stored USING (write_index) ORDER BY write_index
    )
    SELECT write_index, coalesce(accepted, 0), id FROM request LEFT JOIN stored USING (write_index)
"""
# A message without a readable client time gets the day of its receipt, so a duplicate may be on an earlier day.
# In a separate statement, since planning the lookup in all partitions takes longer than the insert.
NO_EARLIER_DUPLICATE = """
        WHERE NOT EXISTS (
            SELECT 1 FROM audience_event old
            WHERE sent.days_back > 0 AND old.game_id = sent.game_id AND old.message_id = sent.message_id
              AND old.day < sent.day AND old.day >= sent.day - sent.days_back
        )
"""
# By the name under which they are prepared.
STATEMENTS = {
    b"write_timed": WRITE_NEW,
    b"write_untimed": WRITE_NEW.replace("WHERE true", NO_EARLIER_DUPLICATE),
}


@dataclass(slots=True)
class Write:
    """The rows of one Submission.

    Once they are stored, `new` is the number of events that were not duplicates, and `reused` are the rejections of the
    messages whose id another event has. `batch_id` is the id of the Batch, None if it was stored by COPY.
    """

    submission: Submission
    events: list[EventRow] = field(init=False)
    rejections: list[RejectionRow] = field(init=False)
    new: int = 0
    reused: list[Rejected] = field(default_factory=list)
    batch_id: int | None = None

    def __post_init__(self) -> None:
        self.events = rows.events(self.submission)
        key, rejected = self.submission.key, self.submission.rejected
        limit = allowance.take(key.game_id, key.pk, len(rejected))
        self.rejections = rows.rejections(self.submission, limit=limit)

    @property
    def size(self) -> int:
        return len(self.events) + len(self.rejections)

    @property
    def has_skipped_events(self) -> bool:
        """Whether the statement skipped some of the events."""
        return self.new < len(self.events)


def is_small(writes: Sequence[Write]) -> bool:
    """Whether the statement is at least as fast as COPY."""
    return sum(write.size for write in writes) < MIN_COPY_ROWS


def can_build_on_loop(writes: Sequence[Write]) -> bool:
    """Whether the event loop may build the statement."""
    if not is_small(writes):
        return False
    events = (row.values for write in writes for row in write.events)
    rejections = (values for write in writes for values in write.rejections)
    return sum(sum(map(len, values)) for values in chain(events, rejections)) < MAX_LOOP_CHARACTERS


def build(writes: Sequence[Write]) -> tuple[bytes, list[bytes]]:
    """The name of the statement in STATEMENTS, and its parameters."""
    is_untimed = False
    events, rejections, requests = [], [], []
    for write_index, write in enumerate(writes):
        for row in write.events:
            event: dict[str, Any] = dict(zip(INPUT_COLUMNS, (write_index, row.days_back, *row.values), strict=True))
            # An event of our own pages came with no key.
            events.append(event if write.submission.key.pk else {**event, "key_id": None})
            is_untimed = is_untimed or row.days_back > 0
        rejections += [dict(zip(rows.REJECTION_COLUMNS, values, strict=True)) for values in write.rejections]
        requests.append(_request(write_index, write))
    name = b"write_untimed" if is_untimed else b"write_timed"
    return name, [orjson.dumps(values) for values in (events, rejections, requests)]


def apply_result(writes: Sequence[Write], result: Iterable[Sequence[Any]]) -> None:
    """Set the results of each write from the rows that the statement returned."""
    for write_index, accepted, batch_id in result:
        write = writes[int(write_index)]
        write.new, write.reused, write.batch_id = int(accepted), [], int(batch_id)


def execute(writes: Sequence[Write]) -> None:
    """Execute the statement in the current transaction. Raises the errors of the database."""
    name, values = build(writes)
    # Django's cursors do not support the placeholder $1.
    with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as cursor:
        cursor.execute(STATEMENTS[name], [value.decode() for value in values])
        apply_result(writes, cursor.fetchall())


def _request(write_index: int, write: Write) -> dict[str, object]:
    submission = write.submission
    return {
        "write_index": write_index,
        "game_id": submission.key.game_id,
        "key_id": submission.key.pk,
        "dialect": submission.dialect.value,
        "received_at": submission.received_at,
        "messages": len(write.events),
        "rejected": len(submission.rejected),
    }
