"""Responses of threads to slow readers: buffered within limits, or closed."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from config import pages
from config.pages import Pages
from tests.audience.event_loop import on_loop

Message = dict[str, Any]
PIECE = b"x" * 65536


class Application:
    """A WSGI application whose answer is `pieces`; `made` counts those that were asked for, `closed` its ends."""

    def __init__(self, *pieces: bytes, endless: bool = False) -> None:
        self._pieces, self._endless = pieces, endless
        self.made, self.closed = 0, 0
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                for piece in self._pieces:
                    with self.lock:
                        self.made += 1
                    yield piece
                if not self._endless:
                    return
        finally:
            with self.lock:
                self.closed += 1


class Reader:
    """Takes `most` messages, each after `seconds`, and then nothing more."""

    def __init__(self, *, most: int = 10**9, seconds: float = 0.0) -> None:
        self._most, self._seconds = most, seconds
        self.taken: list[Message] = []

    async def send(self, message: Message) -> None:
        if len(self.taken) >= self._most:
            await asyncio.Event().wait()
        if self._seconds:
            await asyncio.sleep(self._seconds)
        self.taken.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.taken)

    @property
    def has_its_end(self) -> bool:
        last = self.taken[-1]
        return last["type"] == "http.response.body" and not last.get("more_body", False)


async def ask(served: Pages, reader: Reader) -> None:
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": [], "query_string": b""}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await asyncio.wait_for(served({**scope, "scheme": "http"}, receive, reader.send), 20)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "READ_SECONDS", 0.3)
    monkeypatch.setattr(pages, "MIN_BYTES_PER_SECOND", 10**9)
    monkeypatch.setattr(pages, "CHECK_SECONDS", 0.05)


def asked(application: Application, reader: Reader) -> Pages:
    async def once() -> Pages:
        served = Pages(application)
        await ask(served, reader)
        return served

    served = on_loop(once)
    assert (served.outgoing.held, served.outgoing.waiting) == (0, 0)
    return served


def test_a_short_answer_is_sent_in_one_message() -> None:
    reader = Reader()
    asked(Application(b"one", b"two"), reader)
    head, body = reader.taken
    assert (head["status"], head["headers"]) == (200, [(b"content-type", b"text/plain")])
    assert body == {"type": "http.response.body", "body": b"onetwo"}


def test_an_empty_answer_is_completed() -> None:
    reader = Reader()
    asked(Application(), reader)
    assert (reader.body, reader.has_its_end, len(reader.taken)) == (b"", True, 2)


def test_a_long_answer_arrives_complete_and_in_order() -> None:
    reader, parts = Reader(seconds=0.001), [bytes([number]) * 30_000 for number in range(200)]
    asked(Application(*parts), reader)
    assert (reader.body, reader.has_its_end) == (b"".join(parts), True)


def test_a_reader_that_stops_is_disconnected_and_its_answer_is_not_completed(hurry: None) -> None:
    application, reader = Application(PIECE, endless=True), Reader(most=5)
    asked(application, reader)
    assert not reader.has_its_end, "cut off, so that nobody takes it for whole"
    # What is held, what lies between the thread and the loop, and what was taken.
    assert application.made <= pages.MAX_HELD_BYTES_EACH // len(PIECE) + 20
    assert application.closed == 1


def test_the_time_to_produce_an_answer_does_not_count_against_its_reader(hurry: None) -> None:
    class Slow(Application):
        def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
            for piece in super().__call__(environ, start_response):
                threading.Event().wait(0.25)
                yield piece

    reader = Reader()
    asked(Slow(PIECE + b"x", PIECE, PIECE, PIECE), reader)
    assert (len(reader.body), reader.has_its_end) == (4 * len(PIECE) + 1, True)


def test_readers_that_stop_do_not_block_the_threads() -> None:
    """Three times as many as there are threads, none of whom takes anything; the next page is there at once."""
    endless, page = Application(PIECE, endless=True), Application(b"a page")

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return (page if environ["PATH_INFO"] == "/" and environ["QUERY_STRING"] == "" else endless)(
            environ, start_response
        )

    async def crowd() -> tuple[bytes, int]:
        served = Pages(application)
        stopped = [asyncio.create_task(_endless(served, Reader(most=1))) for _ in range(3 * pages.PAGE_THREADS)]
        await asyncio.sleep(1)
        reader, waiting = Reader(), served.outgoing.waiting
        await ask(served, reader)
        for task in stopped:
            task.cancel()
        await asyncio.gather(*stopped, return_exceptions=True)
        return reader.body, waiting

    body, waiting = on_loop(crowd)
    assert body == b"a page"
    assert waiting <= pages.MAX_WAITING_THREADS


async def _endless(served: Pages, reader: Reader) -> None:
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/", "headers": []}

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await served({**scope, "query_string": b"endless", "scheme": "http"}, receive, reader.send)


def test_buffered_bytes_are_bounded_and_the_largest_answer_is_closed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_HELD_BYTES", 4 * len(PIECE))
    large, small = Application(PIECE, PIECE, PIECE, PIECE), Application(PIECE + b"x", b"small")
    first, second = Reader(most=1), Reader(most=1)

    async def both() -> tuple[int, bool]:
        served = Pages(large)
        greedy = asyncio.create_task(ask(served, first))
        await asyncio.sleep(0.3)
        other = Pages(small)
        other.outgoing = served.outgoing
        modest = asyncio.create_task(ask(other, second))
        await asyncio.sleep(0.3)
        held, is_given_up = served.outgoing.held, greedy.done()
        modest.cancel()
        await asyncio.gather(modest, return_exceptions=True)
        return held, is_given_up

    held, is_given_up = on_loop(both)
    assert is_given_up
    assert held <= 4 * len(PIECE)


def test_an_answer_that_the_server_fails_to_send_is_closed() -> None:
    class Broken(Reader):
        async def send(self, message: Message) -> None:
            raise ConnectionError("gone")

    application = Application(PIECE, endless=True)
    with pytest.raises(ConnectionError):
        asked(application, Broken())
    assert application.closed == 1
