"""A private Valkey on loopback with a password and without persistence."""

import contextlib
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.quickstart import binaries
from config.quickstart.processes import RunningServer, free_port, is_free, spawn, stop, stop_orphan
from config.quickstart.state import ServicesError, StateFolder, explain_os_errors

SECONDS_TO_START = 20.0
STOP_SIGNALS = ((signal.SIGTERM, 5.0),)
# One database for the run itself, one for each pytest-xdist worker, and one for each installation in tests/journeys.
DATABASES = 64


@contextlib.contextmanager
def serving(state: StateFolder) -> Iterator[RunningServer]:
    """Run Valkey for the duration of the context. Raises ServicesError.

    The caller holds the "services" lock of `state`.
    """
    binary = str(binaries.valkey())
    _stop_leftover(state)
    stored = state.read("services")
    state.update("services", valkey_password=stored.get("valkey_password", secrets.token_urlsafe(24)))
    for _ in range(5):
        state.update("services", valkey_port=free_port(stored.get("valkey_port")))
        server = RunningServer("Valkey", url(state), _launch(state, binary), partial(_relaunch, state, binary))
        try:
            if _answers(state, server.process):
                state.update("services", valkey_pid=server.process.pid)
                yield server
                return
        finally:
            stop(server.process, STOP_SIGNALS)
        text = (state.path / "valkey.log").read_text(errors="replace")
        if "Address already in use" not in text:
            break
    raise ServicesError(f"Valkey did not start: {_last_line(state)} (the whole log is {state.path / 'valkey.log'}).")


def _relaunch(state: StateFolder, binary: str) -> subprocess.Popen[bytes]:
    """Start the server again at its port."""
    port = state.read("services")["valkey_port"]
    if not is_free(port):
        raise ServicesError(f"Valkey ended, and its port {port} was taken by another program: start again.")
    server = _launch(state, binary)
    if not _answers(state, server):
        stop(server, STOP_SIGNALS)
        raise ServicesError(f"Valkey ended and did not start again: {_last_line(state)}.")
    state.update("services", valkey_pid=server.pid)
    return server


def _last_line(state: StateFolder) -> str:
    text = (state.path / "valkey.log").read_text(errors="replace")
    return ([line for line in text.splitlines() if line.strip()] or ["no output"])[-1]


def url(state: StateFolder) -> str:
    stored = state.read("services")
    return f"redis://:{stored['valkey_password']}@127.0.0.1:{stored['valkey_port']}/0"


def client(redis_url: str) -> redis.Redis:
    """Return a client without retries; by default redis-py tries an unavailable server four times over seconds."""
    return redis.Redis.from_url(redis_url, socket_timeout=3, retry=Retry(NoBackoff(), 0))


def _launch(state: StateFolder, binary: str) -> subprocess.Popen[bytes]:
    folder = state.path / "valkey"
    stored = state.read("services")
    settings = {
        "bind": "127.0.0.1",
        "port": stored["valkey_port"],
        "requirepass": stored["valkey_password"],
        "databases": DATABASES,
        "save": '""',
        "appendonly": "no",
        "dir": f'"{folder}"',
    }
    with explain_os_errors(state.path), state.private_file("valkey.log") as log:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Read from stdin: an argument would show the password to everyone who can list processes.
        server = spawn(
            [binary, "-"], output=log.fileno(), death_signal=signal.SIGTERM, stdin=subprocess.PIPE, cwd=folder
        )
    assert server.stdin is not None
    with contextlib.suppress(BrokenPipeError), server.stdin as stdin:
        stdin.write("".join(f"{name} {value}\n" for name, value in settings.items()).encode())
    return server


def _answers(state: StateFolder, server: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + SECONDS_TO_START
    with client(url(state)) as broker:
        while server.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                return bool(broker.ping())
            time.sleep(0.02)
    return False


def _stop_leftover(state: StateFolder) -> None:
    """Stop a server that a killed supervisor left running."""
    pid = state.read("services").get("valkey_pid")
    if pid and not stop_orphan(pid, state.path / "valkey", (*STOP_SIGNALS, (signal.SIGKILL, 5.0))):
        raise ServicesError(f"A Valkey server of an earlier start (pid {pid}) does not stop: end it, then try again.")
