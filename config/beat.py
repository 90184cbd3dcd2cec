"""The beat's scheduler: nothing on the disk, everything due when it starts, and a heartbeat while it goes round.

Celery's own keeps in a file when each task was last sent, and ends when the disk is full. Here every task may be sent
once too often (it finds its work in the database), so that a start simply sends them all.
"""

import time
from datetime import timedelta
from typing import Any

from celery import beat
from celery.signals import beat_init

from audience.models import ProcessKind
from config.pulse import Pulse

# Longer than any round takes while the broker answers.
STUCK_AFTER_SECONDS = 60.0
LONG_AGO = timedelta(days=1)


class Scheduler(beat.Scheduler):
    """Takes and ignores `-s`, the file of Celery's own."""

    _went_round = 0.0

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now() - LONG_AGO

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send one task if one is due; the seconds until the next call."""
        self._went_round = time.monotonic()
        return super().tick(*args, **kwargs)

    def goes_round(self) -> bool:
        """Whether the loop has come by lately."""
        return time.monotonic() - self._went_round < STUCK_AFTER_SECONDS


@beat_init.connect
def start_pulse(sender: beat.Service, **_: object) -> None:
    scheduler = sender.scheduler
    assert isinstance(scheduler, Scheduler)
    Pulse(ProcessKind.BEAT, is_well=scheduler.goes_round).start()
