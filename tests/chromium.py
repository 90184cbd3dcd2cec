"""Debian's chromium under Playwright, one for each file of tests.

While it runs there is an event loop in the test's thread, on which other tests would find themselves.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

# Playwright runs an event loop in the test's thread; the tests' own queries are still plain ones.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


def missing() -> str:
    """Why there is no browser here; '' where there is one, and in CI, where its absence is to fail."""
    if os.path.exists(CHROMIUM) or os.environ.get("CI") == "true":
        return ""
    return f"{CHROMIUM} is not installed: apt-get install chromium"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()
