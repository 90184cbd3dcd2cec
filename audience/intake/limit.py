"""How often a key may call: a token bucket in Redis, so that every web process counts together.

Without Redis everything is admitted: a limit is a courtesy, taking events in is the promise.
"""

import math
import time
from dataclasses import dataclass

import redis
import structlog
from django.conf import settings
from redis.commands.core import Script

from audience.models import ApiKey

logger = structlog.get_logger(__name__)

# Requests a second of a key without a limit of its own: far above any SDK, below what one runaway loop can send.
DEFAULT_RATE = 1000
# A bucket holds this many seconds' worth, so that a reconnecting fleet is not turned away.
BURST_SECONDS = 5
# Seconds; a request must not wait for a slow Redis, and an absent one is left alone for a while.
PATIENCE = 0.2
PAUSE = 5.0

# KEYS[1] bucket; ARGV: rate per second, capacity, now in seconds. Returns the seconds to wait, as text.
TAKE = """
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, capacity, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
local tokens = math.min(capacity, (tonumber(bucket[1]) or capacity) + passed * rate)
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 1)
return tostring(wait)
"""


@dataclass(slots=True)
class _Limiter:
    """One per process: the script on a pooled connection, and until when to leave Redis alone."""

    take: Script
    paused_until: float = 0.0


_limiter: _Limiter | None = None


def seconds_to_wait(key: ApiKey) -> int:
    """0 when the key may call now, else whole seconds until it may."""
    limiter = _the_limiter()
    if time.monotonic() < limiter.paused_until:
        return 0
    rate = key.rate_limit or DEFAULT_RATE
    try:
        wait = float(limiter.take(keys=[f"rate:{key.pk}"], args=[rate, rate * BURST_SECONDS, time.time()]))
    except (redis.RedisError, OSError) as error:
        limiter.paused_until = time.monotonic() + PAUSE
        logger.warning("rate_limit_unavailable", error=type(error).__name__)
        return 0
    return math.ceil(wait)


def _the_limiter() -> _Limiter:
    global _limiter
    if _limiter is None:
        client = redis.Redis.from_url(
            settings.CELERY_BROKER_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        )
        _limiter = _Limiter(take=client.register_script(TAKE))
    return _limiter
