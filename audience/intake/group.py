"""Group commit: requests that come together are written together, and each is answered after the commit.

One disk write then acknowledges many requests: while one thread waits for PostgreSQL, what comes meanwhile gathers on
the event loop and is written next. Nothing waits longer than the write that is under way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from audience.intake.store import Write

logger = structlog.get_logger(__name__)

# Events of one transaction: more would make the others wait longer than the shared disk write saves them.
LARGEST = 4_000
# Events that may wait in one process. Past that its memory would grow and its senders would give up before their turn.
MOST_WAITING = 20_000
# Seconds between two looks whether the connection still stands; a lost one costs its group a 503 and a retry.
LOOK_EVERY = 1.0


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
    """The requests of one process: gathered on its event loop, written by `write` on a thread of their own."""

    def __init__(self, write: Callable[[Sequence[Write]], None]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="intake-write")
        self._waiting: deque[_Waiting] = deque()
        self._waiting_events = 0
        self._is_writing = False
        self._looked_at = 0.0

    @property
    def is_full(self) -> bool:
        return self._waiting_events >= MOST_WAITING

    async def commit(self, writes: Sequence[Write]) -> None:
        """Return when all of `writes` are committed, in one transaction; raise what the database said of them, or
        `Overloaded` when too much waits already."""
        mine = _Waiting(writes, asyncio.get_running_loop().create_future())
        if self._waiting and self._waiting_events + mine.size > MOST_WAITING:
            raise Overloaded
        self._waiting.append(mine)
        self._waiting_events += mine.size
        if not self._is_writing:
            self._write_next()
        await mine.stored

    def _write_next(self) -> None:
        group = self._taken()
        self._is_writing = True
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._store, group)
        done.add_done_callback(lambda _: self._written(group))

    def _taken(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        size = group[0].size
        while self._waiting and size + self._waiting[0].size <= LARGEST:
            group.append(self._waiting.popleft())
            size += group[-1].size
        self._waiting_events -= size
        return group

    def _written(self, group: Sequence[_Waiting]) -> None:
        self._is_writing = False
        if self._waiting:
            self._write_next()
        for one in group:
            one.tell()

    def _store(self, group: Sequence[_Waiting]) -> None:
        """Write the group, or each alone when that fails: a row that PostgreSQL refuses fails no neighbour."""
        self._look_at_connection()
        error = self._error(list(chain.from_iterable(one.writes for one in group)))
        refused = isinstance(error, DatabaseError | InterfaceError)
        alone = refused and len(group) > 1 and connection.is_usable()
        if alone:
            logger.warning("group_written_singly", requests=len(group), error=type(error).__name__)
        for one in group:
            one.error = self._error(one.writes) if alone else error

    def _error(self, writes: Sequence[Write]) -> BaseException | None:
        try:
            self._write(writes)
        except BaseException as error:
            self._looked_at = 0.0
            return error
        return None

    def _look_at_connection(self) -> None:
        if time.monotonic() - self._looked_at > LOOK_EVERY:
            close_old_connections()
            self._looked_at = time.monotonic()
