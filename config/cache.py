"""The cache that all processes share, in Valkey: rate limits of the account pages, codes that were used.

While Valkey is away each process counts for itself: nobody is kept from signing in, and no limit is lifted.
What must hold then too is decided by the database (audience/accounts/sign_in_pace.py,
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
# After a failure Valkey is left alone for so long, so that an outage does not hold up every page.
LEFT_ALONE_SECONDS = 5.0
CONNECTION = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}


class JsonSerializer:
    """Values as JSON: whoever can write to Valkey must not run code here, as unpickling would let them."""

    def dumps(self, value: Any) -> str:
        return json.dumps(value)

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def _shared(name: str) -> Any:
    """A method of the cache: Valkey's, or that of this process while Valkey is away."""

    def method(cache: "SharedCache", *args: Any, **given: Any) -> Any:
        shared, own = getattr(RedisCache, name), getattr(cache.own, name)
        return cache.ask(lambda: shared(cache, *args, **given), lambda: own(*args, **given))

    return method


class SharedCache(RedisCache):
    """Django's cache in Redis or Valkey, with one in this process for when it does not answer."""

    away_until = 0.0  # by time.monotonic(), for all threads of the process

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {**CONNECTION, "serializer": JsonSerializer, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})
        self.own = LocMemCache(f"{PREFIX}-while-away", params)

    def ask(self, shared: Callable[[], Any], own: Callable[[], Any]) -> Any:
        """What Valkey answers, or this process while it is away."""
        if time.monotonic() >= SharedCache.away_until:
            try:
                return shared()
            except RedisError as error:
                SharedCache.away_until = time.monotonic() + LEFT_ALONE_SECONDS
                logger.warning("cache_away", error=type(error).__name__)
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
        """Delete what the cache wrote; Django's would empty the database, which the queue of the workers is in."""
        self.own.clear()
        self.ask(self._clear_shared, lambda: None)

    def _clear_shared(self) -> None:
        client = self._cache.get_client(write=True)
        for key in client.scan_iter(match=f"{self.key_prefix}:*", count=1_000):
            client.delete(key)
