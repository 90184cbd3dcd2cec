from collections.abc import Iterator
from typing import Any

import pytest

from postbacks.sandbox.server import Sandbox


@pytest.fixture
def sandbox(settings: Any) -> Iterator[Sandbox]:
    """Both networks, imitated on a port of their own, and the settings pointing there."""
    with Sandbox(hold=2.0) as running:
        settings.NETWORK_URLS = {"TIKTOK_API_URL": running.url, "REDDIT_API_URL": running.url}
        yield running
