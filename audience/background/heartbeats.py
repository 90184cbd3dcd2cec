"""Saying that a process runs, and reading which do. Times are the database's."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now

from audience.models import Heartbeat, ProcessKind

# Seconds between two heartbeats of a process.
INTERVAL_SECONDS = 15
# A process is silent after four that did not come.
SILENT_AFTER = timedelta(minutes=1)
# A process that has not been heard of for this long was stopped on purpose, or replaced under another name.
KEPT = timedelta(days=1)


def own_name() -> str:
    """`host:pid`, as this process is named in its row."""
    return f"{platform.node()}:{os.getpid()}"


def start(kind: ProcessKind, name: str) -> None:
    """Record that the process has just started, whatever an earlier one of its name said.

    It takes the place of those of its kind on this machine that are silent: one that ends again and again would leave
    thousands of rows a day.
    """
    before = Heartbeat.objects.filter(kind=kind, seen_at__lt=Now() - SILENT_AFTER)
    before.filter(name__startswith=f"{platform.node()}:").delete()
    fresh = {"started_at": Now(), "seen_at": Now(), "worked_at": None}
    Heartbeat.objects.update_or_create(kind=kind, name=name, defaults=fresh)


def beat(kind: ProcessKind, name: str) -> None:
    """Record that the process runs. Its row may be gone: the process had stood still for a day."""
    defaults = {"seen_at": Now()}
    Heartbeat.objects.update_or_create(
        kind=kind, name=name, defaults=defaults, create_defaults={**defaults, "started_at": Now()}
    )


def work(name: str) -> None:
    """Record that the worker takes up tasks."""
    Heartbeat.objects.filter(kind=ProcessKind.WORKER, name=name).update(worked_at=Now())


def forget_old() -> None:
    """Delete the rows of processes that were not heard of for a day."""
    Heartbeat.objects.filter(seen_at__lt=Now() - KEPT).delete()


@dataclass(frozen=True, slots=True)
class Running:
    """What the heartbeats said at `now`."""

    rows: Sequence[Heartbeat]
    now: datetime

    def are_watched(self) -> bool:
        """Whether some process has run for long enough to have seen all others report.

        False while everything is being started: a worker that starts a moment after the web process is not silent.
        """
        return any(self.has_run_a_while(kind) for kind in ProcessKind)

    def has_run_a_while(self, kind: ProcessKind) -> bool:
        """Whether a process of this kind runs and has done so for SILENT_AFTER."""
        since = self.now - SILENT_AFTER
        return any(row.seen_at > since >= row.started_at for row in self.rows if row.kind == kind)

    def last_seen(self, kind: ProcessKind) -> datetime | None:
        """When a process of this kind last said that it runs."""
        return max((row.seen_at for row in self.rows if row.kind == kind), default=None)

    def last_worked(self) -> datetime | None:
        """When a worker last took up a task."""
        return max((row.worked_at for row in self.rows if row.worked_at), default=None)


def read(now: datetime) -> Running:
    """All processes of the last day, in one query."""
    return Running(list(Heartbeat.objects.all()), now)
