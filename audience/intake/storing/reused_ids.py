"""Messages that the statement passed over since their id is stored, and that are not copies: other events with that id.

They are compared only after a conflict, so that new messages cost nothing, and in another statement: the one that
conflicted does not see rows that were committed while it ran, nor its own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import orjson
from django.db import connection, transaction

from audience.intake.messages.message import Message, Rejected
from audience.intake.messages.message_ids import Fingerprint, fingerprint, replacement_id, stated_time
from audience.intake.storing import statement
from audience.intake.storing.rows import EventRow, Submission
from audience.intake.storing.statement import Write

STORED = """
SELECT message_id, day, kind, name, user_id, anonymous_id, device_id, raw::text FROM audience_event
WHERE game_id = %s AND message_id = ANY(%s) AND day BETWEEN %s AND %s
"""
# The statement has counted them as duplicates.
CORRECT_BATCH = """
UPDATE audience_batch SET duplicates = duplicates - %s WHERE game_id = %s AND id = %s AND received_at = %s
"""


class StoredEvent(NamedTuple):
    """What tells a stored event from a message with its id."""

    day: date
    kind: str
    name: str
    user_id: str
    anonymous_id: str
    device_id: str
    raw: str

    def equals(self, message: Message, *, at_any_time: bool = False) -> bool:
        """Whether the message is a retry of it; `at_any_time` also if it states another time."""
        own = fingerprint(message)
        stated = stated_time(orjson.loads(self.raw), message.time_fields)
        return own == Fingerprint(*self[1:6], own.stated_time if at_any_time else stated)


Stored = Mapping[str, Sequence[StoredEvent]]


def store(writes: Sequence[Write]) -> None:
    """Store other events with a stored id, or their rejections, and correct the results of their writes.

    A transaction for each write: with the rows of several Batches locked, it could deadlock with the digest.
    """
    by_game = defaultdict(list)
    for write in writes:
        if write.has_copies:
            by_game[write.sent.key.game_id].append(write)
    for game_id, copies in by_game.items():
        rows = [row for write in copies for row in write.events]
        first, last = min(map(_first_day, rows)), max(row.day for row in rows)
        stored = find(game_id, [row.message_id for row in rows], first, last)
        for write in copies:
            if others := [
                pair for pair in zip(write.sent.messages, write.events, strict=True) if _is_other(*pair, stored)
            ]:
                _store_others(write, others)


def find(game_id: int, ids: Sequence[str], first: date, last: date) -> Stored:
    """The events of a game that have these message ids, by id; `first` and `last` are their days."""
    found = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(STORED, [game_id, list(ids), first, last])
        for message_id, *columns in cursor.fetchall():
            found[message_id].append(StoredEvent(*columns))
    return found


def _is_other(message: Message, row: EventRow, stored: Stored) -> bool:
    """Whether the event stored with its id, on a day on which a copy of it may be, is another one."""
    found = [event for event in stored.get(row.message_id, ()) if _first_day(row) <= event.day <= row.day]
    return bool(found) and not any(event.equals(message) for event in found)


def _first_day(row: EventRow) -> date:
    return row.day - timedelta(days=row.days_back)


@transaction.atomic
def _store_others(write: Write, others: Sequence[tuple[Message, EventRow]]) -> None:
    sent, rejected, events = write.sent, list[Rejected](), list[EventRow]()
    for message, row in others:
        if sent.reject_reused:
            rejected.append(sent.reject_reused(message))
        else:
            events.append(row.with_id(replacement_id(row.message_id, fingerprint(message))))
    again = Write(
        Submission(key=sent.key, dialect=sent.dialect, received_at=sent.received_at, messages=(), rejected=rejected)
    )
    again.events = events
    statement.execute([again])
    with connection.cursor() as cursor:
        cursor.execute(CORRECT_BATCH, [len(others), sent.key.game_id, write.batch_id, sent.received_at])
    write.new += again.new
    write.reused = rejected
