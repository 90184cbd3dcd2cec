"""The clock of a skewed worker is off for Python, Django and Celery alike, and advances."""

import os
import subprocess
import sys
import time

import pytest

from tests.faults.installation import SKEWED

TELL = """
import time
from datetime import datetime, timezone as zone
from django.utils import timezone
from config.celery import app
before, steady = time.time(), time.monotonic()
time.sleep(0.2)
print(time.time(), datetime.now(zone.utc).timestamp(), timezone.now().timestamp(), app.now().timestamp())
print(time.time() - before, time.monotonic() - steady)
"""


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_skewed_process_is_an_hour_off_everywhere_and_its_clock_runs_on(seconds: int) -> None:
    env = {**os.environ, "PYTHONPATH": str(SKEWED), "CLOCK_OFF_SECONDS": str(seconds)}
    started = time.time()
    told = subprocess.run([sys.executable, "-c", TELL], env=env, capture_output=True, text=True, check=True).stdout
    clocks, passed = ([float(word) for word in line.split()] for line in told.splitlines())
    assert [0 < clock - seconds - started < 60 for clock in clocks] == [True] * 4
    assert all(0.2 <= moment < 10 for moment in passed)
