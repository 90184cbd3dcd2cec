"""Reads request bodies on the event loop: each within a time limit, all of them within one memory limit.

The client controls the speed and the length of its body, whatever length it states. Neither may delay other requests:
no thread waits for a body, a slow one is aborted, and at the memory limit the largest incomplete one is aborted.
"""

import asyncio
from asyncio import current_task
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

# The types of ASGI (asgi.readthedocs.io).
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]

# The time limit of a body: this, and one second for each MIN_BYTES_PER_SECOND received. A phone with a bad connection
# sends 20 kB/s.
BODY_SECONDS = 20.0
MIN_BYTES_PER_SECOND = 8 * 1024
# Seconds between two checks for expired time limits, here and in config/pages.py.
CHECK_SECONDS = 1.0
# Bytes of all bodies of a process, without those that the event loop answers itself (asgi.MAX_IN_FLIGHT_BYTES).
MAX_HELD_BYTES = 8 * 1024 * 1024


class BodyAborted(Exception):
    """Reading a body was stopped before its end."""


class BodyTimeout(BodyAborted):
    def __str__(self) -> str:
        return "the body took too long to arrive"


class ServerBusy(BodyAborted):
    """The memory limit is reached."""

    def __str__(self) -> str:
        return "too many requests in progress"


class ClientDisconnected(BodyAborted):
    pass


class _IncomingBody:
    """The parts received so far of a body that arrives in several parts, and the task that reads it."""

    __slots__ = ("parts", "size", "task")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self.task, self.size, self.parts = task, 0, list[bytes]()


class Bodies:
    """The bodies of one event loop. `held_bytes` is the size of incoming bodies and of those within `reserve`."""

    def __init__(self) -> None:
        self.held_bytes = 0
        # By the task that reads. Most bodies arrive in one part: only their start is recorded.
        self._started: dict[asyncio.Task[Any], float] = {}
        self._incoming: dict[asyncio.Task[Any], _IncomingBody] = {}
        self._aborted: dict[asyncio.Task[Any], type[BodyAborted]] = {}
        self._is_checking = False

    async def read(self, receive: Receive, *, limit: int) -> bytes:
        """The body, or the beginning of it if it is longer than `limit` bytes. Raises a subclass of `BodyAborted`."""
        task = current_task()
        assert task is not None
        self._started[task] = monotonic()
        if not self._is_checking:
            self._is_checking = True
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)
        try:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                return bytes(message.get("body", b""))
            return await self._read_parts(task, message, receive, limit)
        except asyncio.CancelledError:
            error = self._aborted.pop(task, None)
            if error is None:
                raise
            task.uncancel()
            raise error from None
        finally:
            self._started.pop(task, None)

    async def _read_parts(self, task: "asyncio.Task[Any]", message: AsgiMessage, receive: Receive, limit: int) -> bytes:
        incoming = self._incoming[task] = _IncomingBody(task)
        try:
            while True:
                if message["type"] != "http.request":
                    raise ClientDisconnected
                part = bytes(message.get("body", b""))
                incoming.parts.append(part)
                incoming.size += len(part)
                self.held_bytes += len(part)
                self._free_memory(incoming)
                if incoming.size > limit or not message.get("more_body", False):
                    return b"".join(incoming.parts)
                message = await receive()
        finally:
            self.held_bytes -= incoming.size
            self._incoming.pop(task, None)

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Count a complete body of `size` bytes while it is in use. Raises `ServerBusy` at the memory limit."""
        self.held_bytes += size
        try:
            self._free_memory(None)
            yield
        finally:
            self.held_bytes -= size

    def _free_memory(self, current: _IncomingBody | None) -> None:
        """Abort the largest incoming bodies until all are within the limit. Raises `ServerBusy` when the largest is
        `current`, or there is none."""
        while self.held_bytes > MAX_HELD_BYTES:
            largest = max(self._incoming.values(), key=lambda incoming: incoming.size, default=None)
            if largest is None or largest is current or not largest.size:
                raise ServerBusy
            self.held_bytes -= largest.size
            largest.size = 0
            largest.parts.clear()
            self._abort(largest.task, ServerBusy)

    def _abort(self, task: "asyncio.Task[Any]", error: type[BodyAborted]) -> None:
        self._started.pop(task, None)
        self._incoming.pop(task, None)
        self._aborted[task] = error
        task.cancel()

    def _check(self) -> None:
        now = monotonic()
        for task, started in list(self._started.items()):
            size = self._incoming[task].size if task in self._incoming else 0
            if now - started > BODY_SECONDS + size / MIN_BYTES_PER_SECOND:
                self._abort(task, BodyTimeout)
        self._is_checking = bool(self._started)
        if self._is_checking:
            asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)
