"""/metrics reports the counts of all web processes of a machine."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from config import metric_files, services

ROUTE = "/v1/track"
# One web process, through Django's own client: it answers as often as it is told to, then waits to be closed.
PROCESS = f"""
import sys, time, django
django.setup()
from django.test import Client
from config import metric_files
for _ in range(int(sys.argv[1])):
    assert Client().options("{ROUTE}").status_code == 204
time.sleep(2 * metric_files.FLUSH_SECONDS)
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


@pytest.mark.long
def test_every_process_reports_the_counts_of_all(tmp_path: Path) -> None:
    found = scraped((3, 4), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert found == [{"requests_total": 7.0, "seconds_count": 7.0}] * 2


@pytest.mark.long
def test_without_a_shared_folder_each_process_reports_its_own_counts() -> None:
    found = scraped((1, 2))
    assert found == [
        {"requests_total": 1.0, "seconds_count": 1.0},
        {"requests_total": 2.0, "seconds_count": 2.0},
    ]


@pytest.mark.long
def test_the_counts_of_a_process_outlive_it(tmp_path: Path) -> None:
    scraped((3, 4), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    found = scraped((0, 1), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert [one["requests_total"] for one in found] == [8.0, 8.0]


def test_a_full_disk_ends_no_process_and_what_was_counted_is_written_later(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    fill(ballast)
    one = process(3, PROMETHEUS_MULTIPROC_DIR=str(small_disk))
    assert one.stdout is not None
    assert one.stdout.readline() == "answered\n"
    assert list(small_disk.glob("*.db")) == []
    ballast.unlink()
    said, _ = one.communicate("go on\n", timeout=60)
    assert one.returncode == 0
    assert samples(said) == {"requests_total": 3.0, "seconds_count": 3.0}


@pytest.mark.parametrize(
    "content", [bytes(64), b"\1\0\0", b"\xff\0\0\0\0\0\0\0\x10\0\0\0"], ids=["zeros", "short", "cut"]
)
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "counter_1.db"
    path.write_bytes(content)
    counts = metric_files.CountFile(str(path))
    counts.write_value("name", 3.0, 0.0)
    counts.flush()
    assert metric_files.CountFile(str(path)).read_value("name") == (3.0, 0.0)


def test_a_disk_that_becomes_full_while_counting_leaves_files_that_can_be_read(small_disk: Path) -> None:
    counts = metric_files.CountFile(str(small_disk / "counter_1.db"))
    counts.write_value("first", 1.0, 0.0)
    counts.flush()
    fill(small_disk / "ballast")
    for number in range(2000):
        counts.write_value(f"a key that needs another page of the file: {number}", 1.0, 0.0)
    counts.write_value("first", 2.0, 0.0)
    counts.flush()
    read = {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(small_disk / "counter_1.db"))}
    assert read.keys() == {"first"}
    (small_disk / "ballast").unlink()
    counts.flush()
    read = {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(small_disk / "counter_1.db"))}
    counts.close()
    assert (len(read), read["first"]) == (2001, 2.0)


def fill(ballast: Path) -> None:
    """Write until the disk takes nothing any more."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte; skipped where nothing may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
