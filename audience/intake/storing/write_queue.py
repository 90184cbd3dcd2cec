"""Group commit: requests that arrive together are stored together, and each is answered after the commit.

One disk write then acknowledges many requests: while PostgreSQL writes a group, further requests are queued on the
event loop and written next. A request waits only for the current write and for requests that have arrived before it.

There are two ways to write a group, chosen in `_write_next`. The event loop sends the statement of a small group itself
(channel.py). A thread writes a large group in a transaction (transaction.py), and every group that the channel could
not store: a thread may wait, retry, and find the request that caused an error.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import structlog

from audience.intake.storing import statement, transaction
from audience.intake.storing.channel import Channel, ResultRow
from audience.intake.storing.statement import Write

logger = structlog.get_logger(__name__)

# Events of one transaction. In a larger one, requests wait longer than the shared disk write saves.
MAX_GROUP_EVENTS = 4_000
# Events that wait in one process. With more, its memory would grow, and clients would time out before the answer.
MAX_WAITING_EVENTS = 20_000
# A group with this many events is written without waiting for further requests that have arrived.
MIN_GROUP_EVENTS = 64
# Between two attempts to open a channel: each is a log-in.
REOPEN_SECONDS = 1.0

# Returns the error of each request, None if there was none.
WriteRequests = Callable[[Sequence[Sequence[Write]]], list[BaseException | None]]


class Overloaded(Exception):
    """MAX_WAITING_EVENTS is reached; nothing of the request is stored."""


@dataclass(eq=False, slots=True)
class _Request:
    """`stored` is resolved when the rows are committed, or with the error."""

    writes: Sequence[Write]
    stored: asyncio.Future[None]

    @property
    def size(self) -> int:
        return sum(write.size for write in self.writes)

    def resolve(self, error: BaseException | None) -> None:
        if self.stored.cancelled():
            return
        if error:
            self.stored.set_exception(error)
        else:
            self.stored.set_result(None)


class WriteQueue:
    """The requests of one process.

    `write_requests` and `write_reused` (see transaction.py) and `open_channel` are called on a thread. `on_commit` is
    called on the event loop with the committed writes; it must neither block nor raise.
    """

    def __init__(
        self,
        write_requests: WriteRequests,
        on_commit: Callable[[Sequence[Write]], None],
        open_channel: Callable[[], Channel | None],
        write_reused: WriteRequests = transaction.write_reused,
    ) -> None:
        self._write_requests = write_requests
        self._on_commit = on_commit
        self._open_channel = open_channel
        self._write_reused = write_reused
        self._channel: Channel | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake-write")
        self._waiting: deque[_Request] = deque()
        self._waiting_events = 0
        self._is_writing = False  # also while a group is being gathered
        self._opened_at = -REOPEN_SECONDS

    @property
    def is_full(self) -> bool:
        return self._waiting_events >= MAX_WAITING_EVENTS

    async def commit(self, writes: Sequence[Write]) -> None:
        """Return when all of `writes` are committed, in one transaction. Raises the errors of the database, and
        `Overloaded`."""
        request = _Request(writes, asyncio.get_running_loop().create_future())
        # The largest batch has MAX_WAITING_EVENTS: it is accepted besides a small group that is being gathered.
        if self._waiting_events >= MIN_GROUP_EVENTS and self._waiting_events + request.size > MAX_WAITING_EVENTS:
            raise Overloaded
        self._waiting.append(request)
        self._waiting_events += request.size
        if not self._is_writing:
            self._is_writing = True
            self._gather()
        await request.stored

    def _gather(self, previous: int = 0) -> None:
        """Write once an iteration of the event loop has added no request; `previous` is their number before it."""
        if previous < len(self._waiting) and self._waiting_events < MIN_GROUP_EVENTS:
            asyncio.get_running_loop().call_soon(self._gather, len(self._waiting))
        else:
            self._write_next()

    def _write_next(self) -> None:
        requests = self._next_group()
        writes = list(chain.from_iterable(request.writes for request in requests))
        if self._channel and self._channel.is_open and statement.can_build_on_loop(writes):
            self._write_by_channel(self._channel, requests, writes)
        else:
            self._write_in_transaction(requests)

    def _next_group(self) -> list[_Request]:
        requests = [self._waiting.popleft()]
        size = requests[0].size
        while self._waiting and size + self._waiting[0].size <= MAX_GROUP_EVENTS:
            requests.append(self._waiting.popleft())
            size += requests[-1].size
        self._waiting_events -= size
        return requests

    def _write_by_channel(self, channel: Channel, requests: Sequence[_Request], writes: Sequence[Write]) -> None:
        try:
            channel.send(*statement.build(writes), partial(self._channel_done, requests, writes))
        except Exception as error:
            self._channel_done(requests, writes, error)

    def _channel_done(
        self, requests: Sequence[_Request], writes: Sequence[Write], result: list[ResultRow] | Exception
    ) -> None:
        if isinstance(result, Exception):
            # If the group was committed anyway, the second write detects its messages as duplicates.
            logger.warning("intake_channel_failed", requests=len(requests), error=type(result).__name__)
            self._write_in_transaction(requests)
            return
        statement.apply_result(writes, result)
        incomplete = [request for request in requests if any(write.has_skipped_events for write in request.writes)]
        stored = [request for request in requests if request not in incomplete] if incomplete else requests
        if incomplete:
            self._resolve(stored, [None] * len(stored))
            self._run(self._write_reused, incomplete, self._finish)
        else:
            self._finish(stored, [None] * len(stored))

    def _write_in_transaction(self, requests: Sequence[_Request]) -> None:
        self._run(self._write_requests, requests, self._finish)

    def _run(self, write: WriteRequests, requests: Sequence[_Request], callback: Callable[[Any, Any], None]) -> None:
        """Run `write` on the thread, and then `callback` with the requests and their errors."""
        writes = [request.writes for request in requests]
        future = asyncio.get_running_loop().run_in_executor(self._thread, write, writes)
        future.add_done_callback(lambda future: callback(requests, _errors(future, len(requests))))

    def _finish(self, requests: Sequence[_Request], errors: Sequence[BaseException | None]) -> None:
        self._is_writing = bool(self._waiting)
        if self._waiting:
            self._gather()
        self._resolve(requests, errors)

    def _resolve(self, requests: Sequence[_Request], errors: Sequence[BaseException | None]) -> None:
        for request, error in zip(requests, errors, strict=True):
            request.resolve(error)
        stored = [request.writes for request, error in zip(requests, errors, strict=True) if not error]
        if stored:
            self._on_commit(list(chain.from_iterable(stored)))
            self._reopen_channel()

    def _reopen_channel(self) -> None:
        is_open = self._channel and self._channel.is_open
        if not is_open and time.monotonic() - self._opened_at > REOPEN_SECONDS:
            self._opened_at = time.monotonic()
            self._thread.submit(self._open)

    def _open(self) -> None:
        try:
            self._channel = self._open_channel()
        except Exception as error:
            logger.warning("intake_channel_not_opened", error=type(error).__name__)


def _errors(future: "asyncio.Future[list[BaseException | None]]", number: int) -> list[BaseException | None]:
    """The error of each of `number` requests."""
    try:
        return future.result()
    except BaseException as error:
        return [error] * number
