"""Waking workers up, without ever waiting for the broker.

The request path only leaves a word with a background thread; the thread publishes, at most one message per
task and interval. When the broker is away the word is lost, which costs latency and nothing else: the beat
sweeps the rows that a wake-up would have pointed at (config/settings.py, CELERY_BEAT_SCHEDULE).
"""

import threading
import time

import redis
import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

logger = structlog.get_logger(__name__)

# While more messages than this lie unread none is added: absent workers shall meet no pile.
MOST = 200
# A task's name and its arguments: what one message says.
Word = tuple[str, tuple[str, ...]]
# Seconds between two messages: a burst needs one wake-up, since whoever comes goes on until nothing is left.
INTERVAL = 0.05
# Events keep coming, from several processes, and a digest that is at them needs no waking: a message for nothing costs
# a worker some milliseconds. Whatever else the same process wants done waits so long too.
DIGEST_INTERVAL = 0.25
DIGEST = "audience.tasks.digest"
# How long to leave an absent broker alone before the next try, in seconds.
PAUSE = 2.0


class _Publisher(threading.Thread):
    """One per process, started by the first wake-up."""

    def __init__(self) -> None:
        super().__init__(name="wakeup", daemon=True)
        self._words: set[Word] = set()
        self._lock = threading.Lock()
        self._ready = threading.Event()

    def leave(self, word: Word) -> None:
        with self._lock:
            self._words.add(word)
        self._ready.set()

    def run(self) -> None:
        while True:
            self._ready.wait()
            self._ready.clear()
            with self._lock:
                words, self._words = self._words, set()
            time.sleep(_interval(words) if self._publish(words) else PAUSE)

    def _publish(self, words: set[Word]) -> bool:
        try:
            if _waiting() > MOST:
                return True  # nobody has listened for a while; one of those waiting will find this work too
            for task, args in sorted(words):
                current_app.send_task(task, args=args, retry=False, expires=settings.MESSAGES_KEPT.total_seconds())
        except (OperationalError, redis.RedisError, OSError) as error:
            logger.warning("broker_away", tasks=sorted({task for task, _ in words}), error=type(error).__name__)
            return False
        return True


def _interval(words: set[Word]) -> float:
    return DIGEST_INTERVAL if any(task == DIGEST for task, _ in words) else INTERVAL


def _waiting() -> int:
    """Messages that no worker has taken yet."""
    with current_app.connection_or_acquire() as connection:
        return int(connection.default_channel.client.llen(current_app.conf.task_default_queue))


_publisher: _Publisher | None = None
_start = threading.Lock()


def wake(task: str, *args: str) -> None:
    """Ask for `task` to run soon, once the current transaction (if any) has committed. Never blocks, never raises."""
    transaction.on_commit(lambda: wake_now(task, *args))


def wake_now(task: str, *args: str) -> None:
    """The same without a look at any transaction, and so for an event loop, which has none."""
    global _publisher
    with _start:
        if _publisher is None or not _publisher.is_alive():
            _publisher = _Publisher()
            _publisher.start()
    _publisher.leave((task, args))
