"""Closing attempts: what the network answered, written to the log, and what becomes of the deliveries.

A worker may come back late, when its lease ran out and another one has sent the row again. It may still tell what its
own call brought, and an accepted event is accepted whoever hears of it; it must not touch anything else.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import DataError, IntegrityError, transaction

from audience import bulk, clock
from audience.models import Reason
from postbacks.deciding import outbox
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState, Flow, ReplayState
from postbacks.networks.base import Outcome, Request, Response, Verdict
from postbacks.sending import breaker, retry
from postbacks.sending.claims import Claim
from postbacks.setup import hold
from postbacks.setup.rules import masked

logger = structlog.get_logger(__name__)

# A call that could not start this soon after its moment goes back; setup.applying.PATIENCE counts on it.
LATEST = timedelta(seconds=2.5)
MESSAGE_MAX = 500  # characters; enough for the longest answer seen, little enough to keep for ever
CLOSED = [
    "status",
    "finished_at",
    "verdict",
    "http_status",
    "latency_ms",
    "provider_code",
    "message",
    "request_id",
    "payload",
]
SEALED = ("config__credential", "config__previous_credential")
MOVED = ["state", "reason", "verdict", "finished_at", "next_attempt_at", "leased_until"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call brought. `request` and `response` are None when nothing could be sent."""

    claim: Claim
    outcome: Outcome
    request: Request | None = None
    response: Response | None = None


def close(answers: Sequence[Answer]) -> None:
    """Record the answers on their attempts and move their deliveries on; those that are gone are left out.

    Then, each in a transaction of its own: what a refused credential means for its config, and what all of it means
    for the pixel. A worker that dies in between leaves deliveries that are tried again and say the same.
    """
    delivered = _record_all(answers)
    # Outside: an erasure locks the conversion before its deliveries, so nobody may lock them the other way round.
    outbox.explain_sent(conversion_ids=delivered)
    for config in {answer.claim.delivery.config for answer in answers if answer.outcome.verdict == Verdict.CREDENTIAL}:
        hold.suspect(config=config)
    pixels: dict[tuple[str, str], list[Outcome]] = {}
    for answer in answers:
        if answer.response is not None:
            config = answer.claim.delivery.config
            pixels.setdefault((config.network, config.pixel_id), []).append(answer.outcome)
    for (network, pixel_id), outcomes in pixels.items():
        _learn(network, pixel_id, outcomes)


def _record_all(answers: Sequence[Answer]) -> list[UUID]:
    """All of them together; when one cannot be stored each alone, so that it takes no other with it."""
    try:
        return _record(answers)
    except (DataError, IntegrityError, ValueError):
        logger.exception("answers_unstorable_together", answers=len(answers))
    delivered = []
    for answer in answers:
        try:
            delivered += _record([answer])
        except (DataError, IntegrityError, ValueError):
            logger.exception("answer_unstorable", delivery_id=str(answer.claim.delivery.pk))
    return delivered


@transaction.atomic
def _record(answers: Sequence[Answer]) -> list[UUID]:
    """Write the answers down; the conversions that are delivered."""
    ids = [answer.claim.delivery.pk for answer in answers]
    rows = Delivery.objects.select_for_update(of=("self",)).select_related("config", "replay").order_by("pk")
    # Opening a credential takes longer than all the rest of a row.
    present = {row.pk: row for row in rows.defer(*SEALED).filter(pk__in=ids)}
    now = clock.now()
    closed, moved = [], []
    for answer in answers:
        delivery = present.get(answer.claim.delivery.pk)
        if delivery is None:
            continue
        attempt = _attempt(answer, _decide(delivery, answer, now), now)
        if delivery.conversion_id is None:
            attempt.payload = None  # the player was erased meanwhile
        closed.append(attempt)
        moved.append(delivery)
    bulk.update(closed, CLOSED)
    bulk.update(moved, MOVED)
    return [row.conversion_id for row in moved if row.state == DeliveryState.DELIVERED and row.conversion_id]


