"""/metrics: what the web processes of a machine counted, whichever of them is asked."""

import os
import subprocess
import sys
from pathlib import Path

from config import services

ROUTE = "/v1/track"
# One web process, through Django's own client: it answers as often as it is told to, then waits to be closed.
PROCESS = f"""
import sys, django
django.setup()
from django.test import Client
for _ in range(int(sys.argv[1])):
    assert Client().options("{ROUTE}").status_code == 204
print("answered", flush=True)
sys.stdin.readline()
answer = Client().get("/metrics")
assert answer.status_code == 200
print(answer.content.decode())
"""


def process(times: int, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(times)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "ALLOWED_HOSTS": "testserver", **env},
        cwd=services.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def scraped(times: tuple[int, int], **env: str) -> list[dict[str, float]]:
    """What each of two processes says it counted of the route, after both have answered."""
    processes = [process(number, **env) for number in times]
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "answered\n"
    said = [one.communicate("go on\n", timeout=60)[0] for one in processes]
    assert [one.returncode for one in processes] == [0, 0]
    return [samples(text) for text in said]


def samples(text: str) -> dict[str, float]:
    """The counter of the route and the count of its histogram, by name."""
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if f'route="{ROUTE}"' in line)
    counts = {name.partition("{")[0]: float(value) for name, value in rows}
    return {name: counts[f"afterclick_intake_{name}"] for name in ("requests_total", "seconds_count")}


def test_any_process_tells_what_all_of_them_counted(tmp_path: Path) -> None:
    found = scraped((3, 4), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert found == [{"requests_total": 7.0, "seconds_count": 7.0}] * 2


def test_without_a_shared_folder_each_tells_its_own() -> None:
    found = scraped((1, 2))
    assert found == [
        {"requests_total": 1.0, "seconds_count": 1.0},
        {"requests_total": 2.0, "seconds_count": 2.0},
    ]


def test_what_a_process_counted_outlives_it(tmp_path: Path) -> None:
    scraped((3, 4), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    found = scraped((0, 1), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert [one["requests_total"] for one in found] == [8.0, 8.0]
