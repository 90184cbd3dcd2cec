"""Closes attempts: records the answers, and applies their consequences to conversions, credentials and pixels.

A consequence that cannot be written is retried alone (unstored_answers.py).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

import structlog
from django.db import Error, close_old_connections, transaction
from django.db.models import QuerySet

from audience.background import isolation
from audience.database import availability, clock
from audience.models import Queue
from postbacks.configs import hold
from postbacks.delivery import breaker, recording
from postbacks.delivery.recording import CallResult
from postbacks.models import Flow, PostbackConfig
from postbacks.networks.interface.call import Outcome, Verdict
from postbacks.outbox import conversion_reasons

logger = structlog.get_logger(__name__)

T = TypeVar("T")

# The steps that are retried after an answer (postbacks/delivery/unstored_answers.py).
CLEAR_REASONS, SUSPECT = "explain_sent", "suspect"
# Retries of each step when the database is unavailable or ends a deadlock: without a recorded answer an event is sent a
# second time.
RETRIES = 3
RETRY_PAUSE_SECONDS = 1.0


def process_answers(answers: Sequence[CallResult]) -> set[str]:
    """Record the answers on their attempts and deliveries; answers of deleted deliveries are ignored.

    Then, in separate transactions: suspect the configs whose credential was refused, and apply the outcomes to the
    pixels. If the worker dies in between, deliveries are sent again and get the same answers. Returns the ids of the
    pixels that are paused now: their claims must not be sent. Raises an error of the database when the retries of a
    step have failed too: deliveries whose answers are not recorded are sent again when their leases have expired.
    """
    for answer in answers:
        _log(answer)
    # Recording an answer a second time changes nothing.
    delivered = _with_retries(partial(recording.record, answers))
    # Outside of the transaction: an erasure locks the conversion before its deliveries, and the reverse order could
    # deadlock.
    _with_retries(partial(_clear_reasons, answers, delivered))
    for config in {answer.claim.delivery.config for answer in answers if answer.outcome.verdict == Verdict.CREDENTIAL}:
        _with_retries(partial(_suspect, config))
    by_pixel: dict[tuple[str, str], list[Outcome]] = {}
    for answer in answers:
        if answer.response is not None:
            config = answer.claim.delivery.config
            by_pixel.setdefault((config.network, config.flow_pixel), []).append(answer.outcome)
    # Each pixel separately: a common retry would count outcomes that are written already a second time.
    return {
        pixel_id
        for (network, pixel_id), outcomes in by_pixel.items()
        if _with_retries(partial(_apply_outcomes_isolated, network, pixel_id, outcomes))
    }


def _with_retries(step: Callable[[], T]) -> T:
    for _ in range(RETRIES):
        try:
            return step()
        except Error as error:
            if not availability.is_unavailable(error):
                raise
            logger.warning("answers_not_recorded", error=type(error).__name__)
        time.sleep(RETRY_PAUSE_SECONDS)
        close_old_connections()
    return step()


def _log(answer: CallResult) -> None:
    delivery, response = answer.claim.delivery, answer.response
    logger.info(
        "delivery_attempted",
        delivery_id=str(delivery.pk),
        config_id=str(delivery.config_id),
        network=delivery.network,
        attempt=answer.claim.number,
        verdict=answer.outcome.verdict.value,
        code=answer.outcome.code,
        http_status=response.status if response else None,
        latency_ms=response.latency_ms if response else None,
    )


def _clear_reasons(answers: Sequence[CallResult], delivered: Sequence[UUID]) -> None:
    """Clear the reasons of the delivered conversions."""
    deliveries = {answer.claim.delivery.conversion_id: answer.claim.delivery for answer in answers}

    def failure_key(conversion_id: UUID) -> isolation.FailureKey:
        delivery = deliveries[conversion_id]
        return isolation.FailureKey(
            str(conversion_id), delivery.config.game_id, {"step": CLEAR_REASONS, "network": delivery.network}
        )

    clear = conversion_reasons.clear_reasons
    isolation.process_together(Queue.CLOSING, delivered, lambda ids: clear(conversion_ids=ids), failure_key=failure_key)


def _suspect(config: PostbackConfig) -> None:
    data = {"step": SUSPECT, "network": config.network, "version": config.version}
    row = isolation.FailureKey(str(config.pk), config.game_id, data)
    isolation.process_alone(Queue.CLOSING, row, partial(hold.suspect, config=config))


def _apply_outcomes_isolated(network: str, pixel_id: str, outcomes: Sequence[Outcome]) -> bool:
    """As `_apply_outcomes`. If a pixel's row cannot be written, claims of it fail too, and record that failure."""
    flows = Flow.objects.filter(network=network, pixel_id=pixel_id)
    has_failed = any(outcome.verdict == Verdict.TRANSIENT for outcome in outcomes)
    if not has_failed and not flows.filter(breaker.WITH_FAILURES).exists():
        return False
    try:
        return _apply_outcomes(flows, outcomes)
    except Exception as error:
        isolation.raise_if_unavailable(error)
        logger.exception("flow_not_stored")
        return False


@transaction.atomic
def _apply_outcomes(flows: QuerySet[Flow], outcomes: Sequence[Outcome]) -> bool:
    """Apply the outcomes; return whether the pixel is paused: its breaker is open, or the network answered 429."""
    flow = flows.select_for_update().first()
    if flow is None:
        return False
    before = (flow.failures, flow.open_until, flow.limited_at)
    now = clock.now()
    breaker.apply_outcomes(flow, outcomes, now)
    if before != (flow.failures, flow.open_until, flow.limited_at):
        flow.save(update_fields=["failures", "open_until", "probing", "limited_at", "next_slot_at", "asked_until"])
    return breaker.is_open(flow, now) or any(outcome.limited for outcome in outcomes)
