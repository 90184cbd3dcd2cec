"""Request bodies, read on the event loop: each within its time, all of them within one number of bytes.

A sender decides how fast its body comes and, whatever it says of the size, how much of it. Neither may cost anybody
else an answer: no thread waits for a body, a slow one is given up, and when the process holds as much as it may, the
largest of those still coming is.
"""

import asyncio
from asyncio import current_task
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

# The words of ASGI (asgi.readthedocs.io): what comes in.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

# Seconds for a whole body, and one more for each MIN_BYTES_PER_SECOND that came: a phone on a bad line sends 20 kB/s.
BODY_SECONDS = 20.0
MIN_BYTES_PER_SECOND = 8 * 1024
# Seconds between two checks for bodies, and for readers of answers (config/pages.py), whose time is up.
CHECK_SECONDS = 1.0
# Bytes of all bodies that a process holds outside of the event loop's own short work (front.MOST_IN_HAND).
MAX_HELD_BYTES = 8 * 1024 * 1024


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
    """A body of which some has come and more is to come, and the task that waits for it."""

    __slots__ = ("parts", "size", "task")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self.task, self.size, self.parts = task, 0, list[bytes]()


class Bodies:
    """The bodies of one event loop. `held` is bytes: of those coming, and of those that `holding` says are in use."""

    def __init__(self) -> None:
        self.held = 0
        # Most bodies are there at once and whole: of them no more is kept than since when they are waited for.
        self._since: dict[asyncio.Task[Any], float] = {}
        self._coming: dict[asyncio.Task[Any], _Coming] = {}
        self._dropped: dict[asyncio.Task[Any], type[Dropped]] = {}
        self._is_watching = False

    async def read(self, receive: Receive, *, limit: int) -> bytes:
        """The body, or as much of it as shows that it is longer than `limit` bytes. Raises a kind of `Dropped`."""
        task = current_task()
        assert task is not None
        self._since[task] = monotonic()
        if not self._is_watching:
            self._is_watching = True
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._watch)
        try:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                return bytes(message.get("body", b""))
            return await self._rest(task, message, receive, limit)
        except asyncio.CancelledError:
            why = self._dropped.pop(task, None)
            if why is None:
                raise
            task.uncancel()
            raise why from None
        finally:
            self._since.pop(task, None)

    async def _rest(self, task: "asyncio.Task[Any]", message: Message, receive: Receive, limit: int) -> bytes:
        coming = self._coming[task] = _Coming(task)
        try:
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
        finally:
            self.held -= coming.size
            self._coming.pop(task, None)

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
        while self.held > MAX_HELD_BYTES:
            largest = max(self._coming.values(), key=lambda coming: coming.size, default=None)
            if largest is None or largest is mine or not largest.size:
                raise Crowded
            self.held -= largest.size
            largest.size = 0
            largest.parts.clear()
            self._drop(largest.task, Crowded)

    def _drop(self, task: "asyncio.Task[Any]", why: type[Dropped]) -> None:
        self._since.pop(task, None)
        self._coming.pop(task, None)
        self._dropped[task] = why
        task.cancel()

    def _watch(self) -> None:
        now = monotonic()
        for task, since in list(self._since.items()):
            size = self._coming[task].size if task in self._coming else 0
            if now - since > BODY_SECONDS + size / MIN_BYTES_PER_SECOND:
                self._drop(task, TooSlow)
        self._is_watching = bool(self._since)
        if self._is_watching:
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._watch)
