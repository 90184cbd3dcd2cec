"""Limits how many drains of a network a worker process runs at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_DRAINS = 2  # per network: one that claims, and one that waits for its last calls

# By network.
_running: dict[str, threading.BoundedSemaphore] = {}
_claiming: dict[str, threading.BoundedSemaphore] = {}


@contextmanager
def running(network: str) -> Iterator[bool]:
    """Yields whether this thread may drain the network until the end of the block."""
    with _acquired(_running.setdefault(network, threading.BoundedSemaphore(MAX_DRAINS))) as is_acquired:
        yield is_acquired


@contextmanager
def claiming(network: str) -> Iterator[bool]:
    """Yields whether this thread, and no other, may claim deliveries of the network until the end of the block."""
    with _acquired(_claiming.setdefault(network, threading.BoundedSemaphore(1))) as is_acquired:
        yield is_acquired


@contextmanager
def _acquired(semaphore: threading.BoundedSemaphore) -> Iterator[bool]:
    is_acquired = semaphore.acquire(blocking=False)
    try:
        yield is_acquired
    finally:
        if is_acquired:
            semaphore.release()
