"""The breaker: a pixel whose network fails again and again is left alone, then tried with one call.

Without it an outage of an hour would spend an attempt of every waiting delivery; with it a handful are spent, and the
others wait where they are.
"""

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from postbacks.delivery import pace
from postbacks.models import Flow
from postbacks.networks.interface.network import Outcome, Verdict

# Transient failures in a row before nothing is tried any more.
FAILURES = 5
# How long nothing is tried: twice as long each time the probe fails too, up to the longest.
REST = timedelta(seconds=15)
LONGEST_REST = timedelta(minutes=10)
JITTER = 0.25
# A probe whose worker died is given up by then (longer than a call's time-out).
PROBE = timedelta(seconds=15)
# Flows that a good answer changes.
TROUBLED = Q(failures__gt=0) | Q(open_until__isnull=False) | Q(probing=True)


def is_open(flow: Flow, now: datetime) -> bool:
    """Whether the pixel is being left alone."""
    return flow.open_until is not None and flow.open_until > now


def is_tripped(flow: Flow) -> bool:
    """Whether only a probe may go out: there was a run of failures and no success since."""
    return flow.failures >= FAILURES


def probe(flow: Flow, now: datetime) -> None:
    """Take the one probe on the locked `flow`, which the caller saves; nobody else tries meanwhile."""
    flow.probing, flow.open_until = True, now + PROBE


def learn(flow: Flow, outcomes: Iterable[Outcome], now: datetime, chance: Callable[[], float] = random.random) -> None:
    """What these answers mean for the pixel: on the locked `flow`, which the caller saves."""
    for outcome in outcomes:
        if outcome.verdict == Verdict.TRANSIENT and not outcome.limited:
            _failed(flow, now, chance)
            continue
        # Whatever it said of the event or the credential, the network answered.
        flow.failures, flow.open_until, flow.probing = 0, None, False
        if outcome.limited:
            flow.limited_at = now
            wait = timedelta(seconds=outcome.retry_after) if outcome.retry_after else pace.REST
            flow.next_slot_at = max(flow.next_slot_at or now, now + wait)


def _failed(flow: Flow, now: datetime, chance: Callable[[], float]) -> None:
    if is_open(flow, now) and not flow.probing:
        return  # it was in flight when the breaker opened, and tells nothing new
    flow.failures, flow.probing = flow.failures + 1, False
    if is_tripped(flow):
        rest = min(REST * 2 ** min(flow.failures - FAILURES, 10), LONGEST_REST)
        flow.open_until = now + rest * (1 + JITTER * chance())
