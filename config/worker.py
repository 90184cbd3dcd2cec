"""Writes a worker's heartbeats: that it runs, and that it starts tasks, for each of its queues (CELERY_IMPORTS)."""

import time
from typing import Any

import structlog
from celery.signals import task_prerun, worker_ready
from django.db import DatabaseError

from audience.background import heartbeats
from audience.models import ProcessKind
from config.pulse import Pulse

logger = structlog.get_logger(__name__)

_next_notes: dict[str, float] = {}  # by heartbeat, on the monotonic clock


@worker_ready.connect
def start_pulse(sender: Any, **_: object) -> None:
    names = [heartbeats.name_of_worker(sender.hostname, queue) for queue in sorted(sender.app.amqp.queues.consume_from)]
    Pulse(ProcessKind.WORKER, names=names).start()


@task_prerun.connect
def note_work(task: Any, **_: object) -> None:
    """Record, once in an interval, that this worker takes up tasks of the task's queue."""
    name = heartbeats.name_of_worker(task.request.hostname, task.request.delivery_info["routing_key"])
    if time.monotonic() < _next_notes.get(name, 0.0):
        return
    _next_notes[name] = time.monotonic() + heartbeats.INTERVAL_SECONDS
    try:
        heartbeats.record_work(name)
    except DatabaseError as error:
        logger.warning("heartbeat_failed", kind=ProcessKind.WORKER.value, error=str(error).strip())
