"""Records the networks' answers: closes the attempts and updates their deliveries.

An answer that cannot be stored stops no other (audience/background/isolation.py). It is stored without the network's
text; if that fails too, as failed work with its verdict. Until that is recorded the delivery is not claimed, so that it
is not sent twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from audience.background import isolation
from audience.database import bulk, clock
from audience.models import Queue
from consent.models import Level
from postbacks.delivery import states
from postbacks.delivery.leases import Claim
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.networks.interface.answers import MAX_MESSAGE_LENGTH
from postbacks.networks.interface.call import Outcome, Request, Response, Verdict
from postbacks.networks.interface.matching import unusable_keys
from postbacks.outbox import conversion_reasons, hook_messages

logger = structlog.get_logger(__name__)

# The step that is retried for an answer (postbacks/delivery/unstored_answers.py).
RECORD = "record"
UNSTORABLE = "The network answered, but its answer could not be stored."
ATTEMPT_COLUMNS = ["finished_at", "status", "verdict", "http_status", "latency_ms", "provider_code", "message"]
ATTEMPT_COLUMNS += ["request_id", "payload", "unusable"]
DELIVERY_COLUMNS = ["state", "reason", "verdict", "finished_at", "next_attempt_at", "leased_until", "may_have_arrived"]
DELIVERY_COLUMNS += ["confirmation", "confirm_after", "asked_until"]


@dataclass(frozen=True, slots=True)
class CallResult:
    """The outcome of one call. `request` and `response` are None when nothing could be sent."""

    claim: Claim
    outcome: Outcome
    request: Request | None = None
    response: Response | None = None


def record(answers: Sequence[CallResult]) -> list[UUID]:
    """Record all answers together, or each half if that fails, and so on; return the ids of delivered conversions."""
    results = isolation.process_together(Queue.CLOSING, answers, _record_or_drop_text, failure_key=_failure_key)
    return [conversion_id for delivered in results for conversion_id in delivered]


def _record_or_drop_text(answers: Sequence[CallResult]) -> list[UUID]:
    """As `_record`; an answer whose text cannot be stored is recorded without it."""
    try:
        return _record(answers)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        if len(answers) > 1:
            raise
        logger.exception("answer_not_stored", delivery_id=str(answers[0].claim.delivery.pk))
    return _record([_without_text(answers[0])])


def _without_text(answer: CallResult) -> CallResult:
    outcome = replace(answer.outcome, code=None, message=UNSTORABLE, request_id=None)
    return replace(answer, outcome=outcome, request=None)


def _failure_key(answer: CallResult) -> isolation.FailureKey:
    """The key in FailedWork of an answer that could not be recorded, with the data that `stored_answer` needs."""
    claim, outcome = answer.claim, answer.outcome
    data = {
        "step": RECORD,
        "network": claim.delivery.network,
        "attempt": claim.attempt_id,
        "number": claim.number,
        "config_version": claim.config_version,
        "verdict": outcome.verdict.value,
        "retry_after": outcome.retry_after,
        "unknown": outcome.unknown,
        "final": outcome.final,
    }
    return isolation.FailureKey(str(claim.delivery.pk), claim.delivery.config.game_id, data)


def stored_answer(delivery_id: UUID, data: Mapping[str, Any]) -> CallResult:
    """The answer that `data`, the column `kept` of its FailedWork, describes; without its text."""
    claim = Claim(
        delivery=Delivery(pk=delivery_id),
        attempt_id=data["attempt"],
        number=data["number"],
        config_version=data["config_version"],
        level=Level.NONE,
        facts=None,
        starts_at=clock.now(),
    )
    flags = {"unknown": data["unknown"], "final": data.get("final", False)}  # rows of version 0.2 have no `final`
    return CallResult(
        claim, Outcome(Verdict(data["verdict"]), None, UNSTORABLE, retry_after=data["retry_after"], **flags)
    )


def record_again(answer: CallResult) -> None:
    """Record an answer alone. Raises the error if it cannot be stored."""
    conversion_reasons.clear_reasons(conversion_ids=_record([answer]))


@transaction.atomic
def _record(answers: Sequence[CallResult]) -> list[UUID]:
    """Record the answers of deliveries that still exist; return the ids of delivered conversions."""
    now, deliveries = clock.now(), _locked(answer.claim.delivery.pk for answer in answers)
    states_before = {row.pk: row.state for row in deliveries.values()}
    attempts, delivered = [], []
    for answer in answers:
        delivery = deliveries.get(answer.claim.delivery.pk)
        if delivery is None:
            continue
        status = states.apply_outcome(delivery, answer.claim, answer.outcome, now)
        attempts.append(_attempt(answer, status, now, erased=delivery.conversion_id is None))
        if status == AttemptStatus.SUCCESS and delivery.state == DeliveryState.DELIVERED and delivery.conversion_id:
            delivered.append(delivery.conversion_id)
    bulk.update(attempts, ATTEMPT_COLUMNS)
    bulk.update(list(deliveries.values()), DELIVERY_COLUMNS)
    hook_messages.add_for_deliveries(row for row in deliveries.values() if row.state != states_before[row.pk])
    return delivered


def _locked(ids: Iterable[UUID]) -> dict[UUID, Delivery]:
    """The deliveries, locked, with what `states.apply_outcome` reads and without credentials."""
    rows = Delivery.objects.select_for_update(of=("self",)).select_related("replay").order_by("pk")
    deliveries = {row.pk: row for row in rows.filter(pk__in=list(ids))}
    configs = PostbackConfig.objects.defer("credential", "previous_credential")
    by_id = configs.in_bulk({row.config_id for row in deliveries.values()})
    for row in deliveries.values():
        row.config = by_id[row.config_id]
    return deliveries


def _attempt(answer: CallResult, status: AttemptStatus, now: datetime, *, erased: bool) -> DeliveryAttempt:
    """The closed attempt; without the request and the texts of the answer if the player was erased meanwhile."""
    request, outcome = answer.request, answer.outcome
    if erased:
        request, outcome = None, replace(outcome, code=None, message="", request_id=None)
    payload = None if request is None else request.payload
    return DeliveryAttempt(
        pk=answer.claim.attempt_id,
        finished_at=now,
        status=status,
        payload=payload,
        unusable=_unusable(answer.claim, payload) if request else [],
        **answer_columns(outcome, answer.response),
    )


def _unusable(claim: Claim, payload: Any) -> list[str]:
    """The match keys that the event states in a form that was not sent."""
    if claim.facts is None:
        return []
    network = claim.delivery.config.kind
    return unusable_keys(network.match_keys, network.cookies, claim.facts, payload)


def answer_columns(outcome: Outcome, response: Response | None) -> dict[str, Any]:
    """The columns of a DeliveryAttempt that hold an answer."""
    return {
        "verdict": outcome.verdict.value,
        "http_status": response.status if response else None,
        "latency_ms": response.latency_ms if response else None,
        "provider_code": (outcome.code or "")[:64],
        "message": outcome.message[:MAX_MESSAGE_LENGTH],
        "request_id": outcome.request_id or "",
    }
