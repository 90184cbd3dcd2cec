"""Stores messages that reuse the id of another event: the statement skipped them as if they were duplicates of it.

Messages are compared with the stored events only after a conflict, so that new messages cost nothing, and with another
query: the statement does not see rows that were committed while it ran, nor its own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

import orjson
from django.db import connection, transaction

from audience.ids import values
from audience.intake.messages.message import Message, Rejected
from audience.intake.messages.message_ids import Fingerprint, fingerprint, replacement_id, stated_time
from audience.intake.storing import statement
from audience.intake.storing.rows import EventRow
from audience.intake.storing.statement import Write

SELECT_STORED = """
SELECT message_id, day, kind, name, user_id, anonymous_id, device_id, raw::text FROM audience_event
WHERE game_id = %s AND message_id = ANY(%s) AND day BETWEEN %s AND %s
"""
# The statement has counted the messages as duplicates.
CORRECT_BATCH = """
UPDATE audience_batch SET duplicates = duplicates - %s WHERE game_id = %s AND id = %s AND received_at = %s
"""


class StoredEvent(NamedTuple):
    """The columns of a stored event with which a message with the same id is compared."""

    day: date
    kind: str
    name: str
    user_id: str
    anonymous_id: str
    device_id: str
    raw: str

    def equals(self, message: Message, *, at_any_time: bool = False) -> bool:
        """Whether the message is a duplicate of this event; with `at_any_time` also if it states another time."""
        expected = fingerprint(message)
        stated = stated_time(orjson.loads(self.raw), message.time_fields)
        user_id, anonymous_id, device_id = map(_usable, (self.user_id, self.anonymous_id, self.device_id))
        time = expected.stated_time if at_any_time else stated
        return expected == Fingerprint(self.kind, self.name, user_id, anonymous_id, device_id, time)


def _usable(stored: str) -> str:
    """The id as messages have it now: version 0.2 stored placeholders and invisible characters too."""
    value = values.clean(stored)
    return "" if values.is_placeholder(value) else value


# By message id.
StoredEvents = Mapping[str, Sequence[StoredEvent]]


def store(writes: Sequence[Write]) -> None:
    """Store the messages that reuse an id, or their rejections, and correct the results of their writes.

    Uses a transaction for each write: with the rows of several Batches locked, it could deadlock with the digest.
    """
    by_game = defaultdict(list)
    for write in writes:
        if write.has_skipped_events:
            by_game[write.submission.key.game_id].append(write)
    for game_id, game_writes in by_game.items():
        stored = find_repeated(game_id, [row for write in game_writes for row in write.events])
        for write in game_writes:
            pairs = zip(write.submission.messages, write.events, strict=True)
            if reusing := [pair for pair in pairs if _reuses_id(*pair, stored)]:
                _store_reusing(write, reusing)


def find_repeated(game_id: int, rows: Sequence[EventRow]) -> StoredEvents:
    """The stored events of which the rows may be duplicates, and some of other days; rows must not be empty."""
    first, last = min(map(_first_day, rows)), max(row.day for row in rows)
    return find(game_id, [row.message_id for row in rows], first, last)


def repeated_by(row: EventRow, stored: StoredEvents) -> list[StoredEvent]:
    """Those of the events that have the row's id, on days on which a duplicate of it may be."""
    return [event for event in stored.get(row.message_id, ()) if _first_day(row) <= event.day <= row.day]


def find(game_id: int, ids: Sequence[str], first: date, last: date) -> StoredEvents:
    """The stored events of a game with these message ids, from the days `first` to `last`."""
    events = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(SELECT_STORED, [game_id, list(ids), first, last])
        for message_id, *columns in cursor.fetchall():
            events[message_id].append(StoredEvent(*columns))
    return events


def _reuses_id(message: Message, row: EventRow, stored: StoredEvents) -> bool:
    """Whether events are stored with its id, on days on which a duplicate may be, and it is a duplicate of none."""
    events = repeated_by(row, stored)
    return bool(events) and not any(event.equals(message) for event in events)


def _first_day(row: EventRow) -> date:
    return row.day - timedelta(days=row.days_back)


@transaction.atomic
def _store_reusing(write: Write, reusing: Sequence[tuple[Message, EventRow]]) -> None:
    submission, rejected, events = write.submission, list[Rejected](), list[EventRow]()
    for message, row in reusing:
        if submission.reject_reused:
            rejected.append(submission.reject_reused(message))
        else:
            events.append(row.with_id(replacement_id(row.message_id, fingerprint(message))))
    second = Write(replace(submission, messages=(), rejected=rejected))
    second.events = events
    statement.execute([second])
    with connection.cursor() as cursor:
        cursor.execute(CORRECT_BATCH, [len(reusing), submission.key.game_id, write.batch_id, submission.received_at])
    write.new += second.new
    write.reused = rejected
