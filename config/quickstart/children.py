"""The child processes of `make run`: their output, restarting those that exit, and stopping them in order."""

import os
import selectors
import signal
import subprocess
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.quickstart.processes import RunningServer, shell_code, spawn
from config.quickstart.state import ServicesError
from config.quickstart.terminal import PALETTE, paint, print_line

NAME_WIDTH = 8
TICK_SECONDS = 0.1
# Restarts of one process within RESTART_WINDOW_SECONDS; after one more exit everything is stopped.
MAX_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0
# Seconds before the first restart, doubled with each exit within that window.
PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Child:
    """One process. With `captured_output`, its stdout is collected there instead of being shown."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    process: subprocess.Popen[bytes]
    colour: int
    seconds_to_stop: float
    partial_line: bytes = b""
    captured_output: bytearray | None = None
    streams: list[int] = field(default_factory=list)

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell shows it (128 + n for signal n); None while it runs."""
        return shell_code(self.process.poll())


class Children:
    """All children. A single thread reads their pipes: PR_SET_PDEATHSIG fires when the *thread* that forked ends."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.running: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._colours: dict[str, int] = {}

    def start(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        seconds_to_stop: float = 5.0,
        capture_output: bool = False,
    ) -> Child:
        """Start a child whose lines are shown with its name. Raises OSError."""
        errors = subprocess.PIPE if capture_output else subprocess.STDOUT
        process = spawn(argv, output=subprocess.PIPE, errors=errors, death_signal=signal.SIGTERM, cwd=self.cwd, env=env)
        colour = self._colours.setdefault(name, PALETTE[len(self._colours) % len(PALETTE)])
        captured_output = bytearray() if capture_output else None
        child = Child(name, argv, env, process, colour, seconds_to_stop, captured_output=captured_output)
        self.running.append(child)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ, child)
                child.streams.append(stream.fileno())
        return child

    def run(self, name: str, argv: Sequence[str], env: Mapping[str, str], *, capture_output: bool = False) -> Child:
        """Run a command to its end while the other children continue."""
        child = self.start(name, argv, env, capture_output=capture_output)
        while child.exit_code is None or child.streams:
            self.show_output(TICK_SECONDS)
        self.running.remove(child)
        return child

    def kill_session(self, child: Child) -> None:
        """Kill the rest of a dead child's session: granian's workers would keep its port."""
        self._signal(child, signal.SIGKILL)
        self.show_output(0)
        self.running.remove(child)

    def restart(self, child: Child) -> None:
        """Start a child again. Raises OSError."""
        self.start(child.name, child.argv, child.env, seconds_to_stop=child.seconds_to_stop)

    def first_exited(self) -> Child | None:
        """Return the first child that exited without being stopped."""
        return next((child for child in self.running if child.exit_code is not None), None)

    def show_output(self, seconds: float) -> bool:
        """Show what the children wrote: return True after some output, False after `seconds` without any."""
        if not self._selector.get_map():
            time.sleep(seconds)
        ready = self._selector.select(seconds)
        for key, _ in ready:
            self._read(key)
        return bool(ready)

    def stop(self, is_hard_stop: Callable[[], bool]) -> None:
        """Stop the children in the order of `running`; at once when `is_hard_stop` returns True."""
        for child in self.running:
            self._signal(child, signal.SIGTERM)
            deadline = time.monotonic() + child.seconds_to_stop
            while child.exit_code is None and time.monotonic() < deadline and not is_hard_stop():
                self.show_output(TICK_SECONDS)
            self._signal(child, signal.SIGKILL)
            child.process.wait()
        self.show_output(0)
        self.running.clear()

    def _signal(self, child: Child, number: signal.Signals) -> None:
        """Send SIGTERM to the child, or SIGKILL to its whole session, including processes that outlived it."""
        try:
            if number is signal.SIGKILL:
                os.killpg(child.process.pid, number)
            else:
                child.process.send_signal(number)
        except ProcessLookupError:
            pass

    def _read(self, key: selectors.SelectorKey) -> None:
        child: Child = key.data
        data = os.read(key.fd, 65536)
        if not data:
            self._selector.unregister(key.fileobj)
            child.streams.remove(key.fd)
            self._show(child, b"\n" if child.partial_line else b"")
        elif child.captured_output is not None and child.process.stdout is key.fileobj:
            child.captured_output += data
        else:
            self._show(child, data)

    def _show(self, child: Child, data: bytes) -> None:
        *lines, child.partial_line = (child.partial_line + data).split(b"\n")
        for line in lines:
            print_line(f"{paint(f'{child.name:<{NAME_WIDTH}}', child.colour)} {line.decode(errors='replace')}")


@dataclass(slots=True)
class Restarts:
    """Restarts children and servers that exit, unless one exits too often.

    Servers restart at their previous addresses, so that clients reconnect.
    """

    children: Children
    servers: tuple[RunningServer, ...] = ()
    _exits: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _due: list[tuple[float, Child]] = field(default_factory=list)

    def step(self) -> None:
        """Show what the children write and restart what exited.

        Raises ServicesError if something exits too often or a server does not restart.
        """
        self.children.show_output(TICK_SECONDS)
        for server in self.servers:
            if (code := server.exit_code) is not None:
                time.sleep(self._count_exit(server.name, code))
                server.restart()
                print_line(f"{server.name} was restarted.")
        while exited := self.children.first_exited():
            self.children.kill_session(exited)
            pause = self._count_exit(exited.name, exited.exit_code or 0)
            self._due.append((time.monotonic() + pause, exited))
        for due_at, child in list(self._due):
            if due_at <= time.monotonic():
                self._due.remove((due_at, child))
                self.children.restart(child)

    def _count_exit(self, name: str, code: int) -> float:
        """Return the seconds to wait before the next start."""
        now, exits = time.monotonic(), self._exits[name]
        exits.append(now)
        while exits[0] < now - RESTART_WINDOW_SECONDS:
            exits.popleft()
        if len(exits) > MAX_RESTARTS:
            raise ServicesError(
                f"{name} ended {len(exits)} times within a minute, the last time with exit code {code}; "
                "everything else was stopped."
            )
        pause: float = PAUSE_SECONDS * 2 ** (len(exits) - 1)
        print_line(f"{name} ended with exit code {code}; it is started again in {pause:g} s.")
        return pause
