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
# After four missing heartbeats.
SILENT_AFTER = timedelta(minutes=1)
# After this time without a heartbeat a process was stopped on purpose or replaced under another name.
MAX_AGE = timedelta(days=1)


def own_name() -> str:
    """Return `host:pid`, the name of this process in its row."""
    return f"{platform.node()}:{os.getpid()}"


def record_start(kind: ProcessKind, name: str) -> None:
    """Record that the process has started, and delete silent processes of its kind on this machine.

    Otherwise a process that crashes again and again would leave thousands of rows a day.
    """
    before = Heartbeat.objects.filter(kind=kind, seen_at__lt=Now() - SILENT_AFTER)
    before.filter(name__startswith=f"{platform.node()}:").delete()
    fresh = {"started_at": Now(), "seen_at": Now(), "worked_at": None}
    Heartbeat.objects.update_or_create(kind=kind, name=name, defaults=fresh)


def record_heartbeat(kind: ProcessKind, name: str) -> None:
    """Record that the process runs. The row is created again if it was deleted, as after a day of suspension."""
    defaults = {"seen_at": Now()}
    Heartbeat.objects.update_or_create(
        kind=kind, name=name, defaults=defaults, create_defaults={**defaults, "started_at": Now()}
    )


def name_of_worker(node: str, queue: str) -> str:
    """How a worker is named in the row of one of its queues; `node` is its Celery name. It has a row for each queue."""
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

    def are_watched(self) -> bool:
        """Whether some process has run for SILENT_AFTER, so that a missing process cannot just be starting."""
        return any(self.has_run_a_while(kind) for kind in ProcessKind)

    def has_run_a_while(self, kind: ProcessKind, queue: str = "") -> bool:
        """Whether a process of this kind (a worker of this queue) runs and has done so for SILENT_AFTER."""
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
