"""A thread of every process: four times a minute it measures the clock, writes a heartbeat and checks for troubles.

Every kind of process checks for server troubles (postbacks/monitoring/server/watch.py), since a dead process cannot
report itself. A worker has a heartbeat for each of its queues, which also records when it last started a task.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from celery.signals import task_prerun, worker_ready
from django.db import DatabaseError, connection

from audience.background import heartbeats
from audience.database import clock
from audience.models import ProcessKind
from postbacks.monitoring.server import watch

logger = structlog.get_logger(__name__)

# Until the first round succeeds: the database may start a moment later.
RETRY_SECONDS = 1.0


class HeartbeatThread(threading.Thread):
    """Start it once in each process. `names` are those of its heartbeats, its host and process id by default.

    `is_working` returns whether the process works; if not, no heartbeat is written.
    """

    def __init__(
        self, kind: ProcessKind, *, names: Sequence[str] = (), is_working: Callable[[], bool] = lambda: True
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._kind, self._names, self._is_working = kind, names or [heartbeats.process_name()], is_working
        self._has_started = False
        self._stopped = threading.Event()

    def measure_clock_and_start(self) -> None:
        """Start with the clock measured, so that nothing is received with a wrong one.

        Without the database this takes three seconds at most, and the thread measures later.
        """
        with contextlib.suppress(DatabaseError):
            clock.synchronise()
        connection.close()
        self.start()

    def run(self) -> None:
        while not self._stopped.is_set():
            self.run_once()
            self._stopped.wait(heartbeats.INTERVAL_SECONDS if self._has_started else RETRY_SECONDS)

    def stop(self) -> None:
        self._stopped.set()

    def run_once(self) -> None:
        """Run one round. An error is logged; the next round tries again."""
        try:
            clock.synchronise()
            if not self._has_started or self._is_working():
                record = heartbeats.record_heartbeat if self._has_started else heartbeats.record_start
                for name in self._names:
                    record(self._kind, name)
                self._has_started = True
            heartbeats.delete_old()
            watch.record_and_mail()
        except DatabaseError as error:
            logger.warning("heartbeat_failed", kind=self._kind.value, error=str(error).strip())
        except Exception:
            # A defect must not end the thread: without heartbeats the process would count as dead.
            logger.exception("heartbeat_failed", kind=self._kind.value)
        finally:
            # The connection is not used again before the next heartbeat.
            connection.close()


_next_record_at: dict[str, float] = {}  # by heartbeat, on the monotonic clock


@worker_ready.connect
def start_for_worker(sender: Any, **_: object) -> None:
    names = [heartbeats.worker_name(sender.hostname, queue) for queue in sorted(sender.app.amqp.queues.consume_from)]
    HeartbeatThread(ProcessKind.WORKER, names=names).start()


@task_prerun.connect
def record_work(task: Any, **_: object) -> None:
    """Record, once in an interval, that this worker starts tasks of the task's queue."""
    name = heartbeats.worker_name(task.request.hostname, task.request.delivery_info["routing_key"])
    if time.monotonic() < _next_record_at.get(name, 0.0):
        return
    _next_record_at[name] = time.monotonic() + heartbeats.INTERVAL_SECONDS
    try:
        heartbeats.record_work(name)
    except DatabaseError as error:
        logger.warning("heartbeat_failed", kind=ProcessKind.WORKER.value, error=str(error).strip())
