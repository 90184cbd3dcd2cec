"""Closing an attempt: what the network answered, written to the log, and what becomes of the delivery.

A worker may come back late, when its lease ran out and another one has sent the row again. It may still tell what its
own call brought, and an accepted event is accepted whoever hears of it; it must not touch anything else.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from audience.models import Reason
from postbacks.deciding import gate
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState
from postbacks.networks.base import Outcome, Response, Verdict
from postbacks.sending import retry
from postbacks.sending.claims import Claim
from postbacks.setup.rules import masked

MESSAGE_MAX = 500  # characters; enough for the longest answer seen, little enough to keep for ever


@transaction.atomic
def close(taken: Claim, outcome: Outcome, response: Response | None) -> None:
    """Record `outcome` on the attempt and move its delivery on. Does nothing when the delivery is gone."""
    rows = Delivery.objects.select_for_update(of=("self",)).select_related("config")
    delivery = rows.filter(pk=taken.delivery.pk).first()
    if delivery is None:
        return
    now = timezone.now()
    ours = delivery.state == DeliveryState.WAITING and delivery.attempts_made == taken.attempt.number
    if outcome.verdict == Verdict.SUCCESS:
        _record(taken, AttemptStatus.SUCCESS, outcome, response, now)
        if delivery.state != DeliveryState.CANCELLED:
            _finish(delivery, DeliveryState.DELIVERED, "", now)
    elif outcome.verdict == Verdict.TRANSIENT and ours:
        _try_later(delivery, taken, outcome, response, now)
    elif outcome.verdict == Verdict.TRANSIENT and delivery.state == DeliveryState.WAITING:
        _record(taken, AttemptStatus.RETRIED, outcome, response, now)
    else:
        _record(taken, AttemptStatus.FAILED, outcome, response, now)
        if ours:
            _finish(delivery, DeliveryState.FAILED, "", now)


def _try_later(delivery: Delivery, taken: Claim, outcome: Outcome, response: Response | None, now: datetime) -> None:
    """Schedule the next attempt, or give up when none is left in time."""
    at = retry.next_attempt(
        attempt=taken.attempt.number,
        first_attempt_at=delivery.first_attempt_at or taken.attempt.started_at,
        now=now,
        retry_after=outcome.retry_after,
    )
    too_old = at is not None and gate.is_too_old(delivery.config, delivery.event_at, at)
    if at is None or too_old:
        _record(taken, AttemptStatus.FAILED, outcome, response, now)
        _finish(delivery, DeliveryState.FAILED, Reason.TOO_OLD if too_old else "", now)
        return
    _record(taken, AttemptStatus.RETRIED, outcome, response, now)
    delivery.next_attempt_at, delivery.leased_until = at, None
    delivery.save(update_fields=["next_attempt_at", "leased_until"])


def _finish(delivery: Delivery, state: DeliveryState, reason: str, now: datetime) -> None:
    delivery.state, delivery.reason, delivery.finished_at = state, reason, now
    delivery.next_attempt_at = delivery.leased_until = None
    delivery.save(update_fields=["state", "reason", "finished_at", "next_attempt_at", "leased_until"])


def _record(taken: Claim, status: AttemptStatus, outcome: Outcome, response: Response | None, now: datetime) -> None:
    attempt = DeliveryAttempt.objects.filter(pk=taken.attempt.pk)
    attempt.update(
        status=status,
        finished_at=now,
        verdict=outcome.verdict.value,
        http_status=response.status if response else None,
        latency_ms=response.latency_ms if response else None,
        provider_code=(outcome.code or "")[:64],
        message=masked(outcome.message, taken.token)[:MESSAGE_MAX],
        request_id=(outcome.request_id or "")[:128],
    )
