"""The whole product as separate processes: web, workers, beat and sandbox networks, with a new database."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import urllib3

from audience.background.queues import QUEUES
from config.quickstart import commands, valkey
from postbacks.networks import NETWORKS
from tests import databases

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = {"library": "journey", "libraryVersion": "1.0.0"}
# The tests of a parallel run's workers use databases 1 to 8 of the broker.
BROKER_DATABASES = range(9, valkey.DATABASES)
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """Start with `Product(env)` and `start()`; every process writes its log to `folder`."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.folder = folder
        self.port, self.sandbox_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sandbox_url = f"http://127.0.0.1:{self.sandbox_port}"
        self.env = env | {
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "STEAM_OPENID_URL": f"{self.sandbox_url}/openid/login",
            **{network.url_variable: self.sandbox_url for network in NETWORKS.values()},
            **{
                network.token_url_variable: self.sandbox_url + network.token_path
                for network in NETWORKS.values()
                if network.default_token_url
            },
            "STATE_DIR": str(folder / "state"),
        }
        # The browser tests set it; a web process with it would wait for the database on its event loop.
        self.env.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)
        self.http = urllib3.PoolManager(retries=False, timeout=20)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.demo: dict[str, Any] = {}

    # Processes ------------------------------------------------------------------------------
    def manage(self, *arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    def spawn(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> None:
        """Start one process; `env` is added to the product's environment."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**self.env, **(env or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> None:
        self.spawn("sandbox", "manage.py", "sandbox", "--port", str(self.sandbox_port))
        self.create_tables()
        self.demo = json.loads(self.manage("demo", "--json"))
        self.start_workers()
        self.start_beat()
        self.start_web()
        self.wait_for(lambda: self.answers(f"{self.url}/readyz") and self.answers(f"{self.sandbox_url}/sandbox/health"))
        # The demo's history is delivered first, so that journeys count only their own deliveries.
        self.wait_for(lambda: not self.rows("SELECT 1 FROM postbacks_delivery WHERE state = 'waiting'"))

    def create_tables(self) -> None:
        self.manage("migrate", "--verbosity", "0")

    def start_web(self, *, workers: int = 1, env: Mapping[str, str] | None = None) -> None:
        """Start the web processes; one by default, since a test run starts many."""
        _, *web = commands.web(host="127.0.0.1", port=self.port, workers=workers)
        self.spawn("web", *web, env=env)

    def start_workers(self, *, env: Mapping[str, str] | None = None) -> None:
        for queue in QUEUES:
            self.start_worker(queue, env=env)

    def start_worker(self, queue: str = "", *, env: Mapping[str, str] | None = None) -> None:
        """Start a worker of one queue, with the queue's name, or of all queues, with the name `worker`."""
        name, options = queue or "worker", ["-Q", queue] if queue else []
        worker = ["-m", "celery", "-A", "config", "worker", *options, "-P", "threads", "-c", "8", "-l", "info"]
        self.spawn(name, *worker, "-n", f"{name}@%h", env=env)

    def start_beat(self, name: str = "beat") -> None:
        self.spawn(name, "-m", "celery", "-A", "config", "beat", "-s", str(self.folder / f"schedule-{name}"))

    def kill(self, name: str) -> None:
        """Send SIGKILL to a process and its children."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def kill_workers(self) -> None:
        for name in {*QUEUES, "worker"} & self.processes.keys():
            self.kill(name)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    # Reading --------------------------------------------------------------------------------
    def answers(self, url: str) -> bool:
        try:
            return self.http.request("GET", url).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def wait_for(self, read: Callable[[], T], seconds: float = 90) -> T:
        """Return the first true value of `read()`, called repeatedly; fail after `seconds` with the logs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := read():
                return value
            time.sleep(0.1)
        tails = {path.name: path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log")}
        raise AssertionError(f"not within {seconds} s; logs: {json.dumps(tails, indent=1)}")

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.env["DATABASE_URL"]) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    # Sending --------------------------------------------------------------------------------
    def send(self, *messages: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        sent = [
            {
                "messageId": str(uuid.uuid4()),
                "eventTimestamp": ago().isoformat(),
                **message,
                "context": {**CONTEXT, **message.get("context", {})},
            }
            for message in messages
        ]
        answer = self.http.request(
            "POST",
            f"{self.url}/v1/audience/messages",
            json={"messages": sent},
            headers={"x-immutable-publishable-key": key or self.demo["publishable_key"]},
        )
        assert answer.status == 200, answer.data
        body: dict[str, Any] = answer.json()
        assert body == {"success": True, "accepted": len(sent), "rejected": 0, "rejections": []}
        return body

    def received(self, network: str) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = self.http.request(
            "GET", f"{self.sandbox_url}/sandbox/requests?network={network}"
        ).json()
        return requests

    def summary(self, network: str) -> dict[str, Any]:
        """Return the counts of the sandbox network since its requests were last deleted."""
        counts: dict[str, Any] = self.http.request("GET", f"{self.sandbox_url}/sandbox/summary").json()[network]
        return counts

    def fault(self, network: str, fault: str, times: int) -> None:
        answer = self.http.request(
            "POST", f"{self.sandbox_url}/sandbox/faults", json={"network": network, "fault": fault, "times": times}
        )
        assert answer.status < 300, answer.data

    def outcome(self, user_id: str, trigger: str) -> list[tuple[str, str]]:
        """Return (reason, state of the delivery that is not skipped) of the user's conversions, oldest first."""
        return [
            (reason, state)
            for reason, state in self.rows(
                "SELECT c.reason, coalesce((SELECT d.state FROM postbacks_delivery d WHERE d.conversion_id = c.id "
                "AND d.state <> 'skipped'), 'none') FROM audience_conversion c "
                "WHERE c.user_id = %s AND c.trigger = %s AND c.fanned_out_at IS NOT NULL ORDER BY c.event_at",
                user_id,
                trigger,
            )
        ]

    def log(self, user_id: str) -> list[tuple[Any, ...]]:
        """Return (status, HTTP status, has a latency, number) of the attempts for a user's conversions."""
        return self.rows(
            "SELECT a.status, a.http_status, a.latency_ms IS NOT NULL, a.number FROM postbacks_deliveryattempt a "
            "JOIN postbacks_delivery d ON d.id = a.delivery_id JOIN audience_conversion c ON c.id = d.conversion_id "
            "WHERE c.user_id = %s ORDER BY a.id",
            user_id,
        )


class ClonedProduct(Product):
    """A Product whose database is a copy of one that was migrated once for the whole test run."""

    def create_tables(self) -> None:
        databases.copy_template(urlsplit(self.env["DATABASE_URL"]).path.removeprefix("/"))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Product]:
    """Run a product with a new database and a free broker database during the context."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"journey_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        broker = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{free_database(connection)}").geturl()
        with valkey.client(broker) as client:
            client.flushdb()
        env = {**os.environ, "DATABASE_URL": server._replace(path=f"/{name}").geturl(), "REDIS_URL": broker}
        product = ClonedProduct(env, folder)
        try:
            product.start()
            yield product
        finally:
            product.stop()
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def free_database(connection: psycopg.Connection[Any]) -> int:
    """Return the number of a broker database that no other product of this run uses until `connection` is closed.

    Workers of two products in one database would receive each other's messages.
    """
    for number in BROKER_DATABASES:
        (is_locked,) = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone() or (False,)
        if is_locked:
            return number
    raise AssertionError(f"{len(BROKER_DATABASES)} products run already: there is no broker database for another")


class Browser:
    """A signed-in HTTP client that handles cookies, forms and CSRF tokens."""

    def __init__(self, product: Product, role: str) -> None:
        self.product = product
        self.cookies: dict[str, str] = {}
        user = product.demo["users"][role]
        self.get("/accounts/login/")
        self.post("/accounts/login/", {"login": user["email"], "password": user["password"]})
        assert "sessionid" in self.cookies, "the sign-in failed"

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self._request("GET", path)

    def post(self, path: str, fields: dict[str, Any] | list[tuple[str, Any]]) -> urllib3.BaseHTTPResponse:
        pairs = list(fields.items()) if isinstance(fields, dict) else fields
        return self._request("POST", path, [*pairs, ("csrfmiddlewaretoken", self.cookies["csrftoken"])])

    def _request(self, method: str, path: str, fields: list[tuple[str, Any]] | None = None) -> Any:
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Referer": self.product.url + path,
        }
        answer = (
            self.product.http.request(
                method, self.product.url + path, fields=fields, headers=headers, redirect=False, encode_multipart=False
            )
            if fields
            else self.product.http.request(method, self.product.url + path, headers=headers, redirect=False)
        )
        for cookie in answer.headers.getlist("Set-Cookie"):
            if match := re.match(r"([^=]+)=([^;]*)", cookie):
                self.cookies[match[1]] = match[2]
        return answer


def ago(**duration: float) -> datetime:
    return datetime.now(UTC) - timedelta(**duration)
