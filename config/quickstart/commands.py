"""The command lines of the processes, in one place for `make run` and for the tests."""

import resource
import sys

PYTHON = sys.executable
ASGI = "config.asgi:application"
# Without Celery's warning against running as root: `make run` is for one person's machine.
CELERY = [PYTHON, "-W", "ignore:::celery.platforms", "-m", "celery", "-A", "config", "-q"]
# Connections of one web process, idle ones included; more are not accepted. After granian has run out of file
# descriptors it accepts no connection any more. The other files are for the database, logs and modules.
MAX_CONNECTIONS = 4096
OTHER_FILES = 256
# Bytes that the server reads ahead on a connection, and the maximum of a request's head.
READ_AHEAD = 64 * 1024
# For the head of a request; also how long a connection may be idle.
HEAD_TIMEOUT_MS = 30_000


def worker(queue: str) -> list[str]:
    """Return the command of a worker that takes the tasks of one queue."""
    node = ["-Q", queue, "-n", f"{queue}@%h"]
    return [*CELERY, "worker", *node, "-P", "threads", "-c", "8", "--without-gossip", "--without-mingle", "-l", "info"]


def web(*, host: str, port: int, workers: int = 2) -> list[str]:
    """Return the command of granian with `workers` processes, one for each core. It replaces one that dies.

    HTTP/1 only: of HTTP/2 the server buffers up to a megabyte for each of 200 streams of a connection.
    """
    return [
        *(PYTHON, "-m", "granian", "--interface", "asgi", "--http", "1", "--no-ws", "--log-level", "error"),
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        *("--workers-kill-timeout", "5", "--respawn-failed-workers"),
        *("--backpressure", str(min(MAX_CONNECTIONS, open_files() - OTHER_FILES))),
        *("--http1-buffer-size", str(READ_AHEAD), "--http1-header-read-timeout", str(HEAD_TIMEOUT_MS)),
        ASGI,
    ]


def open_files() -> int:
    """Return how many files a child may open, after raising the limit to what web processes can use."""
    needed = MAX_CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised
