"""The clock of a skewed worker is wrong for Python, Django and Celery, and advances."""

import os
import subprocess
import sys
import time

import pytest

from tests.faults.installation import SKEWED

PRINT_CLOCKS = """
import time
from datetime import datetime, timezone as zone
from django.utils import timezone
from config.celery import app
started, monotonic = time.time(), time.monotonic()
time.sleep(0.2)
print(time.time(), datetime.now(zone.utc).timestamp(), timezone.now().timestamp(), app.now().timestamp())
print(time.time() - started, time.monotonic() - monotonic)
"""


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_every_clock_of_a_skewed_process_is_wrong_by_an_hour_and_advances(seconds: int) -> None:
    env = {**os.environ, "PYTHONPATH": str(SKEWED), "CLOCK_OFF_SECONDS": str(seconds)}
    started = time.time()
    output = subprocess.run(
        [sys.executable, "-c", PRINT_CLOCKS], env=env, capture_output=True, text=True, check=True
    ).stdout
    clocks, elapsed = ([float(word) for word in line.split()] for line in output.splitlines())
    assert [0 < clock - seconds - started < 60 for clock in clocks] == [True] * 4
    assert all(0.2 <= seconds < 10 for seconds in elapsed)
