"""`make run` with real processes and signals, and the plan that it reads from the environment."""

import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from config import services
from config.quickstart import commands
from config.quickstart.banner import banner
from config.quickstart.children import Children
from config.quickstart.plan import Plan
from config.quickstart.processes import free_port, is_free
from config.quickstart.state import ServicesError
from postbacks.networks import NETWORKS

URL_VARIABLES = [network.url_variable for network in NETWORKS.values()]
DEMO = {
    "publishable_key": "pk-1",
    "users": {
        "admin": {"email": "admin@example.com", "password": "one"},
        "marketer": {"email": "mara@example.com", "password": "two"},
    },
}


# The plan ---------------------------------------------------------------------------------------------


def test_a_plan_takes_its_defaults() -> None:
    port = free_port()
    plan = Plan.read({"PORT": str(port)})
    assert (plan.host, plan.port, plan.public_url, plan.demo) == ("127.0.0.1", port, f"http://127.0.0.1:{port}", True)
    addresses = plan.addresses()
    assert {addresses[name] for name in URL_VARIABLES} == {f"http://127.0.0.1:{plan.sandbox_port}"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "http://127.0.0.1:{sandbox}/openid/login"),
        ({"STEAM_OPENID_URL": "https://login.example/openid"}, "https://login.example/openid"),
        ({"TIKTOK_API_URL": "https://proxy.example"}, "https://steamcommunity.com/openid/login"),
    ],
)
def test_visitors_sign_in_at_an_imitation_of_steam_if_there_is_a_sandbox(given: dict[str, str], expected: str) -> None:
    plan = Plan.read({"PORT": str(free_port()), **given})
    assert plan.addresses()["STEAM_OPENID_URL"] == expected.format(sandbox=plan.sandbox_port)


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServicesError) as raised:
            Plan.read({"PORT": str(port)})
    assert str(raised.value) == f"Port {port} is taken by another program: stop it, or choose another with PORT=8001."


def test_a_used_sandbox_port_is_an_error_only_if_it_was_set() -> None:
    web = str(free_port())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServicesError, match=rf"^Port {port} is taken, .* with SANDBOX_PORT=8011\.$"):
            Plan.read({"PORT": web, "SANDBOX_PORT": str(port)})
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 8010)):
        chosen = Plan.read({"PORT": web}).sandbox_port
        assert chosen not in {None, 8010}


@pytest.mark.parametrize("value", ["eighty", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ServicesError) as raised:
        Plan.read({"PORT": value})
    assert str(raised.value) == f"PORT must be a port number from 1 to 65535, not {value!r}."


def test_with_an_address_for_every_network_no_sandbox_starts() -> None:
    given = {name: f"https://{name.lower()}.example" for name in URL_VARIABLES}
    plan = Plan.read({"PORT": str(free_port()), **given})
    assert plan.sandbox_port is None
    assert {name: plan.addresses()[name] for name in URL_VARIABLES} == given


@pytest.mark.parametrize("kind", NETWORKS)
def test_with_an_address_for_some_networks_no_sandbox_starts_and_the_others_use_their_own(kind: str) -> None:
    given = {network.url_variable: "https://proxy.example" for network in NETWORKS.values() if network.kind != kind}
    plan = Plan.read({"PORT": str(free_port()), **given})
    assert plan.sandbox_port is None
    expected = {**given, NETWORKS[kind].url_variable: NETWORKS[kind].default_url}
    assert {name: plan.addresses()[name] for name in URL_VARIABLES} == expected


def test_empty_addresses_of_networks_count_as_unset() -> None:
    plan = Plan.read({"PORT": str(free_port()), **dict.fromkeys(URL_VARIABLES, "")})
    assert {plan.addresses()[name] for name in URL_VARIABLES} == {f"http://127.0.0.1:{plan.sandbox_port}"}


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ServicesError, match=r"^HOST=nowhere\.invalid is not an address of this machine\.$"):
        Plan.read({"PORT": str(free_port()), "HOST": "nowhere.invalid"})


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.0.0.4", "10.0.0.4")],
)
def test_a_wildcard_host_is_reached_over_loopback(host: str, address: str) -> None:
    plan = Plan(host=host, port=80, sandbox_port=None, network_urls={}, public_url="", allowed_host="", demo=True)
    assert plan.address == f"{address}:80"


