"""Waits for the end of a check of a credential, for requests that prefer an answer to polling.

A wait keeps a thread of the web process, which has 12 of them for pages (config/pages.py). So only a few requests of a
process wait at a time; the others are answered at once.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from uuid import UUID

from postbacks.models import CredentialCheck

MAX_WAITS = 4
MAX_SECONDS = 20
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.05, 0.5

_places = BoundedSemaphore(MAX_WAITS)


@contextmanager
def place() -> Iterator[bool]:
    """Reserve one of MAX_WAITS places; the value is False if all are taken."""
    is_free = _places.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            _places.release()


def wait_for_end(check_id: UUID, *, seconds: float) -> None:
    """Return when the check has ended, at the latest after `seconds`. Not to be called in a transaction."""
    end, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
    while CredentialCheck.objects.pending().filter(pk=check_id).exists() and (left := end - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(2 * pause, LAST_PAUSE_SECONDS)
