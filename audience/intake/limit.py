"""How often a key may call: a token bucket in Redis, so that every web process counts together.

Without Redis everything is admitted: a limit is a courtesy, taking events in is the promise.
"""

import math
import time
from dataclasses import dataclass, field

import redis
import structlog
from django.conf import settings
from django.utils.asyncio import async_unsafe
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

# A process takes this many seconds' worth of a busy key's tokens at once, and asks Redis again when they are used up.
LEASE = 0.02
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
class _Limiter:
    """One per process: the script on a pooled connection, until when to leave Redis alone, and tokens taken ahead:
    by key id how many, and until when (time.monotonic())."""

    take: Script
    paused_until: float = 0.0
    ahead: dict[int, tuple[int, float]] = field(default_factory=dict)

    def spend(self, key_id: int, now: float) -> bool:
        """Two threads may spend one token twice, which a limit can bear and a lock would cost."""
        left, until = self.ahead.pop(key_id, (0, 0.0))
        if left < 1 or until < now:
            return False
        self.ahead[key_id] = (left - 1, until)
        return True


_limiter: _Limiter | None = None


def seconds_to_wait(key: ApiKey) -> int:
    """0 when the key may call now, else whole seconds until it may."""
    limiter = _the_limiter()
    now = time.monotonic()
    if now < limiter.paused_until or limiter.spend(key.pk, now):
        return 0
    rate = key.rate_limit or DEFAULT_RATE
    wanted = max(1, int(rate * LEASE))
    try:
        wait, given = _ask(limiter, [f"rate:{key.pk}"], [rate, rate * BURST_SECONDS, time.time(), wanted])
    except (redis.RedisError, OSError) as error:
        limiter.paused_until = now + PAUSE
        logger.warning("rate_limit_unavailable", error=type(error).__name__)
        return 0
    if given > 1:
        limiter.ahead[key.pk] = (given - 1, now + LEASE_ENDS)
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
