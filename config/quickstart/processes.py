"""Processes and ports: starting children that exit with this process, stopping them, identifying servers."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec may not import or allocate much.
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """A user that runs a process in place of root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def find(cls, name: str) -> "Account | None":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name, entry.pw_uid, entry.pw_gid)

    def can_enter(self, folder: Path) -> bool:
        """Whether this user can read and traverse `folder`, as the kernel decides (groups and ACLs count)."""
        return run(["/bin/sh", "-c", 'test -r "$0" && test -x "$0"', str(folder)], account=self).returncode == 0

    def can_traverse(self, folder: Path) -> bool:
        return run(["/bin/sh", "-c", 'test -x "$0"', str(folder)], account=self).returncode == 0


def run(argv: Sequence[str], *, account: Account | None) -> subprocess.CompletedProcess[str]:
    """Run a short command as `account` (None: the present user); return it with stdout and stderr together."""
    return subprocess.run(
        argv, cwd="/", env=plain_environment(), text=True, errors="replace", check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
        user=account.uid if account else None, group=account.gid if account else None,
        extra_groups=[] if account else None,
    )  # fmt: skip


def spawn(
    argv: Sequence[str],
    *,
    output: int,
    errors: int = subprocess.STDOUT,
    death_signal: signal.Signals,
    account: Account | None = None,
    stdin: int = subprocess.DEVNULL,
    cwd: Path | str = "/",
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in its own session, so that Ctrl-C does not reach it. It receives `death_signal` however this
    process ends. Raises OSError.
    """
    return subprocess.Popen(
        argv, stdin=stdin, stdout=output, stderr=errors, cwd=cwd, env=plain_environment() if env is None else env,
        start_new_session=True, preexec_fn=_send_on_exit_of(os.getpid(), death_signal),
        user=account.uid if account else None, group=account.gid if account else None,
        extra_groups=[] if account else None,
    )  # fmt: skip


def _send_on_exit_of(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    # Linux clears the setting when the uid changes; CPython calls preexec_fn after setuid.
    def set_death_signal() -> None:
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal))
            if os.getppid() != parent:
                os.kill(os.getpid(), death_signal)

    return set_death_signal


def plain_environment() -> dict[str, str]:
    """Return PATH, the locale C and UTC, without PG* variables and locales that the machine may lack."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@dataclass(slots=True)
class RunningServer:
    """A running server at `url`. `launch` starts it again at the same address; it raises ServicesError."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    launch: Callable[[], subprocess.Popen[bytes]]

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell shows it; None while it runs."""
        return shell_code(self.process.poll())

    def restart(self) -> None:
        self.process = self.launch()


def shell_code(code: int | None) -> int | None:
    """Return an exit code of subprocess as a shell shows it: 128 + n for signal n."""
    return code if code is None or code >= 0 else 128 - code


def stop(process: subprocess.Popen[bytes], steps: Iterable[tuple[signal.Signals, float]]) -> None:
    """Send each signal and wait its seconds for the process to exit; send SIGKILL after the last."""
    for number, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    if process.poll() is None:
        process.kill()
        process.wait()


def runs_in(pid: int, folder: Path) -> bool:
    """Whether process `pid` runs with `folder` as its working directory, as the servers of the quickstart do.

    A pid from a file is not enough, since it may have been reused.
    """
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
        except OSError:
            return False
    listing = run(["lsof", "-a", "-p", str(pid), "-d", "cwd", "-Fn"], account=None).stdout
    return f"n{folder.resolve()}" in listing.splitlines()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stop_orphan(pid: int, folder: Path, steps: Iterable[tuple[signal.Signals, float]]) -> bool:
    """Stop a server that a killed supervisor left in `folder`. Returns False if it does not exit."""
    for number, seconds in steps:
        if not runs_in(pid, folder):
            return True
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while runs_in(pid, folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    return not runs_in(pid, folder)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` of `host`. Raises OSError if `host` has no address."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as candidate:
        # Otherwise a connection of the last run in TIME_WAIT makes the port look used.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(address)
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """Return `preferred` if it is free, else a free port on loopback."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])
