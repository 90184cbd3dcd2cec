"""Answers written down beside the desk: while the rows of one bunch are closed the next ones are claimed.

Both mostly wait, for the database and for the interpreter, which a hundred lanes want too.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connections

from postbacks.delivery.attempts import Answer

# Records the answers; the pixels that rest from now on.
Close = Callable[[Sequence[Answer]], set[str]]


class Closing:
    """One bunch at a time, on a thread with a connection of its own; only one thread may call.

    Used as a context: on the way out the last bunch is waited for. What `close` raises comes out of the next call.
    """

    def __init__(self, close: Close) -> None:
        self._close = close
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[set[str]] | None = None

    def __enter__(self) -> "Closing":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            if self._thread:
                self._thread.submit(connections.close_all)
                self._thread.shutdown()
                self._thread = None

    def start(self, answers: Sequence[Answer]) -> set[str]:
        """Close these next; what `wait` says of those before."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="close")
        before, self._under_way = self._under_way, self._thread.submit(self._close, answers)
        return before.result() if before else set()

    def wait(self) -> set[str]:
        """The pixels that rest since the bunch under way, if there is one."""
        under_way, self._under_way = self._under_way, None
        return under_way.result() if under_way else set()

    def finish(self, answers: Sequence[Answer]) -> set[str]:
        """Close these in place after those under way, also when those failed; the pixels that rest since either."""
        try:
            resting = self.wait()
        finally:
            own = self._close(answers) if answers else set()
        return resting | own
