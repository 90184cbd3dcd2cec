"""A private PostgreSQL: loopback TCP with SCRAM, no Unix socket, its cluster in STATE_DIR."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from config.quickstart import binaries, cluster
from config.quickstart.binaries import PostgresBinaries
from config.quickstart.processes import Account, RunningServer, free_port, spawn, stop
from config.quickstart.state import ServicesError, StateFolder, disk_full, explain_os_errors

NAME = "afterclick"
# Crash recovery after a power cut replays up to max_wal_size.
SECONDS_TO_START = 300.0
# PostgreSQL's defaults are for the smallest machine: with max_wal_size of 1 GB, thousands of events a second cause two
# checkpoints a minute. min_wal_size keeps WAL segments for reuse (cluster.WAL_SEGMENTS).
SIZES = ("max_wal_size=4GB", "min_wal_size=1GB", "shared_buffers=512MB")
# Write dirty pages steadily: otherwise the kernel flushes half a minute of them at once, and commits wait.
FLUSH = ("bgwriter_delay=50ms", "bgwriter_lru_maxpages=1000", "bgwriter_lru_multiplier=4", "backend_flush_after=512kB")
DURABLE = (*SIZES, *FLUSH)
# For tests: nothing needs to be durable, and no plan may depend on when autovacuum last ran.
NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
               "autovacuum=off")  # fmt: skip


@contextlib.contextmanager
def serving(state: StateFolder, *, durable: bool) -> Iterator[RunningServer]:
    """Run PostgreSQL for the duration of the context. Raises ServicesError.

    The caller holds the "services" lock of `state`; any server found on the cluster is orphaned.
    """
    home, account = cluster.folder_and_account(state)
    data = home / "data"
    installed = binaries.postgres(major=cluster.major_version(data))
    installed = installed.usable_by(account) if account else installed
    if not data.exists():
        cluster.initialise(state, installed, home, account, durable=durable)
    cluster.stop_leftover(data)
    launch = partial(_launch, state, installed, data, account, durable=durable)
    server = RunningServer("PostgreSQL", "", launch(), partial(_relaunch, state, data, launch))
    try:
        server.url = _prepare(state, data)
        yield server
    finally:
        stop(server.process, cluster.STOP_SIGNALS)


def _relaunch(state: StateFolder, data: Path, launch: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start the server again at its port, after stopping what is left of the previous one."""
    previous_url = url(state)
    cluster.stop_leftover(data)
    server = launch()
    if url(state) != previous_url:
        stop(server, cluster.STOP_SIGNALS)
        raise ServicesError("PostgreSQL ended, and its port was taken by another program: start again.")
    return server


def _launch(
    state: StateFolder, installed: PostgresBinaries, data: Path, account: Account | None, *, durable: bool
) -> subprocess.Popen[bytes]:
    """Start the server and wait until it accepts connections. Raises ServicesError."""
    if "postgres_admin_password" not in state.read("services"):
        raise ServicesError(
            f"The password of the database in {data.parent} is lost: restore services.json, or move that folder away."
        )
    log_path, text = state.path / "postgresql.log", ""
    for _ in range(5):
        port = free_port(state.read("services").get("postgres_port"))
        state.update("services", postgres_port=port)
        settings = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200",
                    *(DURABLE if durable else NOT_DURABLE))  # fmt: skip
        argv = [str(installed.folder / "postgres"), "-D", str(data)]
        argv += [argument for setting in settings for argument in ("-c", setting)]
        with explain_os_errors(state.path), state.private_file("postgresql.log") as log:
            server = spawn(argv, output=log.fileno(), death_signal=signal.SIGINT, account=account)
        if _answers(state, server):
            return server
        text = log_path.read_text(errors="replace")
        # Another program took the port, or backends of a killed postmaster are still exiting.
        if "Address already in use" not in text and "still in use" not in text:
            break
        time.sleep(0.5)
    raise ServicesError(cluster.failure_message(text, data.parent, "PostgreSQL did not start", log_path))


def _answers(state: StateFolder, server: subprocess.Popen[bytes]) -> bool:
    """Wait for the first connection. Returns False if the server exited; stops it and raises if that takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    try:
        while server.poll() is None:
            with contextlib.suppress(psycopg.OperationalError), admin(state):
                return True
            if time.monotonic() > deadline:
                raise ServicesError(
                    f"PostgreSQL took more than {SECONDS_TO_START:.0f} s to start: see postgresql.log in {state.path}."
                )
            time.sleep(0.02)
    except BaseException:
        stop(server, cluster.STOP_SIGNALS)
        raise
    return False


def admin(state: StateFolder) -> psycopg.Connection[TupleRow]:
    """Connect as the cluster's superuser. Raises psycopg.OperationalError."""
    stored = state.read("services")
    return psycopg.connect(
        host="127.0.0.1", port=stored["postgres_port"], user="postgres", password=stored["postgres_admin_password"],
        dbname="postgres", connect_timeout=3, sslmode="disable", autocommit=True,
    )  # fmt: skip


def url(state: StateFolder) -> str:
    stored = state.read("services")
    return f"postgres://{NAME}:{stored['postgres_password']}@127.0.0.1:{stored['postgres_port']}/{NAME}"


def _prepare(state: StateFolder, data: Path) -> str:
    """Create the role and its database if missing; return their URL. CREATEDB is for the test databases."""
    name, password = sql.Identifier(NAME), sql.Literal(state.read("services")["postgres_password"])
    try:
        with admin(state) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [NAME]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(name, password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
    except psycopg.errors.DiskFull as error:
        raise ServicesError(disk_full(data)) from error
    except psycopg.Error as error:
        raise ServicesError(f"PostgreSQL in {data.parent} did not create the database: {error}.") from error
    return url(state)
