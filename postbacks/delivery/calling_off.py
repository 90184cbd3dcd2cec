"""Calling a due delivery off: what forbids sending it now, and how it ends then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from audience.background import isolation
from audience.models import Queue, Reason
from consent.models import Level
from postbacks.delivery import retry
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState
from postbacks.networks.interface.network import Facts, Verdict
from postbacks.outbox import conversion_reasons, facts, gate

logger = structlog.get_logger(__name__)

# What is to be tried again of a called-off delivery (postbacks/delivery/unwritten.py).
EXPLAIN_SKIPPED = "explain_skipped"


@dataclass(frozen=True, slots=True)
class CalledOff:
    state: DeliveryState
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery that is to be sent, and what may be told of its player."""

    delivery: Delivery
    level: Level
    facts: Facts | None


def sorted_out(rows: Sequence[Delivery], now: datetime) -> tuple[list[Kept], list[Delivery]]:
    """Those to send, and those called off, now closed."""
    levels = gate.levels([row.conversion for row in rows if row.conversion])
    kept: list[Kept] = []
    closed: list[Delivery] = []
    for row in rows:
        level = levels[row.conversion.pk] if row.conversion else Level.NONE
        known = _facts(row, level)
        against = called_off(row, level, known, now)
        if against is None:
            kept.append(Kept(row, level, known))
            continue
        close(row, against, now)
        closed.append(row)
    return kept, closed


def _facts(delivery: Delivery, level: Level) -> Facts | None:
    """Read once, for the gate and for the request; None for data that the sender will fail with a message."""
    if delivery.conversion is None:
        return None
    try:
        return facts.of(delivery.conversion, event_id=delivery.event_id, level=level, sent_as=delivery.sent_as)
    except facts.BAD_DATA:
        return None


def called_off(delivery: Delivery, level: Level, known: Facts | None, now: datetime) -> CalledOff | None:
    """What has happened since the row was written (hours ago, for a retry) that forbids sending it."""
    if delivery.conversion is None:
        return CalledOff(DeliveryState.CANCELLED, Reason.ERASED)
    reason = gate.reason_not_to_send(delivery.conversion, delivery.config, level=level, now=now, known=known)
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
        DeliveryAttempt.objects.filter(delivery=delivery).close_abandoned()
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
        conversion_id, reason = delivery.conversion_id, Reason(delivery.reason)
        kept = {"step": EXPLAIN_SKIPPED, "network": delivery.network, "reason": reason.value}
        place = isolation.Row(str(conversion_id), delivery.config.game_id, kept)
        explained = partial(conversion_reasons.explain_skipped, conversion_id=conversion_id, reason=reason)
        isolation.alone(Queue.CLOSING, place, explained)
