"""How often a key may call: a token bucket in Redis, so that every web process counts together.

Without Redis everything is admitted: a limit is a courtesy, taking events in is the promise.
"""

import math
import time
from dataclasses import dataclass, field
from functools import partial

import redis
import structlog
from django.conf import settings
from django.utils.asyncio import async_unsafe
from redis.commands.core import Script

from audience.database import clock
from audience.intake.storing import ahead
from audience.models import ApiKey

logger = structlog.get_logger(__name__)

# Requests a second of a key without a limit of its own: far above any SDK, below what one runaway loop can send.
DEFAULT_RATE = 1000
# A bucket holds this many seconds' worth, so that a reconnecting fleet is not turned away.
BURST_SECONDS = 5
# Seconds; a request must not wait for a slow Redis, and an absent one is left alone for a while.
PATIENCE = 0.2
PAUSE = 5.0

# A process takes this many seconds' worth of a busy key's tokens at once, and more when half of them are spent or half
# of their time is over.
LEASE = 0.05
# Seconds after which tokens taken ahead are worth nothing: their key has fallen silent here.
LEASE_ENDS = 1.0

# KEYS[1] bucket; ARGV: rate per second, capacity, now in seconds, tokens wanted.
# Returns the seconds to wait, as text, and how many tokens it gave: as many of the wanted ones as there are.
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
    """Tokens of a key that were taken ahead: how many of how many are left, until when (time.monotonic()), and whether
    more are on their way."""

    size: int
    left: int
    until: float
    is_renewed: bool = False

    def spend(self, now: float) -> bool:
        """Two threads may spend one token twice, which a limit can bear and a lock would cost."""
        if self.left < 1 or self.until < now:
            return False
        self.left -= 1
        return True

    def runs_out(self, now: float) -> bool:
        return self.left < self.size / 2 or self.until - now < LEASE_ENDS / 2


@dataclass(slots=True)
class _Limiter:
    """One per process: the script on a pooled connection, until when to leave Redis alone, and leases by key id."""

    take: Script
    paused_until: float = 0.0
    leases: dict[int, _Lease] = field(default_factory=dict)

    def left(self, key_id: int, now: float) -> int:
        lease = self.leases.get(key_id)
        return lease.left if lease and lease.until >= now else 0


_limiter: _Limiter | None = None


def seconds_to_wait(key: ApiKey) -> int:
    """0 when the key may call now, else whole seconds until it may. On the event loop SynchronousOnlyOperation, when
    Redis has to be asked."""
    limiter = _the_limiter()
    now = time.monotonic()
    if now < limiter.paused_until:
        return 0
    lease = limiter.leases.get(key.pk)
    if lease is None or not lease.spend(now):
        return _take(limiter, key, spent=1)
    if not lease.is_renewed and lease.runs_out(now) and ahead.is_worthwhile():
        lease.is_renewed = True
        ahead.fetch(partial(_take, limiter, key, spent=0))
    return 0


def _take(limiter: _Limiter, key: ApiKey, *, spent: int) -> int:
    """Fill the key's lease up, less those `spent` already; the seconds to wait when there is nothing to be had."""
    now = time.monotonic()
    rate = key.rate_limit or DEFAULT_RATE
    size = max(1, int(rate * LEASE))
    wanted = max(1, size - limiter.left(key.pk, now))
    try:
        wait, given = _ask(limiter, [f"rate:{key.pk}"], [rate, rate * BURST_SECONDS, clock.now().timestamp(), wanted])
    except (redis.RedisError, OSError) as error:
        limiter.paused_until = now + PAUSE
        logger.warning("rate_limit_unavailable", error=type(error).__name__)
        return 0
    if given:
        # Looked at anew: requests went on spending while Redis was asked.
        limiter.leases[key.pk] = _Lease(size, limiter.left(key.pk, now) + given - spent, now + LEASE_ENDS)
    return math.ceil(float(wait))


@async_unsafe("Redis may keep a thread waiting, but not the event loop.")
def _ask(limiter: _Limiter, keys: list[str], args: list[float]) -> tuple[str, int]:
    wait, given = limiter.take(keys=keys, args=args)
    return wait, given


def _the_limiter() -> _Limiter:
    global _limiter
    if _limiter is None:
        client = redis.Redis.from_url(
            settings.CELERY_BROKER_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        )
        _limiter = _Limiter(take=client.register_script(TAKE))
    return _limiter
