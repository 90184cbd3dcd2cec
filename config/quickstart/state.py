"""STATE_DIR: what the quickstart stores between two starts, and its locks.

services.json   ports, passwords and the folder of the database, 0600
secrets.json    SECRET_KEY and CREDENTIAL_KEYS, 0600
postgresql/     the cluster (elsewhere if its account cannot enter this folder, see postgres.py)
metrics/        counters of the web processes of this run, for /metrics
*.log, *.lock
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ServicesError(Exception):
    """One sentence for the operator: what is wrong and what to do. Shown without a traceback."""


class StateFolder:
    """The folder at `path`; `StateFolder.create` creates it and checks that it is writable."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> "StateFolder":
        # As root, the cluster in this folder belongs to another account, which must be able to traverse it.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        with explain_os_errors(path):
            path.mkdir(mode=mode, parents=True, exist_ok=True)
            probe = path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        return cls(path)

    def read(self, name: str) -> dict[str, Any]:
        """Return the values stored under `name`; empty if there are none."""
        try:
            values = json.loads((self.path / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return {}
        except PermissionError as error:
            raise ServicesError(f"{self.path} belongs to another user: change its owner or set STATE_DIR.") from error
        except ValueError as error:
            raise ServicesError(f"{self.path / name}.json is damaged: restore it or move {self.path} away.") from error
        return dict(values)

    def update(self, name: str, **values: Any) -> dict[str, Any]:
        """Add `values` to those under `name`, atomically and readable by the owner only; return all of them."""
        merged = {**self.read(name), **values}
        temporary = self.path / f".{name}-{os.getpid()}.json"
        with explain_os_errors(self.path):
            temporary.unlink(missing_ok=True)
            with self.private_file(temporary.name) as file:
                file.write(json.dumps(merged, indent=2).encode())
            temporary.replace(self.path / f"{name}.json")
        return merged

    def private_file(self, name: str) -> Any:
        """Open `name` for writing, empty, 0600, refusing a symbolic link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        return os.fdopen(os.open(self.path / name, flags, 0o600), "wb")

    def recreate_folder(self, name: str) -> Path:
        """Return the folder `name`, created again without content."""
        folder = self.path / name
        with explain_os_errors(self.path):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def lock(self, name: str, *, timeout: float, message: str) -> Iterator[None]:
        """Hold the lock `name`. Waits `timeout` seconds, then raises ServicesError(message).

        The kernel releases it however the holder ends.
        """
        deadline = time.monotonic() + timeout
        with self._lock_file(name) as file:
            while not _locked(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise ServicesError(message)
                time.sleep(0.05)
            yield

    def is_locked(self, name: str) -> bool:
        """Whether a process holds `name` now."""
        if not (self.path / f"{name}.lock").exists():
            return False
        with self._lock_file(name) as file:
            return not _locked(file, fcntl.LOCK_SH)

    def _lock_file(self, name: str) -> Any:
        with explain_os_errors(self.path):
            return os.fdopen(os.open(self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600), "rb")


def _locked(file: Any, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError below `path` into a ServicesError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ServicesError(disk_full(path)) from error
        raise ServicesError(
            f"The state folder {path} cannot be written ({error.strerror}): make it writable or set STATE_DIR."
        ) from error


def disk_full(path: Path) -> str:
    return f"The disk that holds {path} is full: free some space or set STATE_DIR to another disk."
