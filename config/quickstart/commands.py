"""The command lines of the processes, in one place for `make run` and for the tests."""

import resource
import sys

PYTHON = sys.executable
ASGI = "config.asgi:application"
# Celery warns of root: this is one person's machine, and the processes die with the terminal.
CELERY = [PYTHON, "-W", "ignore:::celery.platforms", "-m", "celery", "-A", "config", "-q"]
# Connections of one web process, idle ones too: beyond them nobody is let in, and without a free file the server was
# seen to let nobody in any more. The rest of the files is for the database, logs and modules.
MAX_CONNECTIONS = 4096
OTHER_FILES = 256
# Bytes that the server reads ahead on a connection, and the longest head of a request.
READ_AHEAD = 64 * 1024
# Milliseconds for the head of a request; also how long a connection may be idle.
HEAD_TIME = 30_000


def worker(queue: str) -> list[str]:
    """A worker that takes the tasks of one queue."""
    node = ["-Q", queue, "-n", f"{queue}@%h"]
    return [*CELERY, "worker", *node, "-P", "threads", "-c", "8", "--without-gossip", "--without-mingle", "-l", "info"]


def web(*, host: str, port: int, workers: int = 2) -> list[str]:
    """Granian with `workers` processes, since one process can use one core. One that dies is replaced.

    HTTP/1 only: of HTTP/2 the server itself takes up to a megabyte for each of 200 streams of a connection.
    """
    return [
        *(PYTHON, "-m", "granian", "--interface", "asgi", "--http", "1", "--no-ws", "--log-level", "error"),
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        *("--workers-kill-timeout", "5", "--respawn-failed-workers"),
        *("--backpressure", str(min(MAX_CONNECTIONS, open_files() - OTHER_FILES))),
        *("--http1-buffer-size", str(READ_AHEAD), "--http1-header-read-timeout", str(HEAD_TIME)),
        ASGI,
    ]


def open_files() -> int:
    """How many files a process started from here may open; the limit is raised to what web processes can use."""
    wanted = MAX_CONNECTIONS + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised
