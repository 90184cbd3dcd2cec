"""Reading rows in the order of their ids without missing one whose transaction commits late.

Ids of a sequence are taken before the commit, so a row with a lower id may appear after one with a higher id.
"""

import time

from django.db import connection

# How long a reader waits for the transactions that may still write such a row; most last some milliseconds.
WAIT_SECONDS = 1.0
PAUSE_SECONDS = 0.01
# nextval() locks the sequence before it takes a value, until the end of the transaction, which is after its rows
# have become visible (lock_and_open_sequence in PostgreSQL's commands/sequence.c).
HOLDERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = %s::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""


def settled_value(sequence: str) -> int | None:
    """Return a value of the sequence up to which all rows are committed, or never will be; 0 if it has none yet.

    Waits for the transactions that have taken values; None if one is still open after WAIT_SECONDS. The caller reads
    the rows in a later statement.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")
        value: int = cursor.fetchone()[0]
        # Values up to `value` were taken by transactions that hold the lock now, or have ended.
        cursor.execute(HOLDERS, [sequence])
        holders = set(cursor.fetchall())
        deadline = time.monotonic() + WAIT_SECONDS
        while holders:
            if time.monotonic() > deadline:
                return None
            time.sleep(PAUSE_SECONDS)
            cursor.execute(HOLDERS, [sequence])
            holders &= set(cursor.fetchall())
    return value