def _decide(delivery: Delivery, answer: Answer, now: datetime) -> AttemptStatus:
    """Move the delivery on, unsaved; what the attempt is called in the log."""
    number, verdict = answer.claim.attempt.number, answer.outcome.verdict
    ours = delivery.state == DeliveryState.WAITING and delivery.attempts_made == number
    if verdict == Verdict.SUCCESS:
        if delivery.state != DeliveryState.CANCELLED:
            _finish(delivery, DeliveryState.DELIVERED, "", verdict, now)
        return AttemptStatus.SUCCESS
    if not ours:
        repeated = verdict == Verdict.TRANSIENT and delivery.state == DeliveryState.WAITING
        return AttemptStatus.RETRIED if repeated else AttemptStatus.FAILED
    if verdict == Verdict.PAYLOAD:
        _finish(delivery, DeliveryState.FAILED, "", verdict, now)
        return AttemptStatus.FAILED
    again = _try_later(delivery, answer, now)
    return AttemptStatus.RETRIED if again and verdict == Verdict.TRANSIENT else AttemptStatus.FAILED


def _try_later(delivery: Delivery, answer: Answer, now: datetime) -> bool:
    """Schedule the next attempt, or give up when none is left in time; whether there will be one.

    A refused credential is not the delivery's fault: it waits for the re-check, which holds it or lets it go on.
    """
    verdict, refused = answer.outcome.verdict, answer.outcome.verdict == Verdict.CREDENTIAL
    at = retry.next_attempt(
        attempt=delivery.attempts_counted,
        first_attempt_at=delivery.first_attempt_at or now,
        now=now,
        retry_after=answer.outcome.retry_after,
    )
    if delivery.replay is not None and delivery.replay.state == ReplayState.CANCELLED:
        _finish(delivery, DeliveryState.FAILED, "", verdict, now)
        return False
    if refused and delivery.config.version != answer.claim.attempt.config_version:
        delivery.next_attempt_at = now  # under settings that have been changed since
    elif refused:
        delivery.next_attempt_at = min(at or delivery.deadline, delivery.deadline)
    elif at is None or at > delivery.deadline:
        past = at is not None and delivery.deadline == delivery.dead_after
        _finish(delivery, DeliveryState.FAILED, Reason.TOO_OLD if past else "", verdict, now)
        return False
    else:
        delivery.next_attempt_at = at
    delivery.leased_until, delivery.verdict = None, verdict.value
    return True


def _finish(delivery: Delivery, state: DeliveryState, reason: str, verdict: Verdict, now: datetime) -> None:
    delivery.state, delivery.reason, delivery.verdict, delivery.finished_at = state, reason, verdict.value, now
    delivery.next_attempt_at = delivery.leased_until = None


def _attempt(answer: Answer, status: AttemptStatus, now: datetime) -> DeliveryAttempt:
    """The attempt as it is to be stored, with what was sent."""
    attempt, outcome, response = answer.claim.attempt, answer.outcome, answer.response
    attempt.status, attempt.finished_at, attempt.verdict = status, now, outcome.verdict.value
    attempt.http_status = response.status if response else None
    attempt.latency_ms = response.latency_ms if response else None
    token = answer.claim.token
    attempt.provider_code = masked(outcome.code or "", token)[:64]
    attempt.message = masked(outcome.message, token)[:MESSAGE_MAX]
    attempt.request_id = masked(outcome.request_id or "", token)[:128]
    attempt.payload = _payload(answer.request)
    return attempt


def _payload(request: Request | None) -> Any:
    return None if request is None else json.loads(request.body)


@transaction.atomic
def _learn(network: str, pixel_id: str, outcomes: Sequence[Outcome]) -> None:
    flow = Flow.objects.select_for_update().filter(network=network, pixel_id=pixel_id).first()
    if flow is None:
        return
    before = (flow.failures, flow.open_until, flow.limited_at)
    breaker.learn(flow, outcomes, clock.now())
    if before != (flow.failures, flow.open_until, flow.limited_at):
        flow.save(update_fields=["failures", "open_until", "probing", "limited_at", "next_slot_at"])


@transaction.atomic
def take_back(claims: Sequence[Claim]) -> None:
    """Undo claims whose call was never made: the attempt rows go, the deliveries are as due as before."""
    ours = {claim.delivery.pk: (claim.attempt.number, claim.delivery.leased_until) for claim in claims}
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
    kept = [claim.attempt.pk for claim in claims if claim.delivery.pk in {row.pk for row in untouched}]
    DeliveryAttempt.objects.filter(pk__in=kept, status=AttemptStatus.SENDING).delete()


def latest_start(claim: Claim) -> datetime:
    """The moment after which a claimed call must not be begun: its deadline, or too late for a swap to wait for it."""
    return min(claim.delivery.deadline, claim.starts_at + LATEST)
