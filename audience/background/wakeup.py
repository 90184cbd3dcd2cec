"""Enqueues tasks without waiting for the broker.

A background thread publishes at most one message per task and interval. A message is lost if the broker is unavailable,
which only delays the work: the tasks of the beat find all of it in the database (config/task_settings.py).
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

# No message is added to a queue with more unread ones than this, so that it does not grow while no worker runs.
MAX_UNREAD = 200
# The name of a task and its arguments.
Message = tuple[str, tuple[str, ...]]
# Seconds between two messages: a task processes all due work, so that one is enough for a burst.
INTERVAL_SECONDS = 0.05
# Seconds after a message for the digest. Most further ones would only find that a digest is running, which takes
# milliseconds each. Messages of the same process for other tasks wait as long.
DIGEST_INTERVAL_SECONDS = 0.25
DIGEST = "audience.tasks.digest"
# Seconds before the next attempt while the broker is unavailable.
RETRY_SECONDS = 2.0


class _Publisher(threading.Thread):
    """The publishing thread of a process, started by the first message."""

    def __init__(self) -> None:
        super().__init__(name="wakeup", daemon=True)
        self._messages: set[Message] = set()
        self._lock = threading.Lock()
        self._ready = threading.Event()

    def add(self, message: Message) -> None:
        with self._lock:
            self._messages.add(message)
        self._ready.set()

    def run(self) -> None:
        while True:
            self._ready.wait()
            self._ready.clear()
            with self._lock:
                messages, self._messages = self._messages, set()
            time.sleep(_interval(messages) if self._publish(messages) else RETRY_SECONDS)

    def _publish(self, messages: set[Message]) -> bool:
        try:
            unread = {queue: _unread(queue) for queue in {_queue_of(task) for task, _ in messages}}
            for task, args in sorted(messages):
                if unread[_queue_of(task)] <= MAX_UNREAD:
                    current_app.send_task(task, args=args, retry=False, expires=settings.MESSAGE_EXPIRY.total_seconds())
        except (OperationalError, redis.RedisError, OSError) as error:
            logger.warning(
                "broker_unavailable", tasks=sorted({task for task, _ in messages}), error=type(error).__name__
            )
            return False
        return True


def _interval(messages: set[Message]) -> float:
    return DIGEST_INTERVAL_SECONDS if any(task == DIGEST for task, _ in messages) else INTERVAL_SECONDS


def _queue_of(task: str) -> str:
    """Return the name of the queue to which a task is routed."""
    return str(current_app.amqp.router.route({}, task)["queue"].name)


def _unread(queue: str) -> int:
    """Return the number of unread messages of a queue."""
    with current_app.connection_or_acquire() as connection:
        return int(connection.default_channel.client.llen(queue))


_publisher: _Publisher | None = None
_start_lock = threading.Lock()


def wake(task: str, *args: str) -> None:
    """Enqueue `task` once the current transaction, if any, has committed. Never blocks, never raises."""
    transaction.on_commit(lambda: wake_now(task, *args))


def wake_now(task: str, *args: str) -> None:
    """Enqueue `task` now, even in a transaction; also for the event loop, which has none."""
    global _publisher
    with _start_lock:
        if _publisher is None or not _publisher.is_alive():
            _publisher = _Publisher()
            _publisher.start()
    _publisher.add((task, args))