def test_the_banner_shows_addresses_logins_and_one_request() -> None:
    plan = Plan.read({"PORT": str(free_port()), "PUBLIC_URL": "http://hub.example/"})
    lines = banner(plan, DEMO).splitlines()
    assert "  Hub          http://hub.example" in lines
    assert "  Admin        admin@example.com  one" in lines
    assert "  Marketer     mara@example.com  two" in lines
    assert any(line.startswith("  Demo page    http://hub.example/demo/ ") for line in lines)
    assert any(line.startswith("  curl http://hub.example/v1/audience/messages -H ") for line in lines)


def test_the_banner_names_the_demo_page_only_where_all_networks_are_imitations() -> None:
    plan = Plan.read({"PORT": str(free_port()), "TIKTOK_API_URL": "https://proxy.example"})
    assert "/demo/" not in banner(plan, DEMO)
    assert "/demo/" not in banner(Plan.read({"PORT": str(free_port())}), None)


def test_the_banner_shows_where_the_postbacks_of_each_network_go() -> None:
    given = {"PORT": str(free_port()), "TIKTOK_API_URL": "https://proxy.example"}
    lines = banner(Plan.read(given), None).splitlines()
    assert "  TikTok Ads   postbacks go to https://proxy.example (TIKTOK_API_URL)" in lines
    assert (
        "  Reddit Ads   postbacks go to https://ads-api.reddit.com (the network itself; REDDIT_API_URL overrides it)"
        in lines
    )


def test_the_banner_shows_that_without_addresses_all_postbacks_go_to_imitations() -> None:
    plan = Plan.read({"PORT": str(free_port())})
    lines = banner(plan, None).splitlines()
    for network in NETWORKS.values():
        assert f"  {network.label:<12} postbacks go to {plan.sandbox_url} (an imitation on this machine)" in lines
    row = f"  Ad networks  {plan.sandbox_url}/sandbox/requests (imitations; nothing leaves this machine)"
    assert row in lines


def test_without_the_demo_the_banner_says_how_to_make_the_first_admin() -> None:
    text = banner(Plan.read({"PORT": str(free_port()), "DEMO": "0"}), None)
    assert "make admin (or python manage.py createsuperuser)" in text
    assert "curl" not in text


def test_a_web_process_speaks_http_1_only_and_is_replaced_when_it_dies() -> None:
    command = commands.web(host="::1", port=8000, workers=3)
    flags = dict(zip(command, command[1:], strict=False))
    assert (flags["--http"], flags["--host"], flags["--port"], flags["--workers"]) == ("1", "::1", "8000", "3")
    assert "--respawn-failed-workers" in command
    assert int(flags["--backpressure"]) + commands.OTHER_FILES <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# The children -----------------------------------------------------------------------------------------


@pytest.fixture
def children() -> Iterator[Children]:
    kept = Children(services.BASE_DIR)
    yield kept
    kept.stop(lambda: True)


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def test_every_line_of_a_child_carries_its_name(children: Children, capsys: pytest.CaptureFixture[str]) -> None:
    children.run("speaker", python("import sys; print('one'); sys.stderr.write('two\\nthree')"), os.environ)
    assert capsys.readouterr().out.splitlines() == ["speaker  one", "speaker  two", "speaker  three"]


