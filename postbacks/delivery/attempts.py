"""Closing attempts: what the answers mean for deliveries, conversions, credentials and pixels.

What follows from an answer and cannot be written is tried again on its own (unwritten.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet

from audience.background import isolation
from audience.database import bulk, clock
from audience.models import Queue
from postbacks.configs import hold
from postbacks.delivery import breaker, claims, recording
from postbacks.delivery.claims import Claim
from postbacks.delivery.recording import Answer
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState, Flow, PostbackConfig
from postbacks.networks.interface.network import Outcome, Verdict
from postbacks.outbox import conversion_reasons

__all__ = ["Answer", "close", "latest_start", "take_back"]

logger = structlog.get_logger(__name__)

# A call that could not start this soon after its moment goes back; setup.applying.PATIENCE counts on it.
LATEST = timedelta(seconds=2.5)
# What is to be tried again after an answer (postbacks/delivery/unwritten.py).
EXPLAIN_SENT, SUSPECT = "explain_sent", "suspect"


def close(answers: Sequence[Answer]) -> set[str]:
    """Record the answers on their attempts and move their deliveries on; those that are gone are left out.

    Then, each in a transaction of its own: what a refused credential means for its config, and what all of it means
    for the pixel. A worker that dies in between leaves deliveries that are tried again and say the same. Returns the
    pixels that rest from now on: what is claimed of theirs already would only hear the same.
    """
    delivered = recording.record(answers)
    # Outside: an erasure locks the conversion before its deliveries, so nobody may lock them the other way round.
    _explain(answers, delivered)
    for config in {answer.claim.delivery.config for answer in answers if answer.outcome.verdict == Verdict.CREDENTIAL}:
        _suspect(config)
    pixels: dict[tuple[str, str], list[Outcome]] = {}
    for answer in answers:
        if answer.response is not None:
            config = answer.claim.delivery.config
            pixels.setdefault((config.network, config.pixel_id), []).append(answer.outcome)
    resting = set()
    for (network, pixel_id), outcomes in pixels.items():
        flows = Flow.objects.filter(network=network, pixel_id=pixel_id)
        troubled = any(outcome.verdict == Verdict.TRANSIENT for outcome in outcomes)
        if (troubled or flows.filter(breaker.TROUBLED).exists()) and _learn_isolated(flows, outcomes):
            resting.add(pixel_id)
    return resting


def _explain(answers: Sequence[Answer], delivered: Sequence[UUID]) -> None:
    """Take back the reasons of the conversions that are delivered."""
    deliveries = {answer.claim.delivery.conversion_id: answer.claim.delivery for answer in answers}

    def place(conversion_id: UUID) -> isolation.Row:
        delivery = deliveries[conversion_id]
        kept = {"step": EXPLAIN_SENT, "network": delivery.network}
        return isolation.Row(str(conversion_id), delivery.config.game_id, kept)

    isolation.together(
        Queue.CLOSING, delivered, lambda some: conversion_reasons.explain_sent(conversion_ids=some), row_of=place
    )


def _suspect(config: PostbackConfig) -> None:
    kept = {"step": SUSPECT, "network": config.network, "version": config.version}
    place = isolation.Row(str(config.pk), config.game_id, kept)
    isolation.alone(Queue.CLOSING, place, partial(hold.suspect, config=config))


def _learn_isolated(flows: QuerySet[Flow], outcomes: Sequence[Outcome]) -> bool:
    """As `_learn`; a pixel that cannot be written to is not claimed for either, which is where that is noted."""
    try:
        return _learn(flows, outcomes)
    except Exception as error:
        isolation.raise_if_passing(error)
        logger.exception("flow_unwritable")
        return False


@transaction.atomic
def _learn(flows: QuerySet[Flow], outcomes: Sequence[Outcome]) -> bool:
    """Whether the pixel rests now: its breaker is open, or it was told to slow down."""
    flow = flows.select_for_update().first()
    if flow is None:
        return False
    before = (flow.failures, flow.open_until, flow.limited_at)
    now = clock.now()
    breaker.learn(flow, outcomes, now)
    if before != (flow.failures, flow.open_until, flow.limited_at):
        flow.save(update_fields=["failures", "open_until", "probing", "limited_at", "next_slot_at"])
    return breaker.is_open(flow, now) or any(outcome.limited for outcome in outcomes)


def take_back(taken: Sequence[Claim]) -> None:
    """Undo claims whose call was never made: the attempt rows go, the deliveries are as due as before.

    One that cannot be undone is claimed again, alone, when its lease is over.
    """
    isolation.together(Queue.SENDING, taken, _take_back, row_of=_claimed)


def _claimed(claim: Claim) -> isolation.Row:
    config = claim.delivery.config
    return claims.place(config.network, config.pk, claim.delivery.pk, config.game_id)


@transaction.atomic
def _take_back(taken: Sequence[Claim]) -> None:
    ours = {claim.delivery.pk: (claim.number, claim.delivery.leased_until) for claim in taken}
    rows = Delivery.objects.select_for_update(of=("self",)).order_by("pk").filter(pk__in=ours)
    waiting = rows.filter(state=DeliveryState.WAITING)
    untouched = [row for row in waiting if (row.attempts_made, row.leased_until) == ours[row.pk]]
    for row in untouched:
        row.attempts_made -= 1
        row.attempts_counted = max(row.attempts_counted - 1, 0)
        row.leased_until = None
        if not row.attempts_made:
            row.first_attempt_at = row.safe_until = None
    fields = ["attempts_made", "attempts_counted", "leased_until", "first_attempt_at", "safe_until"]
    bulk.update(untouched, fields)
    undone = {row.pk for row in untouched}
    kept = [claim.attempt_id for claim in taken if claim.delivery.pk in undone]
    DeliveryAttempt.objects.filter(pk__in=kept, status=AttemptStatus.SENDING).delete()


def latest_start(claim: Claim) -> datetime:
    """The moment after which a claimed call must not be begun: its deadline, or too late for a swap to wait for it."""
    return min(claim.delivery.deadline, claim.starts_at + LATEST)
