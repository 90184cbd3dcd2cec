"""The cache shared by all processes, in Valkey: rate limits of the account pages, and used codes.

While Valkey is unavailable each process uses a cache of its own: signing in still works, and limits apply per process.
Limits that must hold even then are in the database (audience/accounts/sign_in_pace.py,
audience/accounts/second_factor.py).
"""

import json
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = structlog.get_logger(__name__)

PREFIX = "afterclick"
# The pause after a failure, so that an outage does not slow down every page.
LEFT_ALONE_SECONDS = 5.0
CONNECTION = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}


class JsonSerializer:
    """Values as JSON, since unpickling would let anyone with access to Valkey run code here."""

    dumps = staticmethod(json.dumps)
    loads = staticmethod(json.loads)


def _shared(name: str) -> Any:
    """Return a cache method that uses Valkey or, while it is unavailable, this process's cache."""

    def method(cache: "SharedCache", *args: Any, **given: Any) -> Any:
        shared, own = getattr(RedisCache, name), getattr(cache.own, name)
        return cache.ask(lambda: shared(cache, *args, **given), lambda: own(*args, **given))

    return method


class SharedCache(RedisCache):
    """Django's Redis cache with a fallback in this process."""

    away_until = 0.0  # by time.monotonic(), for all threads of the process

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {**CONNECTION, "serializer": JsonSerializer, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self.own = LocMemCache(f"{PREFIX}-while-away", params)

    def ask(self, shared: Callable[[], Any], own: Callable[[], Any]) -> Any:
        """Return the answer of Valkey or, while it is unavailable, of this process's cache."""
        if time.monotonic() >= SharedCache.away_until:
            try:
                return shared()
            except RedisError as error:
                SharedCache.away_until = time.monotonic() + LEFT_ALONE_SECONDS
                logger.warning("cache_unavailable", error=type(error).__name__)
        return own()

    add = _shared("add")
    get = _shared("get")
    set = _shared("set")
    touch = _shared("touch")
    delete = _shared("delete")
    get_many = _shared("get_many")
    has_key = _shared("has_key")
    incr = _shared("incr")
    set_many = _shared("set_many")
    delete_many = _shared("delete_many")

    def clear(self) -> None:
        """Delete what the cache wrote. Django's version would flush the database, which also holds the queues."""
        self.own.clear()
        self.ask(self._clear_shared, lambda: None)

    def _clear_shared(self) -> None:
        client = self._cache.get_client(write=True)
        for key in client.scan_iter(match=f"{self.key_prefix}:*", count=1_000):
            client.delete(key)
