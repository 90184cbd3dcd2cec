"""The beat's scheduler: without a file, and with a heartbeat.

Celery's scheduler stores in a file when each task was last sent, and exits when the disk is full. This one sends every
task when it starts, which is harmless because tasks find their work in the database.
"""

import time
from datetime import timedelta
from typing import Any

from celery import beat
from celery.signals import beat_init

from audience.models import ProcessKind
from config.heartbeat import HeartbeatThread

# Longer than any iteration takes while the broker answers.
MAX_TICK_SECONDS = 60.0
# Longer than the period of any task.
OVERDUE_BY = timedelta(days=1)


class Scheduler(beat.Scheduler):
    """Ignores `-s`, the file of Celery's scheduler."""

    _ticked_at = 0.0

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now() - OVERDUE_BY

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send one task if one is due; return the seconds until the next call."""
        self._ticked_at = time.monotonic()
        return super().tick(*args, **kwargs)

    def is_ticking(self) -> bool:
        """Whether the loop has run recently."""
        return time.monotonic() - self._ticked_at < MAX_TICK_SECONDS


@beat_init.connect
def start_heartbeat(sender: beat.Service, **_: object) -> None:
    scheduler = sender.scheduler
    assert isinstance(scheduler, Scheduler)
    HeartbeatThread(ProcessKind.BEAT, is_working=scheduler.is_ticking).start()
