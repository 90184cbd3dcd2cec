"""The code blocks of docs/adding-a-network.md make a network that receives a conversion."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from postbacks.models import DeliveryAttempt, PostbackConfig

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "adding-a-network.md"
BLOCK = re.compile(r"^```\w+ (add to )?(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".state", "node_modules", "__pycache__", ".*_cache", ".hypothesis")


def follow(guide: str, project: Path) -> list[str]:
    """Write each code block that names a file; the names. A line that is added to a file goes into its dict."""
    names = []
    for adds, name, text in BLOCK.findall(guide):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.read_text().replace("\n}\n", f"\n{text}}}\n", 1) if adds else text)
        names.append(name)
    return names


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with the network of the guide."""
    copy = Path(shutil.copytree(ROOT, tmp_path / "project", ignore=LEFT_OUT))
    names = follow(GUIDE.read_text(), copy)
    changed = {name for name in names if (ROOT / name).exists()}
    assert changed == {"postbacks/networks/__init__.py"}
    assert {name for name in names if not name.startswith("postbacks/networks/toy/")} == changed
    return copy


def run(project: Path, *arguments: str, **variables: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=project, env=env | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@contextmanager
def sandbox(project: Path) -> Iterator[str]:
    """`manage.py sandbox` of the copy; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sandbox", "--port", port], cwd=project, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        assert (
            process.stderr.readline()
            == f"sandbox networks on http://127.0.0.1:{port} (GET / lists the controls)\n".encode()
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def received(url: str) -> list[Any]:
    with urllib.request.urlopen(f"{url}/sandbox/requests?network=toy") as answer:
        return list(json.loads(answer.read()))


def test_the_network_of_the_guide_passes_the_system_check_and_the_tests_of_every_network(project: Path) -> None:
    assert run(project, "manage.py", "check") == "System check identified no issues (0 silenced).\n"
    run(project, "-m", "ruff", "check", "-q", "postbacks/networks/toy")
    run(project, "-m", "ruff", "format", "-q", "--check", "postbacks/networks/toy")
    tests = ("tests/postbacks/test_networks.py", "tests/postbacks/test_sandbox.py")
    summary = run(project, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "toy", *tests)
    assert re.search(r"^\d\d+ passed", summary, re.MULTILINE), summary


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ('    label = "Toy Ads"\n', "Network toy: label is not set."),
        (
            '    default_url = "https://api.toyads.example"\n',
            "Afterclick cannot start: TOY_API_URL is not set (see .env.example).",
        ),
        ("    cookies = ()\n", "Network toy: cookies is not set; an empty value declares that there is none."),
        ('    click_params = ("toy_click",)\n', "Network toy: click_params is not set; an empty value declares that"),
    ],
)
def test_a_part_that_is_left_out_of_it_stops_the_start(project: Path, part: str, sentence: str) -> None:
    module = project / "postbacks/networks/toy/network.py"
    module.write_text(module.read_text().replace(part, ""))
    done = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=project, capture_output=True, text=True, check=False
    )
    assert (done.returncode, sentence in done.stderr) == (1, True), done.stderr


@pytest.mark.django_db(transaction=True)
def test_a_conversion_of_a_click_on_its_ad_is_delivered_to_it(project: Path, tmp_path: Path) -> None:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    with sandbox(project) as url:
        variables = {"DATABASE_URL": database, "TOY_API_URL": url, "STATE_DIR": str(tmp_path / "state")}
        facts = json.loads(run(project, "manage.py", "demo", "--json", **variables))
        assert facts["networks"]["toy"] == {"pixel_id": "toy-1", "credential": "toy-token-1"}
        run(project, "manage.py", "shell", "-c", "from postbacks import tasks; tasks.deliver('toy')", **variables)
        requests = received(url)

    assert PostbackConfig.objects.get().network == "toy"
    attempts = DeliveryAttempt.objects.filter(delivery__network="toy").select_related("delivery")
    assert {(row.verdict, row.http_status, row.message, row.delivery.state) for row in attempts} == {
        ("success", 200, "accepted", "delivered")
    }
    sent = {request["body"]["event"]["id"]: request["body"] for request in requests}
    assert sent == {row.delivery.event_id: row.payload for row in attempts}
    clicks = {body["event"].get("click_id") for body in sent.values()}
    assert any(str(click).startswith("demo-") for click in clicks)
    assert {request["headers"]["Authorization"] for request in requests} == {"Bearer toy-token-1"}
