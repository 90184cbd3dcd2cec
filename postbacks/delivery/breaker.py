"""The circuit breaker of a pixel: after consecutive failures nothing is sent for a while, then one probe.

Without it an outage of an hour would use up an attempt of every waiting delivery; with it, of a few.
"""

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from postbacks.delivery import pace
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
            flow.limited_at = now
            wait = timedelta(seconds=outcome.retry_after) if outcome.retry_after else pace.DEFAULT_PAUSE
            flow.next_slot_at = max(flow.next_slot_at or now, now + wait)


def _failed(flow: Flow, now: datetime, jitter: Callable[[], float]) -> None:
    if is_open(flow, now) and not flow.probing:
        return  # the call was in flight when the breaker opened
    flow.failures, flow.probing = flow.failures + 1, False
    if is_tripped(flow):
        period = min(OPEN_PERIOD * 2 ** min(flow.failures - FAILURE_THRESHOLD, 10), MAX_OPEN_PERIOD)
        flow.open_until = now + period * (1 + MAX_JITTER * jitter())
