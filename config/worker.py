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

_next_note = 0.0  # on the monotonic clock


@worker_ready.connect
def start_pulse(sender: Any, **_: object) -> None:
    Pulse(ProcessKind.WORKER, name=sender.hostname).start()


@task_prerun.connect
def note_work(task: Any, **_: object) -> None:
    """Record, once in an interval, that this worker takes up tasks."""
    global _next_note  # a fact about the process
    if time.monotonic() < _next_note:
        return
    _next_note = time.monotonic() + heartbeats.INTERVAL_SECONDS
    try:
        heartbeats.work(task.request.hostname)
    except DatabaseError as error:
        logger.warning("heartbeat_failed", kind=ProcessKind.WORKER.value, error=str(error).strip())
