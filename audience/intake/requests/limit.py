"""The rate limit of a key: a token bucket in Redis, shared by all web processes.

Without Redis no request is limited: storing events is more important than the limit.
"""

import math
import time
from dataclasses import dataclass, field
from functools import cache, partial

import redis
import structlog
from django.conf import settings
from django.utils.asyncio import async_unsafe
from redis.commands.core import Script

from audience.database import clock
from audience.intake.requests import prefetch
from audience.models import ApiKey

logger = structlog.get_logger(__name__)

# Requests a second of a key without its own limit: far above any SDK, below what a faulty loop sends.
DEFAULT_RATE = 1000
# The bucket holds the tokens of this many seconds, for clients that reconnect at the same time.
BURST_SECONDS = 5
# A request must not wait for a slow Redis. After an error Redis is not used for REDIS_PAUSE_SECONDS.
REDIS_TIMEOUT_SECONDS = 0.2
REDIS_PAUSE_SECONDS = 5.0

# A process takes the tokens of this many seconds from the bucket at once, and the next ones when half of them are used
# or half of LEASE_EXPIRY_SECONDS have passed.
LEASE_SIZE_SECONDS = 0.05
# Tokens that are not used within this time are lost.
LEASE_EXPIRY_SECONDS = 1.0

# KEYS[1]: the bucket. ARGV: the rate per second, the capacity, the time in seconds, the number of tokens requested.
# Returns the seconds to wait, as text, and the number of tokens taken, at most those requested.
TAKE = """
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, capacity, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local elapsed = math.max(0, now - (tonumber(bucket[2]) or now))
local tokens = math.min(capacity, (tonumber(bucket[1]) or capacity) + elapsed * rate)
local wait, taken = 0, math.min(math.floor(tokens), tonumber(ARGV[4]))
if taken >= 1 then tokens = tokens - taken else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 1)
return {tostring(wait), taken}
"""


@dataclass(slots=True)
class _Lease:
    """Tokens that a process has taken from the bucket of a key: `remaining` of `size`, valid until `expires_at`
    (time.monotonic()). `is_renewing`: the next ones are being taken."""

    size: int
    remaining: int
    expires_at: float
    is_renewing: bool = False

    def spend(self, now: float) -> bool:
        """Use a token; False if there is none. Without a lock, which costs more than a token that two threads use."""
        if self.remaining < 1 or self.expires_at < now:
            return False
        self.remaining -= 1
        return True

    def is_renewal_due(self, now: float) -> bool:
        return self.remaining < self.size / 2 or self.expires_at - now < LEASE_EXPIRY_SECONDS / 2


@dataclass(slots=True)
class _Limiter:
    """One per process: the script, and the leases by key id. `paused_until` is a time of time.monotonic()."""

    take: Script
    paused_until: float = 0.0
    leases: dict[int, _Lease] = field(default_factory=dict)

    def remaining(self, key_id: int, now: float) -> int:
        lease = self.leases.get(key_id)
        return lease.remaining if lease and lease.expires_at >= now else 0


@cache
def get_limiter() -> _Limiter:
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
    return _Limiter(take=client.register_script(TAKE))


def seconds_to_wait(key: ApiKey) -> int:
    """The whole seconds until the key may send a request; 0 when it may send one now. Uses a token. Raises
    SynchronousOnlyOperation on the event loop when the process has no tokens."""
    limiter = get_limiter()
    now = time.monotonic()
    if now < limiter.paused_until:
        return 0
    lease = limiter.leases.get(key.pk)
    if lease is None or not lease.spend(now):
        return _take(limiter, key, spent=1)
    if not lease.is_renewing and lease.is_renewal_due(now) and prefetch.on_event_loop():
        lease.is_renewing = True
        prefetch.prefetch(partial(_take, limiter, key, spent=0))
    return 0


@async_unsafe("A query must not block the event loop.")
def _take(limiter: _Limiter, key: ApiKey, *, spent: int) -> int:
    """Refill the key's lease, less the `spent` tokens. Return the seconds to wait when the bucket is empty, else 0."""
    now = time.monotonic()
    rate = key.rate_limit or DEFAULT_RATE
    size = max(1, int(rate * LEASE_SIZE_SECONDS))
    requested = max(1, size - limiter.remaining(key.pk, now))
    try:
        wait, taken = limiter.take([f"rate:{key.pk}"], [rate, rate * BURST_SECONDS, clock.now().timestamp(), requested])
    except (redis.RedisError, OSError) as error:
        limiter.paused_until = now + REDIS_PAUSE_SECONDS
        logger.warning("rate_limit_unavailable", error=type(error).__name__)
        return 0
    if taken:
        # Read again: requests may have used tokens during the query.
        remaining = limiter.remaining(key.pk, now) + taken - spent
        limiter.leases[key.pk] = _Lease(size, remaining, now + LEASE_EXPIRY_SECONDS)
    return math.ceil(float(wait))
