"""Request bodies, read on the event loop: each within its time, all of them within one number of bytes.

A sender decides how fast its body comes and, whatever it says of the size, how much of it. Neither may cost anybody
else an answer: no thread waits for a body, a slow one is given up, and when the process holds as much as it may, the
largest of those still coming is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

# The words of ASGI (asgi.readthedocs.io): what comes in.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

# Seconds for a whole body, and bytes each of which buys its sender more time: a phone on a bad line sends some 20 kB/s.
BODY_SECONDS = 20.0
SLOWEST = 8 * 1024
# Seconds between two looks for bodies whose time is up.
EVERY = 1.0
# Bytes of all bodies that a process holds outside of the event loop's own short work (front.MOST_IN_HAND).
MOST_HELD = 16 * 1024 * 1024


class Dropped(Exception):
    """A body was given up before it was complete."""


class TooSlow(Dropped):
    """Its time was up."""

    def __str__(self) -> str:
        return "the body took too long to arrive"


class Crowded(Dropped):
    """The process holds as many bytes as it may."""

    def __str__(self) -> str:
        return "too many requests in hand"


class Gone(Dropped):
    """Its sender went away."""


class _Coming:
    """A body on its way, and the task that waits for it."""

    __slots__ = ("dropped", "parts", "since", "size", "task")

    def __init__(self, task: "asyncio.Task[Any]", since: float) -> None:
        self.task, self.since = task, since
        self.size = 0
        self.parts: list[bytes] = []
        self.dropped: type[Dropped] | None = None

    def drop(self, why: type[Dropped]) -> None:
        self.dropped = why
        self.parts.clear()
        self.task.cancel()


class Bodies:
    """The bodies of one event loop. `held` is bytes: of those coming, and of those that `holding` says are in use."""

    def __init__(self) -> None:
        self.held = 0
        self._coming: set[_Coming] = set()
        self._is_watching = False

    async def read(self, receive: Receive, *, limit: int) -> bytes:
        """The body, or as much of it as shows that it is longer than `limit` bytes. Raises a kind of `Dropped`."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        coming = _Coming(task, loop.time())
        self._coming.add(coming)
        if not self._is_watching:
            self._is_watching = True
            loop.call_later(EVERY, self._watch, loop)
        try:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                return bytes(message.get("body", b""))
            return await self._rest(coming, message, receive, limit)
        except asyncio.CancelledError:
            if coming.dropped is None:
                raise
            task.uncancel()
            raise coming.dropped from None
        finally:
            self._coming.discard(coming)
            self.held -= coming.size

    async def _rest(self, coming: _Coming, message: Message, receive: Receive, limit: int) -> bytes:
        while True:
            if message["type"] != "http.request":
                raise Gone
            part = bytes(message.get("body", b""))
            coming.parts.append(part)
            coming.size += len(part)
            self.held += len(part)
            self._make_room(coming)
            if coming.size > limit or not message.get("more_body", False):
                return b"".join(coming.parts)
            message = await receive()

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """While a body of `size` bytes that has been read is in use. Raises `Crowded` when there is no room for it."""
        self.held += size
        try:
            self._make_room(None)
            yield
        finally:
            self.held -= size

    def _make_room(self, mine: _Coming | None) -> None:
        """Drop the largest of those coming until what is held fits. Raises `Crowded` when that is `mine`, or none."""
        while self.held > MOST_HELD:
            largest = max(self._coming, key=lambda coming: coming.size, default=None)
            if largest is None or largest is mine or not largest.size:
                raise Crowded
            self._coming.discard(largest)
            self.held -= largest.size
            largest.size = 0
            largest.drop(Crowded)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for coming in [each for each in self._coming if now - each.since > BODY_SECONDS + each.size / SLOWEST]:
            self._coming.discard(coming)
            coming.drop(TooSlow)
        self._is_watching = bool(self._coming)
        if self._is_watching:
            loop.call_later(EVERY, self._watch, loop)
