"""Runs Django on threads, for requests that are not answered on the event loop.

Threads do not wait for clients: request bodies are read before (audience/intake/bodies.py), and what a client has not
read of an answer is buffered here, up to a number of bytes. Slow readers are disconnected.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware

from audience.intake.bodies import CHECK_SECONDS, MIN_BYTES_PER_SECOND

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Threads of a process for pages and exports; each may hold a database connection.
PAGE_THREADS = 12
# Bytes of an answer that is sent in one piece, about the size of the kernel's buffer for a connection.
MAX_BYTES_AT_ONCE = 64 * 1024
# Buffered bytes of one answer before its thread waits, and of all answers.
MAX_HELD_BYTES_EACH = 2 * 1024 * 1024
MAX_HELD_BYTES = 8 * 1024 * 1024
# Threads that may wait for readers; beyond this the slowest reader is disconnected.
MAX_WAITING_THREADS = 4
# Seconds that a reader may delay an answer in total, plus one for each MIN_BYTES_PER_SECOND that it reads.
READ_SECONDS = 20.0
# The key of the ASGI scope with the BufferedResponse.
ANSWER = "afterclick.answer"


class Pages:
    """An ASGI application around the WSGI application `application`."""

    def __init__(self, application: WSGI) -> None:
        # a2wsgi declares its own types for WSGI and ASGI.
        self._threads: Any = WSGIMiddleware(iterate_until_closed(application), workers=PAGE_THREADS)  # type: ignore[arg-type]
        self.outgoing = OutgoingResponses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._threads(scope, receive, send)
            return
        answer = BufferedResponse(send, self.outgoing)
        scope[ANSWER] = answer
        try:
            await self._threads(scope, receive, answer.send)
            await answer.wait_until_sent()
        finally:
            answer.close()


def iterate_until_closed(application: WSGI) -> WSGI:
    """Return `application` with a response that ends early if its reader was disconnected."""

    def chunks(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        answer: BufferedResponse = environ["asgi.scope"][ANSWER]
        response = application(environ, start_response)
        try:
            for chunk in response:
                if answer.is_closed:
                    return
                yield chunk
        finally:
            getattr(response, "close", lambda: None)()

    return chunks


def is_last_message(message: AsgiMessage) -> bool:
    """Whether the message is the last one of an answer."""
    return message["type"] == "http.response.body" and not message.get("more_body", False)


class OutgoingResponses:
    """The answers of one event loop that wait for their readers; `held` counts bytes, `waiting` threads."""

    def __init__(self) -> None:
        self.held = 0
        self.waiting = 0
        self._answers: set[BufferedResponse] = set()
        self._is_watching = False

    def add(self, answer: "BufferedResponse") -> None:
        self._answers.add(answer)
        if not self._is_watching:
            self._is_watching = True
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._watch)

    def discard(self, answer: "BufferedResponse") -> None:
        self._answers.discard(answer)

    def limit_held_bytes(self) -> None:
        """Disconnect the readers of the largest answers until the rest fits."""
        while self.held > MAX_HELD_BYTES and self._answers:
            max(self._answers, key=lambda answer: answer.size).close()

    def limit_waiting_threads(self) -> None:
        """Disconnect the slowest readers until few enough threads wait."""
        while self.waiting > MAX_WAITING_THREADS and (
            blocking := [answer for answer in self._answers if answer.blocks_thread]
        ):
            max(blocking, key=lambda answer: answer.seconds_waited()).close()

    def _watch(self) -> None:
        for answer in [answer for answer in self._answers if answer.is_too_slow()]:
            answer.close()
        self._is_watching = bool(self._answers)
        if self._is_watching:
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._watch)


class BufferedResponse:
    """The part of an answer that the server has not sent yet. `is_closed`: sent, or its reader was disconnected."""

    def __init__(self, send: Send, outgoing: OutgoingResponses) -> None:
        self._send, self._outgoing = send, outgoing
        self._messages: deque[AsgiMessage] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._waited, self._since, self._sent = 0.0, 0.0, 0
        self.size = 0
        self.is_closed = self.blocks_thread = False

    async def send(self, message: AsgiMessage) -> None:
        """Add a message; return once there is room for another."""
        if self.is_closed:
            return
        self._messages.append(message)
        added = len(message.get("body", b""))
        self.size += added
        self._outgoing.held += added
        is_last = is_last_message(message)
        if self._sender is None and is_last and self.size <= MAX_BYTES_AT_ONCE:
            await self._send_whole()
            return
        if self._sender is None and (is_last or self.size > MAX_BYTES_AT_ONCE):
            self._sender = asyncio.create_task(self._send_all())
            self._sender.add_done_callback(lambda task: self.close())  # after an error too
            self._outgoing.add(self)
        self._changed.set()
        self._outgoing.limit_held_bytes()
        if self.size > MAX_HELD_BYTES_EACH:
            await self._wait_for_room()

    async def wait_until_sent(self) -> None:
        """Return once the server has taken everything or the reader was disconnected."""
        if self._sender is not None:
            await asyncio.wait([self._sender])
            if not self._sender.cancelled():
                self._sender.result()

    def close(self) -> None:
        """Drop the rest. The server then closes the connection, so that the client sees an incomplete answer."""
        self.is_closed = True
        self._outgoing.discard(self)
        self._outgoing.held -= self.size
        self.size = 0
        self._messages.clear()
        if self._sender is not None:
            self._sender.cancel()
        self._changed.set()

    def seconds_waited(self) -> float:
        return self._waited + (asyncio.get_running_loop().time() - self._since if self._since else 0.0)

    def is_too_slow(self) -> bool:
        return self.seconds_waited() > READ_SECONDS + self._sent / MIN_BYTES_PER_SECOND

    async def _wait_for_room(self) -> None:
        self.blocks_thread = True
        self._outgoing.waiting += 1
        try:
            self._outgoing.limit_waiting_threads()
            while self.size > MAX_HELD_BYTES_EACH and not self.is_closed:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self.blocks_thread = False
            self._outgoing.waiting -= 1

    async def _send_whole(self) -> None:
        """Send a short answer in one piece."""
        body = b"".join(message.get("body", b"") for message in self._messages)
        head, last = self._messages[0], self._messages[-1]
        await self._send(head)
        await self._send({**last, "body": body})

    async def _send_all(self) -> None:
        is_last = False
        while not is_last:
            while not self._messages:
                self._changed.clear()
                await self._changed.wait()
            message = self._messages.popleft()
            length = len(message.get("body", b""))
            is_last = is_last_message(message)
            self._since = asyncio.get_running_loop().time()
            await self._send(message)
            self._waited, self._since = self.seconds_waited(), 0.0
            self._sent += length
            self.size -= length
            self._outgoing.held -= length
            self._changed.set()
