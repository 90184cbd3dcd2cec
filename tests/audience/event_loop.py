"""An event loop as a web process has it, for tests of what happens on it."""

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
    """What `work` returns, on a thread of its own: a browser test leaves its loop running in the main one."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                answers.append(runner.run(work()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    # The browser tests set it for their own loop; a web process never has it.
    unsafe = os.environ.pop(UNSAFE, None)
    thread.start()
    thread.join(60)
    if unsafe is not None:
        os.environ[UNSAFE] = unsafe
    assert not thread.is_alive()
    if errors:
        raise errors[0]
    return answers[0]


@contextlib.contextmanager
def web_process(
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Sequence[Write]], None] = transaction.write_all,
    open_channel: Callable[[], Channel | None] = lambda: None,
) -> Iterator[WriteQueue]:
    """What a web process has of its own, and ends with it."""
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
    """End it and its connection, which would keep the test's database from being dropped."""
    thread.submit(connections.close_all).result(15)
    thread.shutdown()
