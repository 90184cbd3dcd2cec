"""Calling a due delivery off: what forbids sending it now, and how it ends then."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from audience.models import Reason
from consent.models import Level
from postbacks.deciding import gate, outbox
from postbacks.models import Delivery, DeliveryState
from postbacks.networks.base import Facts, Verdict
from postbacks.sending import abandoned, retry

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CalledOff:
    state: DeliveryState
    reason: Reason | None


def called_off(delivery: Delivery, level: Level, known: Facts | None, now: datetime) -> CalledOff | None:
    """What has happened since the row was written (hours ago, for a retry) that forbids sending it."""
    if delivery.conversion is None:
        return CalledOff(DeliveryState.CANCELLED, Reason.ERASED)
    reason = gate.against(delivery.conversion, delivery.config, level=level, now=now, known=known)
    if reason == Reason.ERASED:
        return CalledOff(DeliveryState.CANCELLED, reason)
    if reason == Reason.TOO_OLD or now > delivery.dead_after:
        return CalledOff(DeliveryState.FAILED, Reason.TOO_OLD)
    if reason is not None:
        return CalledOff(DeliveryState.SKIPPED, reason)
    killed_too_often = delivery.leased_until is not None and delivery.attempts_counted > len(retry.SCHEDULE)
    return CalledOff(DeliveryState.FAILED, None) if killed_too_often or now > delivery.deadline else None


def close(delivery: Delivery, called_off: CalledOff, now: datetime) -> None:
    if delivery.leased_until is not None:
        abandoned.close([delivery.pk])
    delivery.state, delivery.reason = called_off.state, called_off.reason or ""
    if called_off.state == DeliveryState.FAILED:
        delivery.verdict = delivery.verdict or Verdict.TRANSIENT.value  # all its workers were killed
    delivery.leased_until = delivery.next_attempt_at = None
    delivery.finished_at = now
    delivery.save(update_fields=["state", "reason", "verdict", "leased_until", "next_attempt_at", "finished_at"])
    logger.info("delivery_called_off", delivery_id=str(delivery.pk), state=delivery.state, reason=delivery.reason)


def explain(delivery: Delivery) -> None:
    """Tell on the conversion why its last open postback was not sent after all."""
    if delivery.state == DeliveryState.SKIPPED and delivery.conversion_id:
        outbox.explain_skipped(conversion_id=delivery.conversion_id, reason=Reason(delivery.reason))
