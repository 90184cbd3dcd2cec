"""The retry schedule, as pure functions. Its constraints:

1. TikTok and Reddit deduplicate by event id for 48 hours after they first receive it, so nothing is sent later than 47
   hours after the first attempt: a later repeat would count twice.
2. A deploy or a reset must delay a delivery by less than a minute; an outage of half a day must lose none.
3. Deliveries that failed together must not be retried together: each delay gets up to 10 % on top, never less.
4. A Retry-After replaces the delay of the schedule, and jitter only adds to it.
5. A Retry-After of 0 must not become a tight loop, and one of days must not stop a pixel for days: it is bounded by a
   second and the longest delay of the schedule. The pages show what the network asked for.
6. An attempt after the last delay is the last one, whatever its Retry-After.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

# Seconds after the 1st, 2nd, ... attempt: 8 attempts over 22 hours.
SCHEDULE = (
    30,  # a deploy, a reset
    2 * 60,
    10 * 60,  # an incident
    60 * 60,
    3 * 60 * 60,
    6 * 60 * 60,  # an outage overnight
    12 * 60 * 60,
)
LONGEST_SECONDS = float(max(SCHEDULE))
MAX_JITTER = 0.10
MIN_SECONDS = 1.0
MAX_RETRY_PERIOD = timedelta(hours=47)


def next_attempt(
    *,
    attempt: int,
    first_attempt_at: datetime,
    now: datetime,
    retry_after: float | None = None,
    jitter: Callable[[], float] = random.random,
) -> datetime | None:
    """Return when to try again after attempt number `attempt` (from 1) failed; None if that was the last.

    `retry_after` is in seconds, from the answer; `jitter` returns 0 to 1.
    """
    if attempt > len(SCHEDULE):
        return None
    wait = float(SCHEDULE[attempt - 1]) if retry_after is None else bounded(retry_after)
    next_at = now + timedelta(seconds=wait * (1 + MAX_JITTER * jitter()))
    return next_at if next_at <= first_attempt_at + MAX_RETRY_PERIOD else None


def bounded(retry_after: float) -> float:
    """Return the seconds to wait after an answer that asks for `retry_after` seconds."""
    return min(max(retry_after, MIN_SECONDS), LONGEST_SECONDS)
