"""A thread of every process: four times a minute it measures the clock, writes a heartbeat and looks for troubles.

Every kind of process looks for troubles of the server (postbacks/monitoring/server/watch.py), since a dead process
cannot report itself.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence

import structlog
from django.db import DatabaseError, connection

from audience.background import heartbeats
from audience.database import clock
from audience.models import ProcessKind
from postbacks.monitoring.server import watch

logger = structlog.get_logger(__name__)

# Until the first round succeeds: the database may start a moment later.
RETRY_SECONDS = 1.0


class Pulse(threading.Thread):
    """Start it once in each process. `names` are those of its heartbeats, its host and process id by default.

    `is_well` returns whether the process works; if not, no heartbeat is written.
    """

    def __init__(
        self, kind: ProcessKind, *, names: Sequence[str] = (), is_well: Callable[[], bool] = lambda: True
    ) -> None:
        super().__init__(name="pulse", daemon=True)
        self._kind, self._names, self._is_well = kind, names or [heartbeats.own_name()], is_well
        self._has_started = False
        self._ending = threading.Event()

    def begin(self) -> None:
        """Measure the clock, so that nothing is received with a wrong one, then start the thread.

        Without the database this takes three seconds at most, and the thread measures later.
        """
        with contextlib.suppress(DatabaseError):
            clock.synchronise()
        connection.close()
        self.start()

    def run(self) -> None:
        while not self._ending.is_set():
            self.once()
            self._ending.wait(heartbeats.INTERVAL_SECONDS if self._has_started else RETRY_SECONDS)

    def stop(self) -> None:
        self._ending.set()

    def once(self) -> None:
        """Run one round. An error is logged; the next round tries again."""
        try:
            self._round()
        except DatabaseError as error:
            logger.warning("heartbeat_failed", kind=self._kind.value, error=str(error).strip())
        except Exception:
            # A defect must not end the thread: without heartbeats the process would count as dead.
            logger.exception("heartbeat_failed", kind=self._kind.value)
        finally:
            # It is not needed for the next fourteen seconds.
            connection.close()

    def _round(self) -> None:
        clock.synchronise()
        if not self._has_started:
            for name in self._names:
                heartbeats.record_start(self._kind, name)
            self._has_started = True
        elif self._is_well():
            for name in self._names:
                heartbeats.record_heartbeat(self._kind, name)
        heartbeats.delete_old()
        watch.record_and_mail()
