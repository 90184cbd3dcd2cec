"""When a delivery is tried again. Pure: numbers in, a moment or None out.

What the schedule has to satisfy:

1. Both networks deduplicate by event id for 48 hours after the first sight of it, so nothing is sent later than 47
   hours after the first attempt: a repeat after that would count twice.
2. A blip (a deploy, a reset) must heal within a minute; an outage of half a day must be survived.
3. After an outage everyone comes back at once: each delay gets up to 10 % on top, never less, so that deliveries which
   failed together are spread.
4. A network that names a Retry-After is believed: that wait replaces the schedule's, and jitter only adds to it.
5. A Retry-After of 0 must not become a tight loop: never sooner than a second.
6. An attempt that no delay is left for was the last one, whatever its Retry-After says.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

# Seconds after the 1st, 2nd, ... attempt: 8 attempts over 22 hours.
SCHEDULE = (
    30,  # a deploy, a reset
    2 * 60,
    10 * 60,  # an incident someone is looking at
    60 * 60,
    3 * 60 * 60,
    6 * 60 * 60,  # an outage over a night
    12 * 60 * 60,
)
JITTER = 0.10
SOONEST = 1.0
WINDOW = timedelta(hours=47)


def next_attempt(
    *,
    attempt: int,
    first_attempt_at: datetime,
    now: datetime,
    retry_after: float | None = None,
    chance: Callable[[], float] = random.random,
) -> datetime | None:
    """When to try again after attempt number `attempt` (from 1) failed; None when that was the last.

    `retry_after` is in seconds, as the network gave it; `chance` yields numbers from 0 to 1.
    """
    if attempt > len(SCHEDULE):
        return None
    wait = float(SCHEDULE[attempt - 1]) if retry_after is None else max(retry_after, SOONEST)
    at = now + timedelta(seconds=wait * (1 + JITTER * chance()))
    return at if at <= first_attempt_at + WINDOW else None
