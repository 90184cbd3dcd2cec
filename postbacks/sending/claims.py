"""Taking one due Delivery into one worker's hands: looked at once more, leased, its attempt written before the call."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from audience.models import Reason
from consent.models import Level
from postbacks.deciding import gate, outbox
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState
from postbacks.sending import retry

logger = structlog.get_logger(__name__)

# Longer than any call may take (delivery.TIMEOUT, 10 s) with room for a slow database: until then the row is ours.
LEASE = timedelta(seconds=30)
STOPPED = "The worker stopped before the answer came"
STOPPED_AND_SENT_AGAIN = f"{STOPPED}; sent again with the same event id."


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A leased delivery with its open attempt. `token` is '' when no key opens the stored credential."""

    delivery: Delivery
    attempt: DeliveryAttempt
    level: Level
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _CalledOff:
    state: DeliveryState
    reason: Reason | None


def claim(*, network: str) -> Claim | None:
    """The next due delivery of `network`, leased; None when nothing is due. Those called off on the way are closed."""
    while True:
        with transaction.atomic():
            delivery = _next(network)
            if delivery is None:
                return None
            now = timezone.now()
            level = gate.levels([delivery.conversion])[delivery.conversion.pk] if delivery.conversion else Level.NONE
            called_off = _called_off(delivery, level, now)
            if called_off is None:
                return _lease(delivery, level, now)
            _close(delivery, called_off, now)
        # Outside: an erasure locks the conversion before its deliveries, so nobody may lock them the other way round.
        if called_off.state == DeliveryState.SKIPPED and called_off.reason and delivery.conversion_id:
            outbox.explain_skipped(conversion_id=delivery.conversion_id, reason=called_off.reason)


def _next(network: str) -> Delivery | None:
    due = Delivery.objects.due().filter(network=network)
    related = due.select_related("config", "conversion__game", "conversion__touch", "conversion__person")
    whole = related.prefetch_related("conversion__person__identities")
    return whole.select_for_update(skip_locked=True, of=("self",)).first()


def _called_off(delivery: Delivery, level: Level, now: datetime) -> _CalledOff | None:
    """What has happened since the row was written (hours ago, for a retry) that forbids sending it."""
    if delivery.conversion is None:
        return _CalledOff(DeliveryState.CANCELLED, Reason.ERASED)
    reason = gate.against(delivery.conversion, delivery.config, level=level, now=now)
    if reason == Reason.ERASED:
        return _CalledOff(DeliveryState.CANCELLED, reason)
    if reason == Reason.TOO_OLD:
        return _CalledOff(DeliveryState.FAILED, reason)
    if reason is not None:
        return _CalledOff(DeliveryState.SKIPPED, reason)
    killed_too_often = delivery.leased_until is not None and delivery.attempts_made > len(retry.SCHEDULE)
    if killed_too_often or retry.closed(first_attempt_at=delivery.first_attempt_at, now=now):
        return _CalledOff(DeliveryState.FAILED, None)
    return None


def _lease(delivery: Delivery, level: Level, now: datetime) -> Claim:
    _close_abandoned(delivery, AttemptStatus.RETRIED, STOPPED_AND_SENT_AGAIN, now)
    config = delivery.config
    delivery.attempts_made += 1
    delivery.leased_until = now + LEASE
    delivery.first_attempt_at = delivery.first_attempt_at or now
    delivery.config_version = config.version
    delivery.save(update_fields=["attempts_made", "leased_until", "first_attempt_at", "config_version"])
    attempt = DeliveryAttempt.objects.create(
        delivery=delivery,
        config=config,
        number=delivery.attempts_made,
        config_version=config.version,
        started_at=now,
    )
    return Claim(delivery=delivery, attempt=attempt, level=level, token=config.credential.get("token", ""))


def _close(delivery: Delivery, called_off: _CalledOff, now: datetime) -> None:
    _close_abandoned(delivery, AttemptStatus.FAILED, f"{STOPPED}.", now)
    delivery.state, delivery.reason = called_off.state, called_off.reason or ""
    delivery.leased_until = delivery.next_attempt_at = None
    delivery.finished_at = now
    delivery.save(update_fields=["state", "reason", "leased_until", "next_attempt_at", "finished_at"])
    logger.info(
        "delivery_called_off",
        delivery_id=str(delivery.pk),
        state=delivery.state,
        reason=delivery.reason,
    )


def _close_abandoned(delivery: Delivery, status: AttemptStatus, message: str, now: datetime) -> None:
    """The attempt of a worker that was killed, or is so late that its lease ran out."""
    if delivery.leased_until is None:
        return
    left_open = DeliveryAttempt.objects.filter(delivery=delivery, status=AttemptStatus.SENDING)
    left_open.update(status=status, finished_at=now, message=message)
