"""What requests will need soon, fetched before they do: keys (auth.py), tokens of the rate limit (limit.py).

On the event loop a request cannot wait for an answer of the database or of Redis. It would have to go to a thread, and
with it all that come until the answer is there. So the first one that finds something growing old leaves word here and
goes on with what there is.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import close_old_connections

logger = structlog.get_logger(__name__)

_thread = ThreadPoolExecutor(1, thread_name_prefix="intake-ahead")


def is_worthwhile() -> bool:
    """Elsewhere a request waits for the answer itself."""
    return asyncio._get_running_loop() is not None  # the other one raises, which costs more than asking


def fetch(work: Callable[[], object]) -> None:
    """Have `work` done soon, on a thread that may wait. When it fails, a request will find that out for itself."""
    _thread.submit(_fetch, work)


def _fetch(work: Callable[[], object]) -> None:
    try:
        close_old_connections()
        work()
    except Exception as error:
        logger.warning("not_fetched_ahead", error=f"{type(error).__name__}: {error}"[:200])