def test_an_answer_is_kept_and_its_complaints_are_shown(children: Children, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys; sys.stdout.write('{}'); sys.stderr.write('hm\\n'); sys.exit(3)"
    child = children.run("demo", python(code), os.environ, capture_output=True)
    assert (child.captured_output, child.exit_code) == (bytearray(b"{}"), 3)
    assert capsys.readouterr().out == "demo     hm\n"


def test_a_death_is_noticed_with_its_exit_code(children: Children) -> None:
    children.start("quick", python("import os; os.kill(os.getpid(), 9)"), os.environ)
    deadline = time.monotonic() + 10
    while not (dead := children.first_exited()) and time.monotonic() < deadline:
        children.show_output(0.05)
    assert dead is not None
    assert (dead.name, dead.exit_code) == ("quick", 137)


def test_children_get_sigterm_and_after_their_timeout_sigkill(
    children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import signal, time; signal.signal(15, lambda *_: print('no')); print('up'); [time.sleep(1) for _ in '12345']"
    )
    child = children.start("deaf", python(code), os.environ, seconds_to_stop=0.5)
    while "up" not in capsys.readouterr().out:
        children.show_output(0.05)
    children.stop(lambda: False)
    assert child.exit_code == 137
    assert "deaf     no" in capsys.readouterr().out


# The whole --------------------------------------------------------------------------------------------


class Run:
    """One `manage.py up` on ports of its own; `said` is everything it printed so far."""

    def __init__(self, state: Path, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{variables['PORT']}"
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self.env = {**quiet_environment(), "STATE_DIR": str(state), **variables}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"], env=self.env, cwd=services.BASE_DIR, stdout=self.log, stderr=self.log
        )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *failure: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.log.close()

    @property
    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def until(self, words: str) -> None:
        wait_for(lambda: words in self.said or self.process.poll() is not None, seconds=90)
        assert words in self.said, self.said

    def ends(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


def quiet_environment() -> dict[str, str]:
    """Ours without what the test session put there, so that the run starts services of its own."""
    taken = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CREDENTIAL_KEYS", *URL_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in taken}


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def of_this_run(state: Path) -> dict[int, str]:
    """pid -> command line of every process that has `state` in its environment or as its working directory."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            inside = (process / "cwd").readlink().is_relative_to(state)
            if inside or f"STATE_DIR={state}\0".encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def offspring(pid: int, state: Path) -> set[int]:
    found = set()
    for process in of_this_run(state):
        with contextlib.suppress(OSError):
            if parent(process) == pid:
                found.add(process)
    return found


def children_of(run: Run, state: Path, words: str) -> list[int]:
    """The processes that the supervisor itself has started and whose command line holds `words`."""
    commands, ours = of_this_run(state), offspring(run.process.pid, state)
    return [pid for pid, command in commands.items() if words in command and pid in ours]


def is_ready(run: Run) -> bool:
    try:
        with urllib.request.urlopen(f"{run.url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


FORM = b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def connected(run: Run) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(run.env["PORT"])), timeout=10)


def spoken(run: Run, words: bytes) -> bytes:
    """What comes back until the other side closes."""
    with connected(run) as connection:
        connection.sendall(words)
        return connection.recv(65536)


def call(run: Run, *command: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "manage.py", *command]
    return subprocess.run(argv, env=run.env, cwd=services.BASE_DIR, capture_output=True, text=True, check=False)


def ask_twenty_times(run: Run, route: str) -> None:
    """Each on a connection of its own, so that both web processes get some."""
    for _ in range(20):
        asked = urllib.request.Request(f"{run.url}{route}", method="OPTIONS")
        with urllib.request.urlopen(asked) as answer:
            assert answer.status == 204


def counted(run: Run, route: str) -> float:
    """How many such requests /metrics tells of; what the other process counted last may not be written yet."""
    with urllib.request.urlopen(f"{run.url}/metrics") as answer:
        said = answer.read().decode()
    line = f'afterclick_intake_requests_total{{route="{route}",status="204"}} '
    return sum(float(each.removeprefix(line)) for each in said.splitlines() if each.startswith(line))


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="afterclick-test-up-")).resolve()
    folder.chmod(0o711)
    yield folder / "state"
    services.delete_database(folder / "state")
    shutil.rmtree(folder)


@pytest.fixture
def ports() -> Mapping[str, str]:
    return {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.mark.long
def test_make_run_serves_until_ctrl_c_and_leaves_nothing(state: Path, ports: Mapping[str, str]) -> None:
    with Run(state, DEMO="0", **ports) as run:
        run.until("Ctrl-C stops everything.")
        with urllib.request.urlopen(f"{run.url}/readyz") as answer:
            assert answer.status == 200
        assert "make admin" in run.said
        ask_twenty_times(run, "/v1/track")
        wait_for(lambda: counted(run, "/v1/track") >= 20, seconds=20)
        assert counted(run, "/v1/track") == 20.0
        assert spoken(run, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0") == b"", "no HTTP/2"
        with contextlib.ExitStack() as stack:
            for head in (
                FORM + b"Content-Length: 100\r\n\r\nlogin=",
                FORM + b"Transfer-Encoding: chunked\r\n\r\n5\r\nl",
            ):
                for _ in range(30):
                    stack.enter_context(connected(run)).sendall(head)
            time.sleep(0.5)
            for path in ("/livez", "/accounts/login/", "/readyz"):
                with urllib.request.urlopen(f"{run.url}{path}", timeout=10) as answer:
                    assert answer.status == 200

        second = call(run, "up")
        assert second.returncode == 1
        refusal = f"Afterclick already runs with {state}: stop it, or set STATE_DIR and PORT for a second one.\n"
        assert second.stderr == refusal

        run.process.send_signal(signal.SIGINT)
        assert run.ends() == 0
        assert run.said.endswith("Stopped.\n")
    assert of_this_run(state) == {}
    assert all(is_free(int(port)) for port in ports.values())


@pytest.mark.long
def test_a_second_run_shows_a_demo_that_works(state: Path, ports: Mapping[str, str]) -> None:
    with Run(state, **ports) as run:
        run.until("Ctrl-C stops everything.")
        del run.env["PORT"], run.env["SANDBOX_PORT"]  # as in a second terminal
        told = call(run, "demo", "--json")
        assert told.stderr == ""
        demo = json.loads(told.stdout)
        assert (demo["url"], demo["sandbox_url"]) == (run.url, f"http://127.0.0.1:{ports['SANDBOX_PORT']}")
        assert f"{demo['users']['admin']['email']}  {demo['users']['admin']['password']}" in run.said

        line = next(line for line in run.said.splitlines() if line.startswith("  curl "))
        sent = subprocess.run([*shlex.split(line), "-sf"], capture_output=True, check=False)
        assert (sent.returncode, json.loads(sent.stdout)["accepted"]) == (0, 1)

        run.process.send_signal(signal.SIGINT)
        assert run.ends() == 0
    assert of_this_run(state) == {}


@pytest.mark.long
def test_a_process_that_exits_is_restarted_until_it_exits_too_often(state: Path, ports: Mapping[str, str]) -> None:
    with Run(state, DEMO="0", **ports) as run:
        run.until("Ctrl-C stops everything.")
        for name, words in (
            ("-Q digest", "digest"),
            ("-Q delivery", "delivery"),
            (" beat ", "beat"),
            (" sandbox ", "sandbox"),
            ("granian", "web"),
        ):
            before = children_of(run, state, name)
            assert len(before) == 1
            os.kill(before[0], signal.SIGKILL)
            run.until(f"{words} ended with exit code 137; it is started again in 0.5 s.")
            wait_for(lambda name=name: children_of(run, state, name), seconds=20)  # type: ignore[misc]
            assert set(children_of(run, state, name)).isdisjoint(before)
        wait_for(lambda: is_ready(run), seconds=30)
        assert is_ready(run)

        web = children_of(run, state, "granian")[0]
        workers = offspring(web, state)
        assert len(workers) == 2
        os.kill(min(workers), signal.SIGKILL)
        wait_for(lambda: len(offspring(web, state) - workers) == 1, seconds=20)
        assert len(offspring(web, state) - workers) == 1
        assert children_of(run, state, "granian") == [web]

        for name, words in (("postgres -D", "PostgreSQL"), ("valkey-server", "Valkey")):
            before = children_of(run, state, name)
            os.kill(before[0], signal.SIGKILL)
            run.until(f"{words} was restarted.")
            assert set(children_of(run, state, name)).isdisjoint(before)
        wait_for(lambda: is_ready(run), seconds=30)
        assert is_ready(run)

        for deaths in range(2, 7):  # the first was above
            wait_for(lambda: children_of(run, state, " beat "), seconds=20)
            os.kill(children_of(run, state, " beat ")[0], signal.SIGKILL)
            if deaths < 6:
                run.until(f"beat ended with exit code 137; it is started again in {2 ** (deaths - 2):g} s.")
        assert run.ends() == 1
        sentence = "beat ended 6 times within a minute, the last time with exit code 137; everything else was stopped."
        assert run.said.endswith(f"{sentence}\n")
    assert of_this_run(state) == {}


@pytest.mark.long
def test_a_supervisor_killed_by_sigkill_leaves_nothing(state: Path, ports: Mapping[str, str]) -> None:
    with Run(state, DEMO="0", **ports) as run:
        run.until("Ctrl-C stops everything.")
        assert len(of_this_run(state)) > 6
        run.process.kill()
        run.ends()
        wait_for(lambda: not of_this_run(state), seconds=15)
    assert of_this_run(state) == {}


# The commands ------------------------------------------------------------------------------------------


def manage(state: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**quiet_environment(), "STATE_DIR": str(state)}
    argv = [sys.executable, "manage.py", *command]
    return subprocess.run(argv, env=env, cwd=services.BASE_DIR, capture_output=True, text=True, check=False)


def test_a_command_that_needs_no_database_starts_nothing(tmp_path: Path) -> None:
    told = manage(tmp_path / "state", "check")
    assert (told.returncode, told.stderr) == (0, "")
    assert not (tmp_path / "state").exists()


def test_a_failing_launcher_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    told = manage(tmp_path / "state", "migrate")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.count("\n") == 1
    assert told.stderr.startswith(f"The state folder {tmp_path}/state cannot be written (File exists)")
