"""The troubles of processes: which of them are silent, as their heartbeats say (audience/background/heartbeats.py)."""

from collections.abc import Iterator
from datetime import datetime

from audience.background import heartbeats
from audience.background.heartbeats import Running
from audience.models import ProcessKind
from postbacks.monitoring.server.trouble import Kind, Trouble

WORKER_COMMAND = "celery -A config worker -P threads -c 8"
BEAT_COMMAND = "celery -A config beat"


def troubles(now: datetime) -> Iterator[Trouble]:
    running = heartbeats.read(now)
    if _is_silent(running, ProcessKind.BEAT):
        yield Trouble(
            kind=Kind.NO_BEAT,
            sentence="No beat has reported for over a minute. What comes in is still stored, and most of it digested"
            " and sent, but whatever waits for its time (retries, alerts, erasures, deleting old rows) stands still.",
            next_step=f"Start the beat ({BEAT_COMMAND}), or look at its log; what waits is taken up at once.",
            since=running.last_seen(ProcessKind.BEAT),
        )
    if _is_silent(running, ProcessKind.WORKER):
        yield Trouble(
            kind=Kind.NO_WORKER,
            sentence="No worker has reported for over a minute. What comes in is still stored, but nothing is digested"
            " or sent.",
            next_step=f"Start a worker ({WORKER_COMMAND}), or look at its log; what waits is taken up in its order.",
            since=running.last_seen(ProcessKind.WORKER),
        )
    if _are_idle(running):
        yield Trouble(
            kind=Kind.IDLE_WORKERS,
            sentence="Workers and the beat run, but no worker has taken up a task for over a minute.",
            next_step="Check that all of them have the same REDIS_URL and reach it (/readyz names the broker), then"
            " restart the workers.",
            since=running.last_worked(),
        )


def _is_silent(running: Running, kind: ProcessKind) -> bool:
    seen = running.last_seen(kind)
    silent = seen is None or running.now - seen > heartbeats.SILENT_AFTER
    return silent and running.are_watched()


def _are_idle(running: Running) -> bool:
    """All threads are stuck, or the broker loses what the beat sends."""
    worked = running.last_worked()
    run = running.has_run_a_while(ProcessKind.WORKER) and running.has_run_a_while(ProcessKind.BEAT)
    return run and (worked is None or running.now - worked > heartbeats.SILENT_AFTER)
