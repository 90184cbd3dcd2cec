"""Writing and reading the heartbeats of processes. Times are the database's."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now

from audience.models import Heartbeat, ProcessKind

# Seconds between two heartbeats of a process.
INTERVAL_SECONDS = 15
# A process is silent after four missing heartbeats.
SILENT_AFTER = timedelta(minutes=1)
# The row of a process without a heartbeat for this long is deleted: it was stopped, or replaced under another name.
MAX_AGE = timedelta(days=1)


def process_name() -> str:
    """Return `host:pid`, the name of this process in its row."""
    return f"{platform.node()}:{os.getpid()}"


def record_start(kind: ProcessKind, name: str) -> None:
    """Record that the process has started, and delete silent processes of its kind on this machine.

    Otherwise a process that crashes repeatedly would leave thousands of rows a day.
    """
    silent = Heartbeat.objects.filter(kind=kind, seen_at__lt=Now() - SILENT_AFTER)
    silent.filter(name__startswith=f"{platform.node()}:").delete()
    defaults = {"started_at": Now(), "seen_at": Now(), "worked_at": None}
    Heartbeat.objects.update_or_create(kind=kind, name=name, defaults=defaults)


def record_heartbeat(kind: ProcessKind, name: str) -> None:
    """Record that the process runs. The row is created again if it was deleted, as after a day of suspension."""
    defaults = {"seen_at": Now()}
    Heartbeat.objects.update_or_create(
        kind=kind, name=name, defaults=defaults, create_defaults={**defaults, "started_at": Now()}
    )


def worker_name(node: str, queue: str) -> str:
    """Return `node/queue`, the name of a worker's row for one of its queues; `node` is its Celery name."""
    return f"{node}/{queue}"


def record_work(name: str) -> None:
    """Record that the worker has started a task of a queue."""
    Heartbeat.objects.filter(kind=ProcessKind.WORKER, name=name).update(worked_at=Now())


def delete_old() -> None:
    """Delete the rows of processes without a heartbeat for a day."""
    Heartbeat.objects.filter(seen_at__lt=Now() - MAX_AGE).delete()


@dataclass(frozen=True, slots=True)
class RunningProcesses:
    """All heartbeats as of `now`."""

    rows: Sequence[Heartbeat]
    now: datetime

    def is_any_past_startup(self) -> bool:
        """Whether a process of any kind has run for SILENT_AFTER, so that a missing one is not just starting."""
        return any(self.is_past_startup(kind) for kind in ProcessKind)

    def is_past_startup(self, kind: ProcessKind, queue: str = "") -> bool:
        """Whether a process of this kind (a worker of this queue) runs, and started at least SILENT_AFTER ago."""
        since = self.now - SILENT_AFTER
        return any(row.seen_at > since >= row.started_at for row in self._of(kind, queue))

    def last_seen(self, kind: ProcessKind, queue: str = "") -> datetime | None:
        """Return the time of the latest heartbeat of this kind, or of a worker of this queue."""
        return max((row.seen_at for row in self._of(kind, queue)), default=None)

    def last_worked(self, queue: str) -> datetime | None:
        """Return when a worker last started a task of this queue."""
        return max((row.worked_at for row in self._of(ProcessKind.WORKER, queue) if row.worked_at), default=None)

    def _of(self, kind: ProcessKind, queue: str) -> list[Heartbeat]:
        return [row for row in self.rows if row.kind == kind and (not queue or row.name.endswith(f"/{queue}"))]


def read_processes(now: datetime) -> RunningProcesses:
    """Return all processes of the last day, in one query."""
    return RunningProcesses(list(Heartbeat.objects.all()), now)
