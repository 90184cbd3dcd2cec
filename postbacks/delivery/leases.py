"""The lease of a claim: it reserves the deliveries for this worker, and writes their attempts before the calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from audience.background import isolation
from audience.database import bulk
from audience.models import Queue
from consent.models import Level
from postbacks.delivery import frozen_bodies, retry_schedule
from postbacks.delivery.cancellation import SendableDelivery
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.networks.interface.facts import Facts

# From the planned start of a call. Longer than any call may take (http.TIMEOUT_SECONDS), with time to record it.
LEASE_SECONDS = 30.0
# A claim whose call has not begun this long after its planned start is undone; configs.versions.MAX_CALL includes it.
MAX_START_DELAY_SECONDS = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A leased delivery with its open attempt, to be sent at `starts_at` (by the database's clock).

    `facts` is None when the conversion's data could not be read. `body` replaces that of the request unless None
    (frozen_bodies.py).
    """

    delivery: Delivery
    attempt_id: int
    number: int
    config_version: int
    level: Level
    facts: Facts | None = field(repr=False)
    starts_at: datetime
    body: Any = field(default=None, repr=False)

    @property
    def latest_start(self) -> datetime:
        """The time after which the call must not begin."""
        return min(self.delivery.deadline, self.starts_at + timedelta(seconds=MAX_START_DELAY_SECONDS))


def failure_key(network: str, config_id: UUID, delivery_id: UUID, game_id: int) -> isolation.FailureKey:
    """The key in FailedWork of a delivery whose claim cannot be made or undone."""
    return isolation.FailureKey(str(delivery_id), game_id, {"network": network, "config": str(config_id)})


def lease(
    config: PostbackConfig, sendable: Sequence[SendableDelivery], starts: Sequence[datetime], now: datetime
) -> list[Claim]:
    """Lease locked deliveries of `config` from their planned `starts` on, and write an open attempt for each."""
    rows = [item.delivery for item in sendable]
    abandoned = [row.pk for row in rows if row.leased_until is not None]
    if abandoned:
        DeliveryAttempt.objects.filter(delivery__in=abandoned).close_abandoned(sent_again=True)
    for row, starts_at in zip(rows, starts, strict=True):
        row.attempts_made, row.attempts_counted = row.attempts_made + 1, row.attempts_counted + 1
        row.leased_until, row.config_version = starts_at + timedelta(seconds=LEASE_SECONDS), config.version
        row.first_attempt_at = row.first_attempt_at or now
        row.safe_until = row.safe_until or now + retry_schedule.MAX_RETRY_PERIOD
    columns = ["attempts_made", "attempts_counted", "leased_until", "config_version", "first_attempt_at", "safe_until"]
    bulk.update(rows, columns)
    bodies = frozen_bodies.bodies(config, sendable)
    attempts = _open_attempts(config, rows, bodies, now)
    return [
        Claim(
            delivery=item.delivery,
            attempt_id=attempt.pk,
            number=attempt.number,
            config_version=config.version,
            level=item.level,
            facts=item.facts,
            starts_at=starts_at,
            body=bodies.get(item.delivery.pk),
        )
        for item, attempt, starts_at in zip(sendable, attempts, starts, strict=True)
    ]


def _open_attempts(
    config: PostbackConfig, rows: Sequence[Delivery], bodies: Mapping[UUID, Any], now: datetime
) -> list[DeliveryAttempt]:
    return DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            delivery=row,
            config=config,
            number=row.attempts_made,
            config_version=config.version,
            started_at=now,
            payload=bodies.get(row.pk),
        )
        for row in rows
    )


def undo(claims: Sequence[Claim]) -> None:
    """Undo claims whose call was not made: their attempts are deleted, and the deliveries are due as before.

    A claim that cannot be undone is recorded, and claimed alone when its lease has expired.
    """
    isolation.process_together(Queue.SENDING, claims, _undo, failure_key=_failure_key)


def _failure_key(claim: Claim) -> isolation.FailureKey:
    config = claim.delivery.config
    return failure_key(config.network, config.pk, claim.delivery.pk, config.game_id)


@transaction.atomic
def _undo(claims: Sequence[Claim]) -> None:
    claimed = {claim.delivery.pk: (claim.number, claim.delivery.leased_until) for claim in claims}
    waiting = Delivery.objects.filter(pk__in=claimed, state=DeliveryState.WAITING)
    rows = waiting.select_for_update(of=("self",)).order_by("pk")
    unchanged = [row for row in rows if (row.attempts_made, row.leased_until) == claimed[row.pk]]
    for row in unchanged:
        row.attempts_made -= 1
        row.attempts_counted = max(row.attempts_counted - 1, 0)
        row.leased_until = None
        if not row.attempts_made:
            row.first_attempt_at = row.safe_until = None
    bulk.update(unchanged, ["attempts_made", "attempts_counted", "leased_until", "first_attempt_at", "safe_until"])
    undone = {row.pk for row in unchanged}
    attempts = [claim.attempt_id for claim in claims if claim.delivery.pk in undone]
    DeliveryAttempt.objects.filter(pk__in=attempts, status=AttemptStatus.SENDING).delete()
