"""Group commit: requests that come together are written together, and each is answered after the commit.

One disk write then acknowledges many requests: while PostgreSQL writes, what comes meanwhile gathers on the event loop
and is written next, together with what is just being read. Nothing waits longer than for the write that is under way
and for requests that are here already.

A small group goes through a channel, which the event loop serves itself. A thread writes large ones, and any when there
is no channel or it failed: it may wait, try again and find out whose fault it was.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from audience.intake.storing import store
from audience.intake.storing.channel import Channel, ResultRow
from audience.intake.storing.store import Write

logger = structlog.get_logger(__name__)

# Events of one transaction: more would make the others wait longer than the shared disk write saves them.
MAX_GROUP_EVENTS = 4_000
# Events that may wait in one process. Past that its memory would grow and its senders would give up before their turn.
MAX_WAITING_EVENTS = 20_000
# Seconds between two looks whether the thread's connection still stands, where a lost one costs its group a 503 and a
# retry; and between two tries to open a channel.
CHECK_SECONDS = 1.0
# Events that are enough to be written: no more of the requests that are here are read first.
ENOUGH = 64
# Characters of rows that the event loop makes a statement of; with more it would keep others waiting.
LIGHT = 512 * 1024


class Overloaded(Exception):
    """More waits to be written than this process takes on; nothing of the request is stored."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """One request's rows until they are stored or refused. Until `_store` says otherwise they are not stored."""

    writes: Sequence[Write]
    stored: asyncio.Future[None]
    error: BaseException | None = field(default_factory=lambda: InterfaceError("the write was not carried out"))

    @property
    def size(self) -> int:
        return sum(one.size for one in self.writes)

    def tell(self) -> None:
        if self.stored.cancelled():
            return
        if self.error:
            self.stored.set_exception(self.error)
        else:
            self.stored.set_result(None)


class Group:
    """The requests of one process: gathered on its event loop, written there or by `write` on a thread of their own.

    `open_channel`, which is called on that thread, may take its time and fail. `noted` is told on the event loop what
    is committed now, and may do neither.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Write]], None],
        noted: Callable[[Sequence[Write]], None],
        open_channel: Callable[[], Channel | None],
    ) -> None:
        self._write = write
        self._noted = noted
        self._open_channel = open_channel
        self._channel: Channel | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake-write")
        self._waiting: deque[_Waiting] = deque()
        self._waiting_events = 0
        self._is_writing = False  # or about to
        self._looked_at = self._opened_at = -CHECK_SECONDS

    @property
    def is_full(self) -> bool:
        return self._waiting_events >= MAX_WAITING_EVENTS

    async def commit(self, writes: Sequence[Write]) -> None:
        """Return when all of `writes` are committed, in one transaction; raise what the database said of them, or
        `Overloaded` when too much waits already."""
        mine = _Waiting(writes, asyncio.get_running_loop().create_future())
        # The largest batch is as large as that: it may join the few that are about to be written.
        if self._waiting_events >= ENOUGH and self._waiting_events + mine.size > MAX_WAITING_EVENTS:
            raise Overloaded
        self._waiting.append(mine)
        self._waiting_events += mine.size
        if not self._is_writing:
            self._is_writing = True
            self._gather()
        await mine.stored

    def _gather(self, found: int = 0) -> None:
        """Write when a turn of the event loop has brought no other request than the `found` ones."""
        if found < len(self._waiting) and self._waiting_events < ENOUGH:
            asyncio.get_running_loop().call_soon(self._gather, len(self._waiting))
        else:
            self._write_next()

    def _write_next(self) -> None:
        group = self._taken()
        writes = _writes(group)
        if self._channel and self._channel.is_open and _is_light(writes):
            self._send(self._channel, group, writes)
        else:
            self._write_on_thread(group)

    def _send(self, channel: Channel, group: Sequence[_Waiting], writes: Sequence[Write]) -> None:
        try:
            channel.send(*store.statement(writes), partial(self._answered, group, writes))
        except Exception as error:
            self._answered(group, writes, error)

    def _answered(
        self, group: Sequence[_Waiting], writes: Sequence[Write], outcome: list[ResultRow] | Exception
    ) -> None:
        if isinstance(outcome, Exception):
            # If it is stored all the same, its message ids say so when it is written again.
            logger.warning("intake_channel_failed", requests=len(group), error=type(outcome).__name__)
            self._looked_at = -CHECK_SECONDS  # the thread's connection may be lost as well
            self._write_on_thread(group)
            return
        store.apply_result(writes, outcome)
        for one in group:
            one.error = None
        self._written(group)

    def _write_on_thread(self, group: Sequence[_Waiting]) -> None:
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._store, group)
        done.add_done_callback(lambda _: self._written(group))

    def _taken(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        size = group[0].size
        while self._waiting and size + self._waiting[0].size <= MAX_GROUP_EVENTS:
            group.append(self._waiting.popleft())
            size += group[-1].size
        self._waiting_events -= size
        return group

    def _written(self, group: Sequence[_Waiting]) -> None:
        self._is_writing = bool(self._waiting)
        if self._waiting:
            self._gather()
        for one in group:
            one.tell()
        stored = [one for one in group if not one.error]
        if stored:
            self._noted(_writes(stored))
            self._reopen_soon()

    def _store(self, group: Sequence[_Waiting]) -> None:
        """Write the group, or each alone when that fails: a row that PostgreSQL refuses fails no neighbour."""
        self._look_at_connection()
        error = self._error(_writes(group))
        refused = isinstance(error, DatabaseError | InterfaceError)
        alone = refused and len(group) > 1 and connection.is_usable()
        if alone:
            logger.warning("group_written_singly", requests=len(group), error=type(error).__name__)
        for one in group:
            one.error = self._error(one.writes) if alone else error

    def _reopen_soon(self) -> None:
        """A channel that was lost, or not to be had, at most once in CHECK_SECONDS: each try is a log-in."""
        is_open = self._channel and self._channel.is_open
        if not is_open and time.monotonic() - self._opened_at > CHECK_SECONDS:
            self._opened_at = time.monotonic()
            self._thread.submit(self._reopen)

    def _reopen(self) -> None:
        try:
            self._channel = self._open_channel()
        except Exception as failure:
            logger.warning("intake_channel_not_opened", error=type(failure).__name__)

    def _error(self, writes: Sequence[Write]) -> BaseException | None:
        try:
            self._write(writes)
        except BaseException as error:
            self._looked_at = -CHECK_SECONDS
            return error
        return None

    def _look_at_connection(self) -> None:
        if time.monotonic() - self._looked_at > CHECK_SECONDS:
            close_old_connections()
            self._looked_at = time.monotonic()


def _writes(group: Sequence[_Waiting]) -> list[Write]:
    return list(chain.from_iterable(one.writes for one in group))


def _is_light(writes: Sequence[Write]) -> bool:
    if not store.is_small(writes):
        return False
    events = (row.values for one in writes for row in one.events)
    rejections = (values for one in writes for values in one.rejections)
    return sum(sum(map(len, values)) for values in chain(events, rejections)) < LIGHT
