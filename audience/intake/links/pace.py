"""Limits how many clicks of one address are stored, so that a flood does not fill the database.

Each web process counts its own clicks, and forgets them every WINDOW_SECONDS: a question to Valkey would take longer
than the rest of a redirect.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

import structlog
from django.conf import settings

from audience.intake.requests.caller import network_of

logger = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0
# Of one window. A flood from more of them starts a new one, so that the memory is bounded.
MAX_NETWORKS = 100_000


@dataclass(slots=True)
class _Window:
    """Clicks by network; `ends_at` is a time of time.monotonic()."""

    ends_at: float = 0.0
    clicks: Counter[str] = field(default_factory=Counter)


_window = _Window()


def take(address: str) -> bool:
    """Count a click from this address; whether it may be stored. An unreadable address, '', has no limit."""
    limit: int = settings.LINK_CLICKS_PER_MINUTE
    if not limit or not address:
        return True
    now = time.monotonic()
    if _window.ends_at <= now or len(_window.clicks) >= MAX_NETWORKS:
        _window.ends_at, _window.clicks = now + WINDOW_SECONDS, Counter()
    network = network_of(address)
    _window.clicks[network] += 1
    if _window.clicks[network] == limit + 1:
        # Without the address. Behind a proxy that TRUSTED_PROXIES does not name, it is that of all players.
        logger.warning("link_clicks_limited", limit=limit)
    return _window.clicks[network] <= limit


def forget() -> None:
    """Start a new window."""
    _window.ends_at = 0.0
