"""Queries that requests on the event loop do not wait for: of keys and rate limit tokens that will be needed soon.

A request on the event loop that needs a query is answered on a thread instead (dialects/base.py), and so are all others
that need the same key until the query has ended. The first request whose cached value is about to expire therefore
starts the query here and continues with the cached value.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import close_old_connections

logger = structlog.get_logger(__name__)

executor = ThreadPoolExecutor(1, thread_name_prefix="intake-prefetch")


def on_event_loop() -> bool:
    """Whether the caller runs on an event loop. Elsewhere a request waits for the query itself."""
    return asyncio._get_running_loop() is not None  # get_running_loop raises, which takes longer


def prefetch(query: Callable[[], object]) -> None:
    """Run `query` on a background thread. Errors are logged; the next request that needs its result repeats it."""
    executor.submit(_run, query)


def _run(query: Callable[[], object]) -> None:
    try:
        close_old_connections()
        query()
    except Exception as error:
        logger.warning("prefetch_failed", error=f"{type(error).__name__}: {error}"[:200])
