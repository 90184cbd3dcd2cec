"""The cache shared by all processes, in Valkey: rate limits of the account pages, and codes already used.

While Valkey is unavailable each process uses a local cache: signing in still works, and limits apply per process.
Limits that must hold even then are in the database (audience/accounts/sign_in_pace.py,
audience/accounts/second_factor.py).
"""

import json
import time
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
PAUSE_SECONDS = 5.0
CONNECTION = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}


class JsonSerializer:
    """Values as JSON, since unpickling would let anyone with access to Valkey run code in this process."""

    dumps = staticmethod(json.dumps)
    loads = staticmethod(json.loads)


def _with_fallback(name: str) -> Any:
    """Return a cache method that uses Valkey or, while it is unavailable, this process's cache."""

    def method(cache: "SharedCache", *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() >= SharedCache.unavailable_until:
            try:
                return getattr(RedisCache, name)(cache, *args, **kwargs)
            except RedisError as error:
                SharedCache.unavailable_until = time.monotonic() + PAUSE_SECONDS
                logger.warning("cache_unavailable", error=type(error).__name__)
        return getattr(cache.fallback, name)(*args, **kwargs)

    return method


class SharedCache(RedisCache):
    """Django's Redis cache with a fallback in this process."""

    unavailable_until = 0.0  # by time.monotonic(), for all threads of the process

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {**CONNECTION, "serializer": JsonSerializer, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self.fallback = LocMemCache(f"{PREFIX}-fallback", params)

    add = _with_fallback("add")
    get = _with_fallback("get")
    set = _with_fallback("set")
    touch = _with_fallback("touch")
    delete = _with_fallback("delete")
    get_many = _with_fallback("get_many")
    has_key = _with_fallback("has_key")
    incr = _with_fallback("incr")
    set_many = _with_fallback("set_many")
    delete_many = _with_fallback("delete_many")

    def clear(self) -> None:
        """Delete what the cache wrote. Django's version would flush the database, which also holds the queues."""
        self.fallback.clear()
        client = self._cache.get_client(write=True)
        for key in client.scan_iter(match=f"{self.key_prefix}:*", count=1_000):
            client.delete(key)
