"""Restarts processes of `make run` that die, unless one dies too often.

Servers restart at their previous addresses, so that clients reconnect.
"""

import time
from collections import defaultdict, deque
from dataclasses import dataclass, field

from config.quickstart.children import TICK, Child, Children
from config.quickstart.processes import RunningServer
from config.quickstart.state import ServicesError
from config.quickstart.terminal import print_line

# Restarts of one process within so many seconds; after one more death everything is stopped.
MAX_DEATHS = 5
WITHIN_SECONDS = 60.0
# Seconds to the next start, doubled with each death that is counted.
PAUSE_SECONDS = 0.5


class DiesTooOften(ServicesError):
    """One sentence: what died, and that everything else was stopped."""


@dataclass(slots=True)
class Watch:
    """`step()` shows what the children write and restarts dead ones."""

    children: Children
    servers: tuple[RunningServer, ...] = ()
    _deaths: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _due: list[tuple[float, Child]] = field(default_factory=list)

    def step(self) -> None:
        """Raises DiesTooOften, or ServicesError if a server does not restart."""
        self.children.show_output(TICK)
        for server in self.servers:
            if (code := server.exit_code) is not None:
                time.sleep(self._died(server.name, code))
                server.restart()
                print_line(f"{server.name} is back.")
        while dead := self.children.dead():
            self.children.kill_session(dead)
            pause = self._died(dead.name, dead.exit_code or 0)
            self._due.append((time.monotonic() + pause, dead))
        for due in [each for each in self._due if each[0] <= time.monotonic()]:
            self._due.remove(due)
            self.children.start_again(due[1])

    def _died(self, name: str, code: int) -> float:
        """Return the seconds to wait before the next start."""
        now, deaths = time.monotonic(), self._deaths[name]
        deaths.append(now)
        while deaths[0] < now - WITHIN_SECONDS:
            deaths.popleft()
        if len(deaths) > MAX_DEATHS:
            raise DiesTooOften(
                f"{name} ended {len(deaths)} times within a minute, the last time with exit code {code}; "
                "everything else was stopped."
            )
        pause: float = PAUSE_SECONDS * 2 ** (len(deaths) - 1)
        print_line(f"{name} ended with exit code {code}; it is started again in {pause:g} s.")
        return pause
