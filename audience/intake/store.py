"""The durable write of a group of requests in one transaction: Events once by message id, Batches, Rejections.

Copied in, since that is the fastest way into PostgreSQL. COPY knows no ON CONFLICT: when a message of the group is
stored already, which only a retry brings about, the group is written again by an INSERT that passes over copies.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta

from django.db import IntegrityError, connection, transaction

from audience.intake import rows
from audience.intake.rows import EventRow, Sent

# A message without any client time may be retried past midnight: its copy lies at most this far back.
UNTIMED_LOOKBACK = timedelta(days=1)

IDS = "SELECT nextval(pg_get_serial_sequence('audience_event', 'id')) FROM generate_series(1, %s)"
COPY_EVENTS = f"COPY audience_event (id, {', '.join(rows.EVENT)}) FROM STDIN"
# The order by the unique index's columns makes two groups with the same ids wait for, not deadlock with, each other.
INSERT = """
    INSERT INTO audience_event (id, {columns})
    SELECT new.* FROM unnest({arrays}) AS new (id, {columns})
    {unless}
    ORDER BY new.day, new.message_id
    ON CONFLICT (game_id, message_id, day) DO NOTHING
    RETURNING id
"""
UNLESS_THE_DAY_BEFORE = """
    WHERE NOT EXISTS (
        SELECT 1 FROM audience_event old, unnest(%s::bigint[], %s::date[]) AS untimed (id, day)
        WHERE untimed.id = new.id AND old.game_id = new.game_id
          AND old.message_id = new.message_id AND old.day = untimed.day
    )
"""
NAMES = ", ".join(rows.EVENT)
ARRAYS = ", ".join(["%s::bigint[]", *(f"(%s::text[])::{kind}[]" for kind in rows.EVENT.values())])
INSERT_TIMED = INSERT.format(columns=NAMES, arrays=ARRAYS, unless="")
# Asked only when it must be: planning the look into every partition costs more than the insert itself.
INSERT_UNTIMED = INSERT.format(columns=NAMES, arrays=ARRAYS, unless=UNLESS_THE_DAY_BEFORE)
COPY_REJECTIONS = f"COPY audience_rejection ({', '.join(rows.REJECTION)}) FROM STDIN"
COPY_BATCHES = """COPY audience_batch (game_id, key_id, dialect, received_at, accepted, duplicates, rejected, event_ids,
    first_day, last_day, state, attempts, next_attempt_at, error) FROM STDIN"""


@dataclass(slots=True)
class Write:
    """The rows of what one key sent, and, once they are stored, the ids and days of its new events."""

    sent: Sent
    events: list[EventRow] = field(init=False)
    rejections: list[str] = field(init=False)
    new: list[tuple[int, date]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = rows.events(self.sent)
        self.rejections = rows.rejections(self.sent)


def write(group: Sequence[Write]) -> None:
    """Store the group, all of it or nothing, and set what is `new` in each. Raises what the database raises."""
    may_have_copies = any(row.untimed for one in group for row in one.events)
    if may_have_copies:
        _write(group, _inserted)
        return
    try:
        _write(group, _copied)
    except IntegrityError:
        _write(group, _inserted)


@transaction.atomic
def _write(group: Sequence[Write], store_events: Callable[[Sequence[Write]], None]) -> None:
    for one in group:
        one.new.clear()
    if any(one.events for one in group):
        store_events(group)
    _copy(COPY_REJECTIONS, [line for one in group for line in one.rejections])
    _copy(COPY_BATCHES, [_batch(one) for one in group])


def _numbered(group: Sequence[Write]) -> Iterator[tuple[int, Write, EventRow]]:
    """Each event with an id. They follow the order of sending, which decides between messages of one moment: the
    digest sorts by (event_at, id)."""
    every = [(one, row) for one in group for row in one.events]
    with connection.cursor() as cursor:
        cursor.execute(IDS, [len(every)])
        ids = [number for (number,) in cursor.fetchall()]
    return ((number, one, row) for number, (one, row) in zip(ids, every, strict=True))


def _copied(group: Sequence[Write]) -> None:
    """Raises IntegrityError when a copy of one of the messages is there already, on its own day."""
    numbered = list(_numbered(group))
    # Sorted as INSERT sorts them, and for the same reason.
    lines = sorted((row.day, row.message_id, rows.line((str(number), *row.values))) for number, _, row in numbered)
    _copy(COPY_EVENTS, [line for _, _, line in lines])
    for number, one, row in numbered:
        one.new.append((number, row.day))


def _inserted(group: Sequence[Write]) -> None:
    numbered = {number: (one, row) for number, one, row in _numbered(group)}
    columns: list[list[object]] = [list(numbered)]
    columns += [list(column) for column in zip(*(row.values for _, row in numbered.values()), strict=True)]
    untimed = {number: _day_before(one) for number, (one, row) in numbered.items() if row.untimed}
    with connection.cursor() as cursor:
        if untimed:
            cursor.execute(INSERT_UNTIMED, [*columns, list(untimed), list(untimed.values())])
        else:
            cursor.execute(INSERT_TIMED, columns)
        for (number,) in sorted(cursor.fetchall()):
            one, row = numbered[number]
            one.new.append((number, row.day))


def _day_before(one: Write) -> date:
    return one.sent.received_at.astimezone(UTC).date() - UNTIMED_LOOKBACK


def _batch(one: Write) -> str:
    """The record of the request; `pending`, and so the digest's work, when anything new came."""
    sent, days = one.sent, [day for _, day in one.new]
    received_at = sent.received_at.isoformat()
    counts = (len(one.new), len(one.events) - len(one.new), len(one.rejections))
    ids = "{" + ",".join(str(number) for number, _ in one.new) + "}"
    bounds = (min(days).isoformat(), max(days).isoformat()) if days else ("\\N", "\\N")
    names = (str(sent.key.game_id), str(sent.key.pk), sent.dialect.value, received_at)
    state = "pending" if one.new else "done"
    return "\t".join([*names, *map(str, counts), ids, *bounds, state, "0", received_at, ""]) + "\n"


def _copy(query: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(query) as into:
        into.write("".join(lines))
