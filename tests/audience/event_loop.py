"""Runs tests on an event loop like that of a web process."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest
import uvloop
from django.db import connections

from audience.intake.requests import prefetch
from audience.intake.storing import accept, transaction
from audience.intake.storing.channel import Channel
from audience.intake.storing.statement import Write
from audience.intake.storing.write_queue import WriteQueue

T = TypeVar("T")
UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"


def on_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on a loop in a new thread, since browser tests leave a loop in the main one; return its result."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                results.append(runner.run(work()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    # The browser tests set this variable for their loop; a web process does not have it.
    unsafe = os.environ.pop(UNSAFE, None)
    thread.start()
    thread.join(60)
    if unsafe is not None:
        os.environ[UNSAFE] = unsafe
    assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results[0]


@contextlib.contextmanager
def web_process(
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Sequence[Write]], None] = transaction.write_all,
    open_channel: Callable[[], Channel | None] = lambda: None,
) -> Iterator[WriteQueue]:
    """Provide the write queue and the prefetch thread of a web process during the context."""
    fetching = ThreadPoolExecutor(1)
    write_requests = partial(transaction.write_requests, write=write)
    queue = WriteQueue(write_requests, accept.after_commit, open_channel)
    monkeypatch.setattr(prefetch, "executor", fetching)
    monkeypatch.setattr(accept, "write_queue", queue)
    try:
        yield queue
    finally:
        close(queue._thread)
        close(fetching)
        if queue._channel:
            queue._channel.close()


def close(thread: ThreadPoolExecutor) -> None:
    """End the thread and its connection, with which the test's database could not be dropped."""
    thread.submit(connections.close_all).result(15)
    thread.shutdown()
