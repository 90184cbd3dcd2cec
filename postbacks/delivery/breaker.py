"""The circuit breaker of a pixel: after consecutive failures nothing is sent for a while, then one probe.

Without it an outage of an hour would use up an attempt of every waiting delivery; with it, of a few.
"""

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from postbacks.delivery import pace, retry_schedule
from postbacks.models import Flow
from postbacks.networks.interface.call import Outcome, Verdict

# Consecutive transient failures that open the breaker.
FAILURE_THRESHOLD = 5
# How long it is open: twice as long each time the probe fails too, up to the maximum.
OPEN_PERIOD = timedelta(seconds=15)
MAX_OPEN_PERIOD = timedelta(minutes=10)
MAX_JITTER = 0.25
# After this time the worker of a probe is considered dead and another probe may start. Longer than a call's time-out.
PROBE_TIMEOUT = timedelta(seconds=15)
# Flows that any answer but a transient failure resets.
WITH_FAILURES = Q(failures__gt=0) | Q(open_until__isnull=False) | Q(probing=True)


def is_open(flow: Flow, now: datetime) -> bool:
    """Whether nothing may be sent to the pixel now."""
    return flow.open_until is not None and flow.open_until > now


def is_tripped(flow: Flow) -> bool:
    """Whether only a probe may be sent: the last FAILURE_THRESHOLD or more calls failed."""
    return flow.failures >= FAILURE_THRESHOLD


def probe(flow: Flow, now: datetime) -> None:
    """Reserve the probe on the locked `flow`, which the caller saves."""
    flow.probing, flow.open_until = True, now + PROBE_TIMEOUT


def apply_outcomes(
    flow: Flow, outcomes: Iterable[Outcome], now: datetime, jitter: Callable[[], float] = random.random
) -> None:
    """Apply the outcomes of calls to the locked `flow`, which the caller saves; `jitter` returns 0 to 1."""
    for outcome in outcomes:
        if outcome.verdict == Verdict.TRANSIENT and not outcome.limited:
            _failed(flow, now, jitter)
            continue
        # Any answer closes the breaker, also one that refuses the event or the credential: the network works.
        flow.failures, flow.open_until, flow.probing = 0, None, False
        if outcome.limited:
            _limit(flow, outcome.retry_after, now)


def _limit(flow: Flow, retry_after: float | None, now: datetime) -> None:
    """Pause the pixel for as long as the network asks, within the bounds of the retry schedule."""
    wait = timedelta(seconds=retry_schedule.bounded(retry_after)) if retry_after else pace.DEFAULT_PAUSE
    flow.limited_at = now
    flow.asked_until = now + timedelta(seconds=retry_after) if retry_after else None
    flow.next_slot_at = max(flow.next_slot_at or now, now + wait)


def end_pause(flow: Flow, now: datetime) -> None:
    """End the pause of the locked `flow`, which the caller saves: one probe may be sent, and the others after it."""
    flow.failures, flow.open_until, flow.probing = max(flow.failures, FAILURE_THRESHOLD), now, False
    flow.next_slot_at = flow.asked_until = None


def _failed(flow: Flow, now: datetime, jitter: Callable[[], float]) -> None:
    if is_open(flow, now) and not flow.probing:
        return  # the call was in flight when the breaker opened
    flow.failures, flow.probing = flow.failures + 1, False
    if is_tripped(flow):
        period = min(OPEN_PERIOD * 2 ** min(flow.failures - FAILURE_THRESHOLD, 10), MAX_OPEN_PERIOD)
        flow.open_until = now + period * (1 + MAX_JITTER * jitter())
