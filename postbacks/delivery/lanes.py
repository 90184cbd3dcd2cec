"""Lanes: the threads that make the calls, and the one place where the desk gathers what they bring.

A ThreadPoolExecutor would do, at a price: a Future with its own lock for each call, and a look at all of them to learn
which are done. Here an answer costs two appends, however many calls are in flight.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

C = TypeVar("C")
R = TypeVar("R")


class Lanes(Generic[C, R]):
    """Up to `most` threads that turn claims into results with `call`, which must not raise; 0 runs it in the caller.

    Only one thread may start and gather. Used as a context: on the way out what was not begun is forgotten, and what
    was is waited for.
    """

    def __init__(self, call: Callable[[C], R], most: int, name: str = "lane") -> None:
        self.most, self.flying = most, 0
        self._call, self._name = call, name
        self._todo: queue.SimpleQueue[C | None] = queue.SimpleQueue()
        self._done: deque[R] = deque()
        self._bell, self._enough = threading.Event(), 1
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Lanes[C, R]":
        return self

    def __exit__(self, *_: object) -> None:
        while not self._todo.empty():
            self._todo.get()
        for _thread in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def start(self, claims: Iterable[C]) -> None:
        """Have these called, each as soon as a lane is free."""
        for claim in claims:
            self.flying += 1
            if not self.most:
                self._done.append(self._call(claim))
                continue
            self._todo.put(claim)
            if len(self._threads) < min(self.most, self.flying):
                self._open()

    def gather(self, *, enough: int, seconds: float) -> list[R]:
        """What has come back: as soon as `enough` have, or all that are out; at the latest after `seconds`."""
        self._enough = min(enough, self.flying)
        if len(self._done) < self._enough:
            self._bell.wait(seconds)
        self._bell.clear()
        results = [self._done.popleft() for _ in range(len(self._done))]
        self.flying -= len(results)
        return results

    def _open(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}")
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (claim := self._todo.get()) is not None:
            self._done.append(self._call(claim))
            if len(self._done) >= self._enough:
                self._bell.set()
