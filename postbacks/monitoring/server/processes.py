"""Finds silent and idle processes by their heartbeats (audience/background/heartbeats.py)."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from audience.background import heartbeats
from audience.background.heartbeats import RunningProcesses
from audience.background.queues import DIGEST, QUEUES
from audience.models import ProcessKind
from postbacks.monitoring.server.trouble import Trouble, TroubleKind

WORKER_COMMAND = "celery -A config worker -P threads -c 8"
BEAT_COMMAND = "celery -A config beat"


def find_troubles(now: datetime) -> Iterator[Trouble]:
    running = heartbeats.read_processes(now)
    if _is_silent(running, ProcessKind.BEAT):
        yield Trouble(
            kind=TroubleKind.NO_BEAT,
            sentence="No beat has reported for over a minute. New events are still stored, and most are processed"
            " and sent. Scheduled work (retries, alerts, erasures, deleting old rows) has stopped.",
            next_step=f"Start the beat ({BEAT_COMMAND}), or check its log. Waiting work is then processed immediately.",
            since=running.last_seen(ProcessKind.BEAT),
        )
    if silent := [queue for queue in QUEUES if _is_silent(running, ProcessKind.WORKER, queue)]:
        yield _no_worker(running, silent)
    if idle := [queue for queue in QUEUES if _is_idle(running, queue)]:
        tasks = "a task" if len(idle) == len(QUEUES) else f"a task of the queue {idle[0]}"
        yield Trouble(
            kind=TroubleKind.IDLE_WORKERS,
            sentence=f"Workers and the beat run, but no worker has started {tasks} for over a minute.",
            next_step="Check that all of them have the same REDIS_URL and reach it (/readyz names the broker), then"
            " restart the workers.",
            since=running.last_worked(idle[0]),
        )


def _no_worker(running: RunningProcesses, silent: Sequence[str]) -> Trouble:
    """Return the trouble of the queues in `silent`, which have no worker."""
    worker, command, stopped = "worker", WORKER_COMMAND, "nothing is processed or sent"
    if len(silent) < len(QUEUES):
        worker, command = f"worker of the queue {silent[0]}", f"{WORKER_COMMAND} -Q {silent[0]}"
        stopped = "nothing is processed" if silent[0] == DIGEST else "nothing is sent"
    return Trouble(
        kind=TroubleKind.NO_WORKER,
        sentence=f"No {worker} has reported for over a minute. New events are still stored, but {stopped}.",
        next_step=f"Start a worker ({command}), or check its log. Waiting work is then processed in order.",
        since=running.last_seen(ProcessKind.WORKER, silent[0]),
    )


def _is_silent(running: RunningProcesses, kind: ProcessKind, queue: str = "") -> bool:
    seen_at = running.last_seen(kind, queue)
    is_silent = seen_at is None or running.now - seen_at > heartbeats.SILENT_AFTER
    return is_silent and running.is_any_past_startup()


def _is_idle(running: RunningProcesses, queue: str) -> bool:
    """Whether all threads of the queue's workers are stuck, or the broker loses what the beat sends."""
    worked_at = running.last_worked(queue)
    both_run = running.is_past_startup(ProcessKind.WORKER, queue) and running.is_past_startup(ProcessKind.BEAT)
    return both_run and (worked_at is None or running.now - worked_at > heartbeats.SILENT_AFTER)
