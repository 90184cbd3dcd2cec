"""The beat's scheduler: without a file, and with a heartbeat.

Celery's scheduler stores in a file when each task was last sent, and exits when the disk is full. Here a start sends
every task, which is harmless because tasks find their work in the database.
"""

import time
from datetime import timedelta
from typing import Any

from celery import beat
from celery.signals import beat_init

from audience.models import ProcessKind
from config.pulse import Pulse

# Longer than any iteration takes while the broker answers.
STUCK_AFTER_SECONDS = 60.0
LONG_AGO = timedelta(days=1)


class Scheduler(beat.Scheduler):
    """Ignores `-s`, the file of Celery's scheduler."""

    _went_round = 0.0

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now() - LONG_AGO

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send one task if one is due; return the seconds until the next call."""
        self._went_round = time.monotonic()
        return super().tick(*args, **kwargs)

    def goes_round(self) -> bool:
        """Whether the loop has run recently."""
        return time.monotonic() - self._went_round < STUCK_AFTER_SECONDS


@beat_init.connect
def start_pulse(sender: beat.Service, **_: object) -> None:
    scheduler = sender.scheduler
    assert isinstance(scheduler, Scheduler)
    Pulse(ProcessKind.BEAT, is_well=scheduler.goes_round).start()
