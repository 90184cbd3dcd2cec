"""Closing attempts: what the network answered, written to the log, and what becomes of the deliveries.

A worker may come back late, when its lease ran out and another one has sent the row again. It may still tell what its
own call brought, and an accepted event is accepted whoever hears of it; it must not touch anything else.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
import structlog
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import QuerySet

from audience import bulk, clock
from postbacks.deciding import outbox
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState, Flow
from postbacks.networks.base import Outcome, Request, Response, Verdict
from postbacks.sending import breaker, settling
from postbacks.sending.claims import Claim
from postbacks.setup import hold
from postbacks.setup.rules import masked

logger = structlog.get_logger(__name__)

# A call that could not start this soon after its moment goes back; setup.applying.PATIENCE counts on it.
LATEST = timedelta(seconds=2.5)
MESSAGE_MAX = 500  # characters; enough for the longest answer seen, little enough to keep for ever
# The body goes from the wire to the row as it is: reading it and writing it anew took longer than sending it on.
CLOSE = """
UPDATE postbacks_deliveryattempt old SET finished_at = %s, status = new.status, verdict = new.verdict,
  http_status = new.http_status, latency_ms = new.latency_ms, provider_code = new.provider_code,
  message = new.message, request_id = new.request_id, payload = new.payload
FROM json_to_recordset(%s::json) AS new (id bigint, status text, verdict text, http_status smallint,
  latency_ms integer, provider_code text, message text, request_id text, payload jsonb)
WHERE old.id = new.id
"""
# Ids go over as one text: the ORM names a hundred of them one by one, which took it longer than PostgreSQL took to find
# the rows.
LOCK = "SELECT id, state, conversion_id FROM postbacks_delivery WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE"
ACCEPT = """
UPDATE postbacks_delivery SET state = 'delivered', verdict = 'success', reason = '', finished_at = %s,
  next_attempt_at = NULL, leased_until = NULL, may_have_arrived = false
WHERE id = ANY(%s::uuid[])
"""
# Accepted after an erasure had called it off: it stays cancelled.
ARRIVED = "UPDATE postbacks_delivery SET may_have_arrived = true WHERE id = ANY(%s::uuid[])"
SEALED = ("config__credential", "config__previous_credential")
MOVED = ["state", "reason", "verdict", "finished_at", "next_attempt_at", "leased_until", "may_have_arrived"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call brought. `request` and `response` are None when nothing could be sent."""

    claim: Claim
    outcome: Outcome
    request: Request | None = None
    response: Response | None = None


def close(answers: Sequence[Answer]) -> set[str]:
    """Record the answers on their attempts and move their deliveries on; those that are gone are left out.

    Then, each in a transaction of its own: what a refused credential means for its config, and what all of it means
    for the pixel. A worker that dies in between leaves deliveries that are tried again and say the same. Returns the
    pixels that rest from now on: what is claimed of theirs already would only hear the same.
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
    resting = set()
    for (network, pixel_id), outcomes in pixels.items():
        flows = Flow.objects.filter(network=network, pixel_id=pixel_id)
        troubled = any(outcome.verdict == Verdict.TRANSIENT for outcome in outcomes)
        if (troubled or flows.filter(breaker.TROUBLED).exists()) and _learn(flows, outcomes):
            resting.add(pixel_id)
    return resting


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
    now, rows, closed = clock.now(), _Rows(answers), []
    for answer in answers:
        pk = answer.claim.delivery.pk
        if pk in rows.conversions:
            closed.append(_row(answer, rows.settle(answer, now), erased=rows.conversions[pk] is None))
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, [now, orjson.dumps(closed).decode()])
    return rows.save(now)


class _Rows:
    """The deliveries of some answers, locked. Of an accepted one no more is read, since its end is known."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [bulk.array(answer.claim.delivery.pk for answer in answers)])
            found = cursor.fetchall()
        self.conversions = {pk: conversion for pk, _, conversion in found}
        self._cancelled = {pk for pk, state, _ in found if state == DeliveryState.CANCELLED}
        other = {answer.claim.delivery.pk for answer in answers if answer.outcome.verdict != Verdict.SUCCESS}
        self._others = _whole(other & self.conversions.keys())
        self._accepted: set[UUID] = set()
        self._arrived: set[UUID] = set()

    def settle(self, answer: Answer, now: datetime) -> AttemptStatus:
        """Decide what becomes of the answer's delivery; what the attempt is called in the log."""
        pk = answer.claim.delivery.pk
        if answer.outcome.verdict != Verdict.SUCCESS:
            return settling.settle(self._others[pk], answer.claim, answer.outcome, now)
        (self._arrived if pk in self._cancelled else self._accepted).add(pk)
        return AttemptStatus.SUCCESS

    def save(self, now: datetime) -> list[UUID]:
        """Write what was decided; the conversions that are delivered. An acceptance stands, whatever else was heard."""
        bulk.update(list(self._others.values()), MOVED)
        with connection.cursor() as cursor:
            cursor.execute(ACCEPT, [now, bulk.array(self._accepted)])
            if self._arrived:
                cursor.execute(ARRIVED, [bulk.array(self._arrived)])
        return [found for pk in self._accepted if (found := self.conversions[pk]) is not None]


def _whole(ids: Set[UUID]) -> dict[UUID, Delivery]:
    """Locked rows with what settling reads. Opening a credential takes longer than all the rest of a row."""
    if not ids:
        return {}
    rows = Delivery.objects.select_related("config", "replay").defer(*SEALED)
    return {row.pk: row for row in rows.filter(pk__in=ids)}


def _row(answer: Answer, status: AttemptStatus, *, erased: bool) -> dict[str, object]:
    """The attempt as CLOSE takes it, with what was sent unless the player was erased meanwhile."""
    request, outcome, response, token = answer.request, answer.outcome, answer.response, answer.claim.token
    return {
        "id": answer.claim.attempt_id,
        "status": status.value,
        "verdict": outcome.verdict.value,
        "http_status": response.status if response else None,
        "latency_ms": response.latency_ms if response else None,
        "provider_code": masked(outcome.code or "", token)[:64],
        "message": masked(outcome.message, token)[:MESSAGE_MAX],
        "request_id": masked(outcome.request_id or "", token)[:128],
        "payload": None if request is None or erased else orjson.Fragment(request.body),
    }


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


@transaction.atomic
def take_back(claims: Sequence[Claim]) -> None:
    """Undo claims whose call was never made: the attempt rows go, the deliveries are as due as before."""
    ours = {claim.delivery.pk: (claim.number, claim.delivery.leased_until) for claim in claims}
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
    kept = [claim.attempt_id for claim in claims if claim.delivery.pk in undone]
    DeliveryAttempt.objects.filter(pk__in=kept, status=AttemptStatus.SENDING).delete()


def latest_start(claim: Claim) -> datetime:
    """The moment after which a claimed call must not be begun: its deadline, or too late for a swap to wait for it."""
    return min(claim.delivery.deadline, claim.starts_at + LATEST)
