"""The supervisor behind `make run` (`manage.py up`): services, migrations, the demo game, then every process.

The sandbox starts before the demo game is loaded, and the schema is migrated before any process reads it.
The banner is printed last, when /readyz has answered 200.
"""

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from audience.background.queues import QUEUES
from config import services
from config.quickstart import commands
from config.quickstart.banner import banner
from config.quickstart.children import TICK_SECONDS, Child, Children, Restarts
from config.quickstart.plan import Plan
from config.quickstart.state import ServicesError, StateFolder
from config.quickstart.terminal import print_line

MAX_START_SECONDS = 60.0
MAX_QUIET_WAIT_SECONDS = 5.0
QUIET_SECONDS = 0.8
MANAGE = [commands.PYTHON, str(services.BASE_DIR / "manage.py")]
# The children write into pipes, and a person reads their output.
READABLE_OUTPUT = {"PYTHONUNBUFFERED": "1", "LOG_FORMAT": "text"}
STOP_ORDER = ("web", "beat", *QUEUES, "sandbox")


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP: the first raises KeyboardInterrupt; a second requests a hard stop.

    Once stopping has begun nothing is raised, so that no signal interrupts the clean-up.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.hard_stop = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self.hard_stop = True
            return
        self.stopping = True
        raise KeyboardInterrupt


def main() -> int:
    """Run until Ctrl-C and return the exit code. Raises ServicesError when it cannot start or continue."""
    interrupts = Interrupts()
    try:
        state = StateFolder.create(services.state_dir(os.environ))
        busy = f"Afterclick already runs with {state.path}: stop it, or set STATE_DIR and PORT for a second one."
        with state.lock("up", timeout=0, message=busy):
            _up(state, interrupts)
    except KeyboardInterrupt:
        print_line("Stopped.")
        return 0
    finally:
        interrupts.stopping = True


def _up(state: StateFolder, interrupts: Interrupts) -> NoReturn:
    plan = Plan.read(os.environ)
    addresses = plan.addresses()
    state.update("up", **addresses)
    with services.running(state.path, environ=os.environ) as running:
        # In an .env file an empty value means unset.
        variables = {name: value for name, value in os.environ.items() if value}
        env = {**READABLE_OUTPUT, **services.secrets(state.path), **variables, **addresses}
        env |= {"DATABASE_URL": running.database_url, "REDIS_URL": running.redis_url, "STATE_DIR": str(state.path)}
        children = Children(services.BASE_DIR)
        started = " and ".join(server.name for server in running.started)
        print_line(f"Started {started}." if started else "Using DATABASE_URL and REDIS_URL.")
        try:
            _start(plan, children, env, metrics=state.recreate_folder("metrics"))
            restarts = Restarts(children, running.started)
            while True:
                restarts.step()
        finally:
            interrupts.stopping = True
            print_line("Stopping ...")
            children.running.sort(key=_stop_rank)
            children.stop(lambda: interrupts.hard_stop)


def _stop_rank(child: Child) -> int:
    return STOP_ORDER.index(child.name) if child.name in STOP_ORDER else -1


def _start(plan: Plan, children: Children, env: Mapping[str, str], *, metrics: Path) -> None:
    if plan.sandbox_port:
        children.start("sandbox", [*MANAGE, "sandbox", "--port", str(plan.sandbox_port)], env)
        _wait_until_ready(children, "sandbox", f"127.0.0.1:{plan.sandbox_port}", "/sandbox/health")
    print_line("Updating the database ...")
    _check_exit(children.run("migrate", [*MANAGE, "migrate", "--verbosity", "0"], env))
    demo = _load_demo(children, env) if plan.demo else None
    for queue in QUEUES:
        children.start(queue, commands.worker(queue), env, seconds_to_stop=15)
    children.start("beat", [*commands.CELERY, "beat", "-s", str(Path(env["STATE_DIR"], "celerybeat-schedule"))], env)
    # Any of the processes answers a scrape, with the counts of all.
    shared = {**env, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    children.start("web", commands.web(host=plan.host, port=plan.port), shared, seconds_to_stop=10)
    _wait_until_ready(children, "web", plan.address, "/readyz", host=plan.allowed_host)
    _wait_for_quiet_output(children)
    try:
        print_line(banner(plan, demo))
    except (KeyError, TypeError) as error:
        raise ServicesError(f"`manage.py demo --json` did not print {error}.") from error


def _load_demo(children: Children, env: Mapping[str, str]) -> dict[str, Any]:
    print_line("Loading the demo game ...")
    command = [*MANAGE, "demo", "--json"]
    child = _check_exit(children.run("demo", command, env, capture_output=True), hint=" Or start with DEMO=0.")
    try:
        return dict(json.loads(bytes(child.captured_output or b"")))
    except ValueError as error:
        raise ServicesError("`manage.py demo --json` did not print one JSON object.") from error


def _check_exit(child: Child, hint: str = "") -> Child:
    if child.exit_code:
        raise ServicesError(f"`manage.py {child.name}` failed with exit code {child.exit_code}, see above.{hint}")
    return child


def _wait_until_ready(children: Children, name: str, address: str, path: str, *, host: str = "127.0.0.1") -> None:
    """Wait until the child at `address` answers 200. Raises ServicesError with its last answer."""
    deadline = time.monotonic() + MAX_START_SECONDS
    answer = "nothing"
    while time.monotonic() < deadline:
        if exited := children.first_exited():
            children.show_output(TICK_SECONDS)
            raise ServicesError(f"{exited.name} ended with exit code {exited.exit_code} while starting, see above.")
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = _get(address, path, host)
            if status == 200:
                return
        children.show_output(TICK_SECONDS)
    raise ServicesError(f"{name} was not ready after {MAX_START_SECONDS:.0f} s; {path} answered: {answer}")


def _get(address: str, path: str, host: str) -> tuple[int, str]:
    # Not urllib: it would send this through http_proxy.
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read(2000).decode(errors="replace")
    finally:
        connection.close()


def _wait_for_quiet_output(children: Children) -> None:
    """Wait for the output of the demo's first deliveries, so that the banner is printed after it."""
    deadline = time.monotonic() + MAX_QUIET_WAIT_SECONDS
    while time.monotonic() < deadline and children.show_output(QUIET_SECONDS):
        pass
