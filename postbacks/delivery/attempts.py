"""Closing attempts: recording the answers, and what they mean for conversions, credentials and pixels.

A consequence that cannot be written is retried on its own (unwritten_answers.py).
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

# The steps that are retried after an answer (postbacks/delivery/unwritten_answers.py).
EXPLAIN_SENT, SUSPECT = "explain_sent", "suspect"
# Retries of each step when the database is unavailable or ends a deadlock: without its answer an event is sent a second
# time.
RETRIES = 3
RETRY_PAUSE_SECONDS = 1.0


def process_answers(answers: Sequence[CallResult]) -> set[str]:
    """Record the answers on their attempts and deliveries; deliveries that were deleted meanwhile are left out.

    Then, each in a transaction of its own: what a refused credential means for its config, and what the outcomes mean
    for the pixel. A worker that dies in between leaves deliveries that are sent again and answered the same. Returns
    the ids of the pixels that are paused from now on: claims of them must not be sent. Raises an error of the database
    when the retries of a step have failed too: deliveries whose answers are not recorded are sent again when their
    leases have expired.
    """
    for answer in answers:
        _log(answer)
    # Answers that are recorded already are recorded again with the same result.
    delivered = _with_retries(partial(recording.record, answers))
    # Outside of the transaction: an erasure locks the conversion before its deliveries, and the reverse order could
    # deadlock.
    _with_retries(partial(_explain, answers, delivered))
    for config in {answer.claim.delivery.config for answer in answers if answer.outcome.verdict == Verdict.CREDENTIAL}:
        _with_retries(partial(_suspect, config))
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    for answer in answers:
        if answer.response is not None:
            config = answer.claim.delivery.config
            outcomes.setdefault((config.network, config.pixel_id), []).append(answer.outcome)
    # Each pixel alone: the outcomes of one that is written already would be counted a second time.
    return {
        pixel_id
        for (network, pixel_id), found in outcomes.items()
        if _with_retries(partial(_learn_isolated, network, pixel_id, found))
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


def _explain(answers: Sequence[CallResult], delivered: Sequence[UUID]) -> None:
    """Remove the reasons of the conversions that are delivered."""
    deliveries = {answer.claim.delivery.conversion_id: answer.claim.delivery for answer in answers}

    def row_of(conversion_id: UUID) -> isolation.FailureKey:
        delivery = deliveries[conversion_id]
        return isolation.FailureKey(
            str(conversion_id), delivery.config.game_id, {"step": EXPLAIN_SENT, "network": delivery.network}
        )

    isolation.process_together(
        Queue.CLOSING, delivered, lambda some: conversion_reasons.explain_sent(conversion_ids=some), row_of=row_of
    )


def _suspect(config: PostbackConfig) -> None:
    kept = {"step": SUSPECT, "network": config.network, "version": config.version}
    row = isolation.FailureKey(str(config.pk), config.game_id, kept)
    isolation.process_alone(Queue.CLOSING, row, partial(hold.suspect, config=config))


def _learn_isolated(network: str, pixel_id: str, outcomes: Sequence[Outcome]) -> bool:
    """As `_learn`. A pixel whose row cannot be written is not claimed from either; the claim records that failure."""
    flows = Flow.objects.filter(network=network, pixel_id=pixel_id)
    troubled = any(outcome.verdict == Verdict.TRANSIENT for outcome in outcomes)
    if not troubled and not flows.filter(breaker.TROUBLED).exists():
        return False
    try:
        return _learn(flows, outcomes)
    except Exception as error:
        isolation.raise_if_unavailable(error)
        logger.exception("flow_unwritable")
        return False


@transaction.atomic
def _learn(flows: QuerySet[Flow], outcomes: Sequence[Outcome]) -> bool:
    """Apply the outcomes; return whether the pixel is paused: its breaker is open, or the network answered 429."""
    flow = flows.select_for_update().first()
    if flow is None:
        return False
    before = (flow.failures, flow.open_until, flow.limited_at)
    now = clock.now()
    breaker.apply_outcomes(flow, outcomes, now)
    if before != (flow.failures, flow.open_until, flow.limited_at):
        flow.save(update_fields=["failures", "open_until", "probing", "limited_at", "next_slot_at"])
    return breaker.is_open(flow, now) or any(outcome.limited for outcome in outcomes)
