"""Group commit: requests that come together are written together, and each is answered after the commit.

One disk write then acknowledges many requests. The first request that finds nobody writing writes what waits, its own
rows among them, while those that come meanwhile gather; then one of these takes its turn. No thread of its own, and
nothing waits longer than the write that is under way.
"""

import threading
from collections import deque
from collections.abc import Sequence
from itertools import chain

import structlog
from django.db import DatabaseError, InterfaceError, connection

from audience.intake import store
from audience.intake.store import Write

logger = structlog.get_logger(__name__)

# Events of one transaction: more would make the others wait longer than the shared disk write saves them.
LARGEST = 4_000
# Events that may wait in one process. Past that its memory would grow and its senders would give up before their turn.
MOST_WAITING = 20_000


class Overloaded(Exception):
    """More waits to be written than this process takes on; nothing of the request is stored."""


class _Waiting:
    """One request's rows until they are stored or refused."""

    __slots__ = ("error", "is_next", "size", "turn", "writes")

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.size = sum(len(one.events) + len(one.rejections) for one in writes)
        self.error: BaseException | None = None
        self.is_next = False
        # Free when there is something to do: to go home, or to write.
        self.turn = threading.Lock()
        self.turn.acquire()


class Group:
    """The requests of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._waiting_events = 0
        self._is_writing = False

    def write(self, writes: Sequence[Write]) -> None:
        """Return when all of `writes` are committed, in one transaction; raise what the database said of them, or
        `Overloaded` when too much waits already."""
        mine = _Waiting(writes)
        with self._lock:
            if self._waiting and self._waiting_events + mine.size > MOST_WAITING:
                raise Overloaded
            self._waiting.append(mine)
            self._waiting_events += mine.size
            mine.is_next, self._is_writing = not self._is_writing, True
        if not mine.is_next:
            mine.turn.acquire()
        if mine.is_next:
            self._lead()
        if mine.error:
            raise mine.error

    def _lead(self) -> None:
        group = self._taken()
        try:
            _stored(group)
        except BaseException as error:
            for one in group:
                one.error = error
            raise
        finally:
            self._hand_over(group)

    def _taken(self) -> list[_Waiting]:
        with self._lock:
            group = [self._waiting.popleft()]
            size = group[0].size
            while self._waiting and size + self._waiting[0].size <= LARGEST:
                group.append(self._waiting.popleft())
                size += group[-1].size
            self._waiting_events -= size
            return group

    def _hand_over(self, done: Sequence[_Waiting]) -> None:
        with self._lock:
            self._is_writing = bool(self._waiting)
            if self._waiting:
                self._waiting[0].is_next = True
                self._waiting[0].turn.release()
        for one in done[1:]:
            one.turn.release()


def _stored(group: Sequence[_Waiting]) -> None:
    """Write the group, or each alone when that fails: a row that PostgreSQL refuses fails no neighbour."""
    try:
        store.write(list(chain.from_iterable(one.writes for one in group)))
    except (DatabaseError, InterfaceError) as error:
        if len(group) == 1 or not connection.is_usable():
            for one in group:
                one.error = error
            return
        logger.warning("group_written_singly", requests=len(group), error=type(error).__name__)
        for one in group:
            _stored_alone(one)


def _stored_alone(one: _Waiting) -> None:
    try:
        store.write(one.writes)
    except (DatabaseError, InterfaceError) as error:
        one.error = error


_group = Group()


def commit(writes: Sequence[Write]) -> None:
    """Store what one request brought; when this returns it is on disk.

    Inside a transaction of the caller's the rows are part of that, and shared with nobody.
    """
    if connection.in_atomic_block:
        store.write(writes)
    else:
        _group.write(writes)
