"""Cancels due deliveries that may not be sent any more, with the reason and the final state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from audience.background import isolation
from audience.models import Queue, Reason
from consent.models import Level
from postbacks.delivery import retry_schedule, unanswered
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState
from postbacks.networks.interface.call import Verdict
from postbacks.networks.interface.facts import Facts
from postbacks.outbox import consent_levels, conversion_facts, conversion_reasons, gate, hook_messages, repeated_orders
from postbacks.outbox.goals import Goal, match_goal

logger = structlog.get_logger(__name__)

# The step that is retried for a canceled delivery (postbacks/delivery/unstored_answers.py).
SET_REASON = "explain_skipped"


@dataclass(frozen=True, slots=True)
class Cancellation:
    state: DeliveryState
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class SendableDelivery:
    """A delivery that may be sent, with the player's consent level and the facts that this level allows.

    `facts` is None when the conversion's data cannot be read; the delivery worker then fails it with a message.
    """

    delivery: Delivery
    level: Level
    facts: Facts | None


def split_due(rows: Sequence[Delivery], now: datetime) -> tuple[list[SendableDelivery], list[Delivery]]:
    """Return the sendable ones of these locked due deliveries of one config, and those that were canceled and saved.

    A delivery that the network does not accept yet (its postback was disabled for a moment) waits for `not_before`.
    """
    levels = consent_levels.levels([row.conversion for row in rows if row.conversion])
    repeats = repeated_orders.repeats_among_due(rows)
    sendable: list[SendableDelivery] = []
    cancelled: list[Delivery] = []
    for row in rows:
        level = levels[row.conversion.pk] if row.conversion else Level.NONE
        facts = _facts(row, level)
        cancellation = cancellation_of(row, level, facts, now)
        if cancellation is None and row.pk in repeats:
            cancellation = Cancellation(DeliveryState.SKIPPED, Reason.REPEAT_ORDER)
        if cancellation is not None:
            cancel(row, cancellation, now)
            cancelled.append(row)
        elif row.not_before and row.not_before > now:
            row.next_attempt_at = row.not_before
            row.save(update_fields=["next_attempt_at"])
        else:
            sendable.append(SendableDelivery(row, level, facts))
    hook_messages.add_for_deliveries(cancelled)
    return sendable, cancelled


def facts_of(delivery: Delivery, level: Level) -> Facts:
    """Read the facts. Raises BAD_DATA (conversion_facts) for unreadable data, ValueError for an erased player."""
    if delivery.conversion is None:
        raise ValueError("the player was erased")
    fields = {"event_id": delivery.event_id, "sent_as": delivery.sent_as, "object_id": _object_id(delivery)}
    return conversion_facts.read_facts(delivery.conversion, level=level, **fields)


def _object_id(delivery: Delivery) -> str:
    """The object id that the goal has by now: a wrong one was corrected. The stored one once the network may have the
    event, which it counts once for each object."""
    if delivery.conversion is None or not delivery.object_id or delivery.may_have_arrived:
        return delivery.object_id
    match = match_goal(delivery.config, delivery.conversion)
    return (match.object_id if isinstance(match, Goal) else "") or delivery.object_id


def _facts(delivery: Delivery, level: Level) -> Facts | None:
    try:
        return facts_of(delivery, level)
    except conversion_facts.BAD_DATA:
        return None


def cancellation_of(delivery: Delivery, level: Level, facts: Facts | None, now: datetime) -> Cancellation | None:
    """Why the delivery, stored up to hours ago, may not be sent any more; None when it may."""
    if delivery.conversion is None:
        return Cancellation(DeliveryState.CANCELLED, Reason.ERASED)
    reason = gate.reason_not_to_send(
        delivery.conversion, delivery.config, level=level, now=now, is_decided=True, facts=facts
    )
    if reason == Reason.ERASED:
        return Cancellation(DeliveryState.CANCELLED, reason)
    if reason == Reason.TOO_OLD or now > delivery.dead_after:
        return Cancellation(DeliveryState.FAILED, Reason.TOO_OLD)
    if reason is not None:
        return Cancellation(DeliveryState.SKIPPED, reason)
    is_over = _is_over_after_kill(delivery) or now > delivery.deadline
    return Cancellation(DeliveryState.FAILED, None) if is_over else None


def _is_over_after_kill(delivery: Delivery) -> bool:
    """Whether a worker was killed during the last attempt, and no other follows."""
    is_last = delivery.attempts_counted > len(retry_schedule.SCHEDULE)
    return delivery.leased_until is not None and (is_last or not unanswered.is_repeated(delivery.config))


def cancel(delivery: Delivery, cancellation: Cancellation, now: datetime) -> None:
    """End the locked delivery and save it."""
    if delivery.leased_until is not None:
        DeliveryAttempt.objects.filter(delivery=delivery).close_abandoned()
    delivery.state, delivery.reason = cancellation.state, cancellation.reason or ""
    if cancellation.state == DeliveryState.FAILED:
        delivery.verdict = delivery.verdict or Verdict.TRANSIENT.value  # every worker that sent it was killed
    delivery.leased_until = delivery.next_attempt_at = None
    delivery.finished_at = now
    delivery.save(update_fields=["state", "reason", "verdict", "leased_until", "next_attempt_at", "finished_at"])
    logger.info("delivery_cancelled", delivery_id=str(delivery.pk), state=delivery.state, reason=delivery.reason)


def record_reason(delivery: Delivery) -> None:
    """Set the reason of the conversion if this was its last open postback. Then another of its order may count."""
    if delivery.state == DeliveryState.SKIPPED and delivery.conversion_id:
        conversion_id, reason = delivery.conversion_id, Reason(delivery.reason)
        data = {"step": SET_REASON, "network": delivery.network, "reason": reason.value}
        row = isolation.FailureKey(str(conversion_id), delivery.config.game_id, data)
        set_reason = partial(conversion_reasons.set_reason, conversion_id=conversion_id, reason=reason)
        isolation.process_alone(Queue.CLOSING, row, set_reason)
