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

# Requests a second of a key without a limit of its own: far above any SDK, below what a faulty loop sends.
DEFAULT_RATE = 1000
# The bucket holds the tokens of this many seconds, for clients that reconnect at the same time.
BURST_SECONDS = 5
# A request must not wait for a slow Redis. After an error Redis is not used for REDIS_PAUSE_SECONDS.
REDIS_TIMEOUT_SECONDS = 0.2
REDIS_PAUSE_SECONDS = 5.0

# A process takes the tokens of this many seconds from the bucket at once, and the next ones when half of them are spent
# or half of LEASE_EXPIRY_SECONDS have passed.
LEASE_SIZE_SECONDS = 0.05
# Tokens that are not spent within this time are lost.
LEASE_EXPIRY_SECONDS = 1.0

# KEYS[1] bucket; ARGV: rate per second, capacity, now in seconds, tokens wanted.
# Returns the seconds to wait, as text, and the number of tokens taken: at most those wanted.
TAKE = """
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local rate, capacity, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
local tokens = math.min(capacity, (tonumber(bucket[1]) or capacity) + passed * rate)
local wait, given = 0, math.min(math.floor(tokens), tonumber(ARGV[4]))
if given >= 1 then tokens = tokens - given else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 1)
return {tostring(wait), given}
"""


@dataclass(slots=True)
class _Lease:
    """Tokens that a process has taken from the bucket of a key: `left` of `size`, valid until `expires_at`
    (time.monotonic()). `is_renewing`: the next ones are being fetched."""

    size: int
    left: int
    expires_at: float
    is_renewing: bool = False

    def spend(self, now: float) -> bool:
        """Whether there was a token. Two threads may spend the same one; a lock would cost more than that matters."""
        if self.left < 1 or self.expires_at < now:
            return False
        self.left -= 1
        return True

    def runs_out(self, now: float) -> bool:
        return self.left < self.size / 2 or self.expires_at - now < LEASE_EXPIRY_SECONDS / 2


@dataclass(slots=True)
class _Limiter:
    """One per process: the script, and leases by key id. `paused_until` is of time.monotonic()."""

    take: Script
    paused_until: float = 0.0
    leases: dict[int, _Lease] = field(default_factory=dict)

    def left(self, key_id: int, now: float) -> int:
        lease = self.leases.get(key_id)
        return lease.left if lease and lease.expires_at >= now else 0


@cache
def get_limiter() -> _Limiter:
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
    return _Limiter(take=client.register_script(TAKE))


def seconds_to_wait(key: ApiKey) -> int:
    """0 when the key may call now, else whole seconds until it may. Raises SynchronousOnlyOperation on the event loop
    when the process has no tokens left."""
    limiter = get_limiter()
    now = time.monotonic()
    if now < limiter.paused_until:
        return 0
    lease = limiter.leases.get(key.pk)
    if lease is None or not lease.spend(now):
        return _take(limiter, key, spent=1)
    if not lease.is_renewing and lease.runs_out(now) and prefetch.on_event_loop():
        lease.is_renewing = True
        prefetch.prefetch(partial(_take, limiter, key, spent=0))
    return 0


@async_unsafe("A query must not block the event loop.")
def _take(limiter: _Limiter, key: ApiKey, *, spent: int) -> int:
    """Refill the key's lease, less the `spent` tokens. Returns the seconds to wait when the bucket is empty, else 0."""
    now = time.monotonic()
    rate = key.rate_limit or DEFAULT_RATE
    size = max(1, int(rate * LEASE_SIZE_SECONDS))
    wanted = max(1, size - limiter.left(key.pk, now))
    try:
        wait, given = limiter.take([f"rate:{key.pk}"], [rate, rate * BURST_SECONDS, clock.now().timestamp(), wanted])
    except (redis.RedisError, OSError) as error:
        limiter.paused_until = now + REDIS_PAUSE_SECONDS
        logger.warning("rate_limit_unavailable", error=type(error).__name__)
        return 0
    if given:
        # Read again: requests have spent tokens during the query.
        limiter.leases[key.pk] = _Lease(size, limiter.left(key.pk, now) + given - spent, now + LEASE_EXPIRY_SECONDS)
    return math.ceil(float(wait))
