"""Second connections and threads for tests of concurrency."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, connections


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    """Run `work` in a new thread, which has a separate database connection."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextlib.contextmanager
def own_connection() -> Iterator[Any]:
    """A second connection with a transaction open; rolled back at the end unless committed."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        yield other
    finally:
        other.rollback()
        other.close()


def wait_for_a_lock() -> int:
    """Wait until a backend waits for a lock; return its pid."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if row := cursor.fetchone():
                return int(row[0])
        time.sleep(0.02)
    raise AssertionError("no backend waited for a lock")


def wait_for_locks(number: int) -> None:
    """Wait until that many backends wait for locks."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone() == (number,):
                return
        time.sleep(0.02)
    raise AssertionError(f"{number} backends did not wait for locks")


def end_backend(pid: int) -> None:
    """End one backend, as a crash of PostgreSQL or an administrator would."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    finally:
        other.close()
