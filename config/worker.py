"""A worker's heartbeat: that the process runs, and that it takes up tasks (celery imports this, CELERY_IMPORTS)."""

import time
from typing import Any

import structlog
from celery.signals import task_prerun, worker_ready
from django.db import DatabaseError

from audience.background import heartbeats
from audience.models import ProcessKind
from config.pulse import Pulse

logger = structlog.get_logger(__name__)

# Worker's name -> when it is noted again that it works, on the monotonic clock.
_next_note: dict[str, float] = {}


@worker_ready.connect
def start_pulse(sender: Any, **_: object) -> None:
    Pulse(ProcessKind.WORKER, name=sender.hostname).start()


@task_prerun.connect
def note_work(task: Any, **_: object) -> None:
    """Record, once in an interval, that this worker takes up tasks."""
    name = task.request.hostname
    if time.monotonic() < _next_note.get(name, 0.0):
        return
    _next_note[name] = time.monotonic() + heartbeats.INTERVAL_SECONDS
    try:
        heartbeats.work(name)
    except DatabaseError as error:
        logger.warning("heartbeat_failed", kind=ProcessKind.WORKER.value, error=str(error).strip())
