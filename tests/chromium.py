"""Debian's chromium under Playwright, one for each test module.

While it runs there is an event loop in the main thread, which other tests must not have.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

# Playwright runs an event loop in the test's thread, in which Django would refuse queries.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


def missing() -> str:
    """Return why browser tests are skipped; '' if chromium is installed, and in CI, where they have to fail."""
    if os.path.exists(CHROMIUM) or os.environ.get("CI") == "true":
        return ""
    return f"{CHROMIUM} is not installed: apt-get install chromium"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
