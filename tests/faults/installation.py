"""The whole product with a separate PostgreSQL and Valkey, which can be killed and restarted."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from config import services
from config.quickstart import cluster, postgres, valkey
from config.quickstart.state import StateFolder
from tests.journeys.product import ROOT, Browser, Product, T

SKEWED = Path(__file__).parent / "skewed"
# Variables of the test run that the processes of the installation must not have.
TEST_VARIABLES = ("DATABASE_URL", "REDIS_URL", "STATE_DIR", "PORT", "PYTEST_XDIST_WORKER")
# Sends the named task, or every scheduled one, the given number of times; prints the number of tasks.
SEND_TASKS = """
import sys
from config.celery import app
entries = [entry for entry in app.conf.beat_schedule.values() if sys.argv[1] in ("", entry["task"])]
for _ in range(int(sys.argv[2])):
    for entry in entries:
        app.send_task(entry["task"], args=entry.get("args", ()))
print(len(entries))
"""


PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"


class Installation(Product):
    """A Product with its own servers. Start everything from the thread that created it: the servers end with it."""

    def __init__(self, folder: Path, stack: ExitStack, **env: str) -> None:
        # Durable: acknowledged events have to survive a kill -9 of the server.
        self._state, self._stack = StateFolder.create(folder / "services"), stack
        stack.enter_context(self._state.lock("services", timeout=0, message=f"{folder} is in use"))
        clean = {name: value for name, value in os.environ.items() if name not in TEST_VARIABLES}
        urls = {"DATABASE_URL": self.start_postgres(), "REDIS_URL": self.start_broker()}
        super().__init__({**clean, **services.secrets(folder / "services"), **urls, **env}, folder)
        self._hub: Browser | None = None

    # Servers --------------------------------------------------------------------------------
    def start_postgres(self) -> str:
        return self._stack.enter_context(postgres.serving(self._state, durable=True)).url

    def start_broker(self) -> str:
        return self._stack.enter_context(valkey.serving(self._state)).url

    def kill_postgres(self) -> None:
        pid_file = cluster.folder_and_account(self._state)[0] / "data" / "postmaster.pid"
        _kill(int(pid_file.read_text().split("\n", 1)[0]))

    def kill_broker(self) -> None:
        _kill(self._state.read("services")["valkey_pid"])

    def flush_broker(self) -> None:
        with valkey.client(self.env["REDIS_URL"]) as broker:
            broker.flushall()

    @contextlib.contextmanager
    def small_disk(self, table: str) -> Iterator[Path | None]:
        """Move a table's partitions to a file system of 8 MB for the context. Yields its folder; None if none can be
        mounted."""
        home, account = cluster.folder_and_account(self._state)
        folder = home / "small-disk"  # beside the data, where the server's account has access
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            folder.rmdir()
            yield None
            return
        space = folder / "postgresql"
        space.mkdir()
        if account:
            os.chown(folder, account.uid, account.gid)
            os.chown(space, account.uid, account.gid)
        try:
            with postgres.admin(self._state) as admin:
                admin.execute(f"CREATE TABLESPACE small_disk OWNER {postgres.NAME} LOCATION '{space}'")
            parts = [name for (name,) in self.rows(PARTITIONS, table)]
            for part in parts:
                self.execute(f"ALTER TABLE {part} SET TABLESPACE small_disk")
            yield folder
            for part in parts:
                self.execute(f"ALTER TABLE {part} SET TABLESPACE pg_default")
            with postgres.admin(self._state) as admin:
                admin.execute("CHECKPOINT")  # until then PostgreSQL keeps the emptied files
                admin.execute("DROP TABLESPACE small_disk")
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
            folder.rmdir()

    # Processes ------------------------------------------------------------------------------
    def python(self, program: str, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run a Python program in the product's environment and return its output."""
        command, env = [sys.executable, "-c", program, *arguments], {**self.env, **(env or {})}
        result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    def run_command(self, *arguments: str) -> tuple[int, str]:
        """Run a management command; return its exit code and its output."""
        command = [sys.executable, "manage.py", *arguments]
        result = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr

    def start_skewed_worker(self, *, seconds: int) -> None:
        """Start a worker with a wrong clock, for Python, Django and Celery."""
        path = os.pathsep.join(filter(None, [str(SKEWED), self.env.get("PYTHONPATH", "")]))
        self.start_worker(env={"PYTHONPATH": path, "CLOCK_OFF_SECONDS": str(seconds)})

    def send_task(self, task: str, times: int) -> int:
        """Send a task of the beat, all of them if '', `times` times; return the number of tasks."""
        return int(self.python(SEND_TASKS, task, str(times)))

    def web_workers(self) -> list[int]:
        """The pids of the processes that serve: granian's children, without Python's resource tracker."""
        leader, pids = self.processes["web"].pid, []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_granian = b"granian" in (process / "cmdline").read_bytes()
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                if is_granian and parent == leader:
                    pids.append(int(process.name))
        return sorted(pids)

    # Reading and sending ----------------------------------------------------------------------
    @property
    def hub(self) -> Browser:
        if self._hub is None:
            self._hub = Browser(self, "marketer")
        return self._hub

    def number(self, query: str, *parameters: Any) -> int:
        return int(self.rows(query, *parameters)[0][0])

    def execute(self, query: str, *parameters: Any) -> None:
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(query, parameters)  # type: ignore[arg-type]

    def retrying(self, action: Callable[[], T], seconds: float = 60) -> T:
        """The result of `action()`, repeated for up to `seconds` while a server or a web process is unavailable."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return action()
            except (psycopg.OperationalError, AssertionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Send a request to the sandbox's control API; return its JSON answer."""
        arguments = {"json": body} if body else {}
        answer = self.http.request(method, f"{self.sandbox_url}/sandbox/{path}", **arguments)
        assert answer.status < 300, answer.data
        return answer.json() if answer.data else None

    def config(self, network: str) -> str:
        """The id of the demo's postback for a network."""
        query = "SELECT id FROM postbacks_postbackconfig WHERE network = %s AND deleted_at IS NULL"
        return str(self.rows(query, network)[0][0])

    def page(self, network: str, *steps: str) -> str:
        return "/".join([f"/g/{self.demo['game']}/integrations/{network}", *steps, ""])

    def rotate(self, network: str, credential: str) -> None:
        """Rotate the postback's token in the Hub, and wait until the network has accepted it."""
        config, pixel = self.config(network), self.demo["networks"][network]["pixel_id"]
        version = "SELECT version FROM postbacks_postbackconfig WHERE id = %s"
        before = self.number(version, config)
        fields = [("pixel_id", pixel), ("credential", credential), ("triggers", "game_launch"),
                  ("triggers", "purchase"), ("enabled", "on")]  # fmt: skip
        fields += [item for item in self.demo["networks"][network].items() if item[0].startswith("object_id_")]
        answer = self.hub.post(self.page(network, config, "edit"), fields)
        assert answer.status in {200, 302}, answer.data[-3000:]
        self.wait_for(lambda: self.number(version, config) > before, seconds=60)

    def switch(self, network: str, to: str) -> None:
        """`to` is enable or disable."""
        answer = self.hub.post(self.page(network, self.config(network), to), {})
        assert answer.status == 302, answer.data[-3000:]


def _kill(pid: int) -> None:
    """Send SIGKILL and wait, since a zombie would count as a running server."""
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextlib.contextmanager
def running(folder: Path, **env: str) -> Iterator[Installation]:
    """An installation with all processes running; `env` is added to its environment."""
    # As root, PostgreSQL runs as another account, which must be able to traverse the folder.
    folder.chmod(0o711)
    try:
        with ExitStack() as stack:
            installation = Installation(folder, stack, **env)
            try:
                installation.start()
                yield installation
            finally:
                installation.stop()
    finally:
        services.delete_database(folder / "services")
