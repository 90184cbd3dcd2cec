"""The circuit breaker of a pixel: after failures in a row nothing is sent for a while, then one probe.

Without it an outage of an hour would use up an attempt of every waiting delivery; with it, of a handful.
"""

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from postbacks.delivery import pace
from postbacks.models import Flow
from postbacks.networks.interface.call import Outcome, Verdict

# Transient failures in a row that open the breaker.
FAILURES = 5
# How long it is open: twice as long each time the probe fails too, up to the maximum.
REST = timedelta(seconds=15)
MAX_REST = timedelta(minutes=10)
JITTER = 0.25
# After this time another probe may start: the worker of the first one died. Longer than a call's time-out.
PROBE = timedelta(seconds=15)
# Flows that an answer other than a failure changes.
TROUBLED = Q(failures__gt=0) | Q(open_until__isnull=False) | Q(probing=True)


def is_open(flow: Flow, now: datetime) -> bool:
    """Whether nothing may be sent to the pixel now."""
    return flow.open_until is not None and flow.open_until > now


def is_tripped(flow: Flow) -> bool:
    """Whether only a probe may be sent: there were failures in a row and no other answer since."""
    return flow.failures >= FAILURES


def probe(flow: Flow, now: datetime) -> None:
    """Reserve the probe on the locked `flow`, which the caller saves."""
    flow.probing, flow.open_until = True, now + PROBE


def apply_outcomes(
    flow: Flow, outcomes: Iterable[Outcome], now: datetime, chance: Callable[[], float] = random.random
) -> None:
    """Apply the outcomes of calls to the locked `flow`, which the caller saves; `chance` is for the jitter."""
    for outcome in outcomes:
        if outcome.verdict == Verdict.TRANSIENT and not outcome.limited:
            _failed(flow, now, chance)
            continue
        # Any answer shows that the network works, also one that refuses the event or the credential.
        flow.failures, flow.open_until, flow.probing = 0, None, False
        if outcome.limited:
            flow.limited_at = now
            wait = timedelta(seconds=outcome.retry_after) if outcome.retry_after else pace.REST
            flow.next_slot_at = max(flow.next_slot_at or now, now + wait)


def _failed(flow: Flow, now: datetime, chance: Callable[[], float]) -> None:
    if is_open(flow, now) and not flow.probing:
        return  # the call was in flight when the breaker opened
    flow.failures, flow.probing = flow.failures + 1, False
    if is_tripped(flow):
        rest = min(REST * 2 ** min(flow.failures - FAILURES, 10), MAX_REST)
        flow.open_until = now + rest * (1 + JITTER * chance())
