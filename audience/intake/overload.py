"""Requests answered 503 lately, by all web processes together: what senders were asked to send again.

Counted in Redis by the minute, at most once a second from each process, so that telling costs nothing while there is
too much to do. Without Redis nothing is counted: it is a notice for the overview, not a promise.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from audience.database import clock

logger = structlog.get_logger(__name__)

MINUTES = 15
NAME = "turned-away"
# Seconds between two words to Redis, for its answer, and without one after it gave none.
EVERY = 1.0
PATIENCE = 0.2
PAUSE = 5.0
# An answer of its own that says what is not well (config/probes.py).
READY = "/readyz"

Respond = Callable[[HttpRequest], HttpResponseBase]


class OverloadMiddleware:
    """The outermost, around the short way of the wire routes too."""

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code == 503 and request.path_info != READY:
            note()
        return response


@dataclass(slots=True)
class _Tally:
    """What this process has not told Redis yet, and when it may next."""

    client: "redis.Redis"
    number: int = 0
    next_word: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self, now: float) -> int:
        """What to tell now; 0 while the last word is too fresh."""
        with self.lock:
            if now < self.next_word:
                return 0
            number, self.number, self.next_word = self.number, 0, now + EVERY
            return number


_tally: _Tally | None = None


def note() -> None:
    """One more request was turned away."""
    tally = _the_tally()
    with tally.lock:
        tally.number += 1
    _tell(tally)


def lately() -> int:
    """Requests turned away in the last MINUTES, about; 0 when Redis is away."""
    tally = _the_tally()
    _tell(tally)
    try:
        found = tally.client.mget([_name(back) for back in range(MINUTES)])
    except (redis.RedisError, OSError):
        return 0
    return sum(int(number) for number in found if number)


def _tell(tally: _Tally) -> None:
    number = tally.taken(time.monotonic())
    if not number:
        return
    try:
        with tally.client.pipeline(transaction=False) as words:
            words.incrby(_name(), number)
            words.expire(_name(), 60 * (MINUTES + 1))
            words.execute()
    except (redis.RedisError, OSError) as error:
        logger.warning("overload_untold", requests=number, error=type(error).__name__)
        with tally.lock:
            tally.number += number
            tally.next_word = time.monotonic() + PAUSE


def _name(back: int = 0) -> str:
    return f"{NAME}:{int(clock.now().timestamp() // 60) - back}"


def _the_tally() -> _Tally:
    global _tally
    if _tally is None:
        url = settings.CELERY_BROKER_URL
        _tally = _Tally(redis.Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE))
    return _tally
