"""The cluster of the private PostgreSQL: its folder, its account, creating and cleaning it."""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from config.quickstart import binaries
from config.quickstart.binaries import PostgresBinaries
from config.quickstart.processes import Account, is_alive, run, runs_in, stop_orphan
from config.quickstart.state import ServicesError, StateFolder, disk_full, explain_os_errors

# New WAL segments are filled with zeros before a commit can use them. With the default of 16 MB that took 50 ms, twice
# a second during checkpoints.
WAL_SEGMENTS = ("--wal-segsize=4",)
# SIGINT disconnects clients and writes a checkpoint; SIGQUIT writes none, so that the next start recovers from the WAL.
STOP_SIGNALS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))


def folder_and_account(state: StateFolder) -> tuple[Path, Account | None]:
    """Return the folder of the cluster and the account that runs it (None for the present user)."""
    default = state.path / "postgresql"
    stored = Path(state.read("services").get("postgres_home", default))
    if os.geteuid() != 0:
        return stored, None
    account = _owner(stored) or Account.find("postgres") or Account.find("nobody")
    if account is None:
        raise ServicesError(
            "PostgreSQL does not run as root and there is no user postgres or nobody: set DATABASE_URL."
        )
    if stored != default and stored.exists() and not _is_copy(state):
        return stored, account
    if account.can_traverse(state.path):
        return default, account
    if (default / "data").exists():
        raise ServicesError(
            f"User {account.name}, who runs PostgreSQL in place of root, can no longer access {default}: "
            "give that user access to its parent folders again, or set STATE_DIR."
        )
    return _create_elsewhere(state, account), account


def _owner(home: Path) -> Account | None:
    """Return the owner of an existing cluster, the only account that can run it."""
    if not home.exists() or home.stat().st_uid == 0:
        return None
    return Account(f"#{home.stat().st_uid}", home.stat().st_uid, home.stat().st_gid)


def _is_copy(state: StateFolder) -> bool:
    """Whether the folder is a copy (`cp -r`) of one that still exists and that uses the cluster named in both."""
    origin = Path(state.read("services").get("postgres_origin", state.path))
    return origin != state.path and (origin / "services.json").exists()


def _create_elsewhere(state: StateFolder, account: Account) -> Path:
    parent = binaries.shared_folder(account)
    prefix = f"afterclick-{hashlib.sha256(str(state.path).encode()).hexdigest()[:12]}-"
    for leftover in parent.glob(f"{prefix}*"):  # of a deleted state folder at the same path
        if leftover.stat().st_uid == account.uid:
            stop_leftover(leftover / "data")
            shutil.rmtree(leftover, ignore_errors=True)
    with explain_os_errors(parent):
        home = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        os.chown(home, account.uid, account.gid)
    state.update("services", postgres_home=str(home), postgres_origin=str(state.path))
    return home


def major_version(data: Path) -> int | None:
    """Return the major version of the cluster in `data`; None before initdb."""
    with explain_os_errors(data):
        version = data / "PG_VERSION"
        return int(version.read_text().strip()) if version.exists() else None


def initialise(
    state: StateFolder, installed: PostgresBinaries, home: Path, account: Account | None, *, durable: bool
) -> None:
    """Create the cluster in `data.new` and rename that, so that an interrupted initdb leaves no incomplete `data`."""
    passwords = {"postgres_admin_password": secrets.token_urlsafe(24), "postgres_password": secrets.token_urlsafe(24)}
    state.update("services", **passwords)
    temporary = home / "data.new"
    # The wheel has no ICU. C.UTF-8 sorts by bytes and supports case conversion beyond ASCII.
    builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if installed.major >= 17 else ()
    with explain_os_errors(home):
        home.mkdir(mode=0o700, exist_ok=True)
        if account:
            os.chown(home, account.uid, account.gid)
        shutil.rmtree(temporary, ignore_errors=True)
        with _password_file(home, passwords["postgres_admin_password"], account) as password_file:
            result = run(
                [str(installed.folder / "initdb"), f"--pgdata={temporary}", "--username=postgres", "--no-instructions",
                 "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", *builtin,
                 *(WAL_SEGMENTS if durable else ("--no-sync",))],
                account=account,
            )  # fmt: skip
        if result.returncode != 0:
            raise ServicesError(failure_message(result.stdout, home, "PostgreSQL could not create its data folder"))
        temporary.rename(home / "data")


@contextlib.contextmanager
def _password_file(home: Path, password: str, account: Account | None) -> Iterator[str]:
    """Create a file for `initdb --pwfile` that only the account can read: initdb cannot read a pipe opened by root."""
    descriptor, name = tempfile.mkstemp(dir=home)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(password)
            if account:
                os.fchown(file.fileno(), account.uid, account.gid)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def stop_leftover(data: Path) -> None:
    """Stop a server that a killed supervisor left running, and delete a pid file that names another process."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if not stop_orphan(pid, data, STOP_SIGNALS):
        raise ServicesError(
            f"A PostgreSQL server of an earlier start (pid {pid}) does not stop: end it, then try again."
        )
    # PostgreSQL does not start while *any* process has the pid in the file. It deletes a file with a dead pid itself,
    # after looking for backends that outlived their postmaster.
    if is_alive(pid) and not runs_in(pid, data):
        pid_file.unlink(missing_ok=True)


def delete(state: StateFolder) -> None:
    """Stop an orphaned server and delete the cluster. The caller holds the "services" lock."""
    home = Path(state.read("services").get("postgres_home", state.path / "postgresql"))
    stop_leftover(home / "data")
    shutil.rmtree(home, ignore_errors=True)


def failure_message(output: str, folder: Path, failure: str, log: Path | None = None) -> str:
    """Return a sentence for a failure from what the program printed."""
    if "No space left on device" in output:
        return disk_full(folder)
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no output"]
    errors = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return f"{failure}: {(errors or lines)[0]}" + (f" (the whole log is {log})." if log else ".")
