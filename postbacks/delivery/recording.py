"""What the network answered, written to the log, and what becomes of the deliveries.

A worker may come back late, when its lease ran out and another one has sent the row again. It may still tell what its
own call brought, and an accepted event is accepted whoever hears of it; it must not touch anything else.

An answer that cannot be stored stops no other (audience/background/isolation.py). It is stored without the words of the
network, or else noted with its verdict: until that is written down the delivery is in no claim, and so is not sent
twice.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog
from django.db import connection, transaction

from audience.background import isolation
from audience.database import bulk, clock
from audience.models import Queue
from consent.models import Level
from postbacks.configs.rules import masked
from postbacks.delivery import settling
from postbacks.delivery.claims import Claim
from postbacks.models import AttemptStatus, Delivery, DeliveryState
from postbacks.networks.interface.network import Outcome, Request, Response, Verdict
from postbacks.outbox import conversion_reasons

logger = structlog.get_logger(__name__)

# What is to be tried again of an answer (postbacks/delivery/unwritten.py).
RECORD = "record"
UNSTORABLE = "The network answered, and what it said could not be stored."
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


def record(answers: Sequence[Answer]) -> list[UUID]:
    """All of them together; when one cannot be stored each half, and so on; the conversions that are delivered."""
    found = isolation.together(Queue.CLOSING, answers, _record_somehow, row_of=_place)
    return [conversion_id for delivered in found for conversion_id in delivered]


def _record_somehow(answers: Sequence[Answer]) -> list[UUID]:
    """As `_record`; an answer whose words cannot be stored is recorded without them."""
    try:
        return _record(answers)
    # Whatever an odd answer makes a step raise; audience/background/isolation.py has the rule
    except Exception as error:
        isolation.raise_if_passing(error)
        if len(answers) > 1:
            raise
        logger.exception("answer_unstorable", delivery_id=str(answers[0].claim.delivery.pk))
    return _record([_wordless(answers[0])])


def _wordless(answer: Answer) -> Answer:
    """What is to be done about the answer, without what the network said and without what was sent."""
    outcome = replace(answer.outcome, code=None, message=UNSTORABLE, request_id=None)
    return replace(answer, outcome=outcome, request=None)


def _place(answer: Answer) -> isolation.Row:
    """What an answer is noted under that could not be recorded, with all that `recalled` needs."""
    claim, outcome = answer.claim, answer.outcome
    kept = {
        "step": RECORD,
        "network": claim.delivery.network,
        "attempt": claim.attempt_id,
        "number": claim.number,
        "config_version": claim.config_version,
        "verdict": outcome.verdict.value,
        "retry_after": outcome.retry_after,
        "unknown": outcome.unknown,
    }
    return isolation.Row(str(claim.delivery.pk), claim.delivery.config.game_id, kept)


def recalled(delivery_id: UUID, kept: Mapping[str, Any]) -> Answer:
    """The answer that was noted in `kept`, as far as it was."""
    claim = Claim(
        delivery=Delivery(pk=delivery_id),
        attempt_id=kept["attempt"],
        number=kept["number"],
        config_version=kept["config_version"],
        level=Level.NONE,
        facts=None,
        starts_at=clock.now(),
        token="",
    )
    verdict = Verdict(kept["verdict"])
    return Answer(claim, Outcome(verdict, None, UNSTORABLE, retry_after=kept["retry_after"], unknown=kept["unknown"]))


def record_again(answer: Answer) -> None:
    """Record an answer alone. Raises what keeps it from being stored."""
    conversion_reasons.explain_sent(conversion_ids=_record([answer]))


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
    """The attempt as CLOSE takes it, with what was sent and said unless the player was erased meanwhile."""
    request, outcome, response, token = answer.request, answer.outcome, answer.response, answer.claim.token
    return {
        "id": answer.claim.attempt_id,
        "status": status.value,
        "verdict": outcome.verdict.value,
        "http_status": response.status if response else None,
        "latency_ms": response.latency_ms if response else None,
        "provider_code": "" if erased else masked(outcome.code or "", token)[:64],
        "message": "" if erased else masked(outcome.message, token)[:MESSAGE_MAX],
        "request_id": "" if erased else masked(outcome.request_id or "", token)[:128],
        "payload": None if request is None or erased else orjson.Fragment(request.body),
    }
