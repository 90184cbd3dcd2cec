"""Django on threads, for everything that does not fit on the event loop.

A thread waits neither for a request's body, which has been read before (audience/intake/asgi.py), nor for whoever
reads the answer: what is not taken at once is held here, up to a number of bytes, and a slow reader is given up.
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

# Threads of a process for pages, exports and whatever else waits for a query; each may hold a database connection.
PAGE_THREADS = 12
# Bytes of an answer that is handed to the server whole; the kernel's buffer for a connection takes about as many.
MAX_BYTES_AT_ONCE = 64 * 1024
# Bytes of one answer that wait for their reader, before the thread that makes it has to; and of all answers.
MAX_HELD_BYTES_EACH = 2 * 1024 * 1024
MAX_HELD_BYTES = 8 * 1024 * 1024
# Threads that may wait for readers. With one more, the reader that has kept its thread longest is given up.
MAX_WAITING_THREADS = 4
# Seconds that a reader may keep an answer waiting in all, and one more for each MIN_BYTES_PER_SECOND that it takes.
READ_SECONDS = 20.0
# Where the thread finds the answer that it makes.
ANSWER = "afterclick.answer"


class Pages:
    """`application` speaks WSGI; this speaks ASGI."""

    def __init__(self, application: WSGI) -> None:
        # Two libraries have two types for each of the two protocols.
        self._threads: Any = WSGIMiddleware(until_given_up(application), workers=PAGE_THREADS)  # type: ignore[arg-type]
        self.outgoing = Outgoing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._threads(scope, receive, send)
            return
        answer = Answer(send, self.outgoing)
        scope[ANSWER] = answer
        try:
            await self._threads(scope, receive, answer.send)
            await answer.taken()
        finally:
            answer.give_up()


def until_given_up(application: WSGI) -> WSGI:
    """The same, but an answer that nobody reads any more is not made to its end."""

    def pieces(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        answer: Answer = environ["asgi.scope"][ANSWER]
        made = application(environ, start_response)
        try:
            for piece in made:
                if answer.is_over:
                    return
                yield piece
        finally:
            getattr(made, "close", lambda: None)()

    return pieces


def ends(message: AsgiMessage) -> bool:
    """Whether it is the last one of an answer."""
    return message["type"] == "http.response.body" and not message.get("more_body", False)


class Outgoing:
    """The answers of one event loop that wait for their readers; `held` is bytes, `waiting` threads."""

    def __init__(self) -> None:
        self.held = 0
        self.waiting = 0
        self._answers: set[Answer] = set()
        self._is_watching = False

    def add(self, answer: "Answer") -> None:
        self._answers.add(answer)
        if not self._is_watching:
            self._is_watching = True
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._watch)

    def discard(self, answer: "Answer") -> None:
        self._answers.discard(answer)

    def make_room(self) -> None:
        """Give up the largest answers until what is held fits."""
        while self.held > MAX_HELD_BYTES and self._answers:
            max(self._answers, key=lambda answer: answer.size).give_up()

    def free_a_thread(self) -> None:
        """Give up the slowest readers until few enough threads wait."""
        while self.waiting > MAX_WAITING_THREADS and (
            kept := [answer for answer in self._answers if answer.keeps_a_thread]
        ):
            max(kept, key=lambda answer: answer.seconds_waited()).give_up()

    def _watch(self) -> None:
        for answer in [each for each in self._answers if each.is_too_slow()]:
            answer.give_up()
        self._is_watching = bool(self._answers)
        if self._is_watching:
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._watch)


class Answer:
    """What a thread has made of one answer and the server has not taken yet. `is_over`: nobody reads it any more."""

    def __init__(self, send: Send, outgoing: Outgoing) -> None:
        self._send, self._outgoing = send, outgoing
        self._messages: deque[AsgiMessage] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._waited, self._since, self._sent = 0.0, 0.0, 0
        self.size = 0
        self.is_over = self.keeps_a_thread = False

    async def send(self, message: AsgiMessage) -> None:
        """Takes the next message; returns once there is room for another."""
        if self.is_over:
            return
        self._messages.append(message)
        added = len(message.get("body", b""))
        self.size += added
        self._outgoing.held += added
        is_last = ends(message)
        if self._sender is None and is_last and self.size <= MAX_BYTES_AT_ONCE:
            await self._send_whole()
            return
        if self._sender is None and (is_last or self.size > MAX_BYTES_AT_ONCE):
            self._sender = asyncio.create_task(self._send_all())
            self._sender.add_done_callback(lambda task: self.give_up())  # whether it came to the end or not
            self._outgoing.add(self)
        self._changed.set()
        self._outgoing.make_room()
        if self.size > MAX_HELD_BYTES_EACH:
            await self._wait_for_room()

    async def taken(self) -> None:
        """Returns once the server has taken everything, or the reader was given up."""
        if self._sender is not None:
            await asyncio.wait([self._sender])
            if not self._sender.cancelled():
                self._sender.result()

    def give_up(self) -> None:
        """Drop what was not taken. Without its end the server closes the connection: nobody takes it for whole."""
        self.is_over = True
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
        self.keeps_a_thread = True
        self._outgoing.waiting += 1
        try:
            self._outgoing.free_a_thread()
            while self.size > MAX_HELD_BYTES_EACH and not self.is_over:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self.keeps_a_thread = False
            self._outgoing.waiting -= 1

    async def _send_whole(self) -> None:
        """A short answer, as one piece."""
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
            is_last = ends(message)
            self._since = asyncio.get_running_loop().time()
            await self._send(message)
            self._waited, self._since = self.seconds_waited(), 0.0
            self._sent += length
            self.size -= length
            self._outgoing.held -= length
            self._changed.set()
