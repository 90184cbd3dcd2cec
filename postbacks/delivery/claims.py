"""Taking due Deliveries into one worker's hands: looked at once more, given their moment, the attempt written first.

A claim is one transaction over one pixel. It locks the config (so that a rotation or a hold waits for it, and it for
them), then the pixel's Flow, then as many due rows as may be sent within the next quarter of a second. A row that
cannot be claimed stops no other (audience/background/isolation.py); it stays waiting, and nobody sends it until it can.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from consent.models import Level
from postbacks.delivery import breaker, calling_off, leases, pace
from postbacks.delivery.calling_off import Kept
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState, Flow, PostbackConfig
from postbacks.networks.interface.network import Facts

logger = structlog.get_logger(__name__)

# Longer than any call may take (delivery.TIMEOUT, 10 s) with room for a slow database: until then the row is ours.
LEASE = timedelta(seconds=30)
CALLED_OFF_MOST = 320  # rows of a config that is switched off, called off in one transaction
# When a claim fails its halves are tried for so many seconds: the other pixels of the network wait meanwhile.
LONGEST_ALONE = 1.0
# Deliveries that failed and are tried again, alone, before the others.
RETRIES_AT_ONCE = 100
# Claims go side by side, while a rotation that pauses the config waits for those begun before it.
SHARED = "SELECT * FROM postbacks_postbackconfig WHERE id = %s FOR SHARE"
# What is due of a config that is switched off or deleted is only called off, which waits for nothing.
# Asked before each claim: putting it together anew took the ORM longer than PostgreSQL to answer it.
CHANCES = f"""
SELECT config.id, CASE WHEN config.enabled THEN flow.next_slot_at END
FROM postbacks_postbackconfig config
LEFT JOIN postbacks_flow flow ON flow.network = config.network AND flow.pixel_id = config.pixel_id
WHERE config.network = %(network)s AND (NOT config.enabled OR (
    config.held_at IS NULL AND config.suspected_at IS NULL
    AND (config.paused_until IS NULL OR config.paused_until < %(now)s)
    AND (flow.open_until IS NULL OR flow.open_until <= %(now)s)
  ))
  AND EXISTS (SELECT 1 FROM postbacks_delivery delivery WHERE delivery.config_id = config.id AND {leases.WAITS}
    AND {leases.NOT_FAILED})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A leased delivery with its open attempt, to be sent at `starts_at` (the database's clock).

    `facts` is None when the conversion's data could not be read; `token` is '' when no key opens the stored credential.
    """

    delivery: Delivery
    attempt_id: int
    number: int
    config_version: int
    level: Level
    facts: Facts | None = field(repr=False)
    starts_at: datetime
    token: str = field(repr=False)


def claim(*, network: str, most: int = 1) -> list[Claim]:
    """Up to `most` due deliveries of one pixel of `network`, leased; [] when none may be sent now.

    Those called off on the way are closed.
    """
    ready = [config_id for config_id, seconds in _chances(network) if seconds <= 0]
    random.shuffle(ready)  # a pixel with ten thousand waiting must not always come first
    for config_id in ready:
        looking = True
        while looking:
            taken, called_off = _claim_isolated(network, config_id, most)
            if taken:
                return taken
            looking = bool(called_off)
    return []


def claim_failed(*, network: str) -> list[Claim]:
    """Claim alone the deliveries of `network` that could not be claimed and are due again; leased."""
    claims: list[Claim] = []
    failed = FailedWork.objects.of(Queue.SENDING).filter(kept__network=network).due()
    isolation.retry(Queue.SENDING, lambda failure: claims.extend(_again(failure)), rows=failed[:RETRIES_AT_ONCE])
    return claims


def _again(failure: FailedWork) -> list[Claim]:
    delivery_id = UUID(failure.row)
    taken, called_off = _claim(UUID(failure.kept["config"]), 1, only=[delivery_id])
    if not taken and not called_off and Delivery.objects.filter(pk=delivery_id, state=DeliveryState.WAITING).exists():
        raise isolation.NotNow  # on hold, at the limit of its pixel, or not due
    return taken


def place(network: str, config_id: UUID, delivery_id: UUID, game_id: int) -> isolation.Row:
    """What a delivery that could not be claimed, or given back, is noted under."""
    return isolation.Row(str(delivery_id), game_id, {"network": network, "config": str(config_id)})


def next_chance(network: str) -> float | None:
    """In how many seconds something due of `network` may be claimed; None when only time or a person can tell."""
    return min((seconds for _, seconds in _chances(network)), default=None)


def _chances(network: str) -> list[tuple[UUID, float]]:
    """The configs with something due whose credential and breaker let it go, and the limiter's wait in seconds."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(CHANCES, {"network": network, "now": now})
        return [(pk, (slot - pace.AHEAD - now).total_seconds() if slot else 0.0) for pk, slot in cursor.fetchall()]


def _claim_isolated(network: str, config_id: UUID, most: int) -> tuple[list[Claim], list[Delivery]]:
    """As `_claim`; when that fails, each half of the due rows, and so on."""
    try:
        return _claim(config_id, most)
    except Exception as error:  # whatever a bad row makes a step raise; audience/background/isolation.py has the rule
        isolation.raise_if_passing(error)
        logger.warning("claim_failed_together", config_id=str(config_id), error=type(error).__name__)
    found = isolation.together(
        Queue.SENDING,
        leases.due_ids(config_id, now=clock.now(), most=max(most, CALLED_OFF_MOST)),
        lambda rows: _claim(config_id, min(most, len(rows)), only=[pk for pk, _ in rows]),
        row_of=lambda row: place(network, config_id, *row),
        until=time.monotonic() + LONGEST_ALONE,
    )
    return [claim for taken, _ in found for claim in taken], [row for _, called_off in found for row in called_off]


def _claim(config_id: UUID, most: int, *, only: Sequence[UUID] = ()) -> tuple[list[Claim], list[Delivery]]:
    """Those leased, and those called off and closed: of what is due, or of `only` these."""
    taken, called_off = _claim_due(config_id, most, only)
    # Outside: an erasure locks the conversion before its deliveries, nobody may lock them the other way round.
    for delivery in called_off:
        calling_off.explain(delivery)
    return taken, called_off


@transaction.atomic
def _claim_due(config_id: UUID, most: int, only: Sequence[UUID]) -> tuple[list[Claim], list[Delivery]]:
    config = PostbackConfig.objects.raw(SHARED, [config_id])[0]
    if not config.enabled:
        rows = leases.due(config, now=clock.now(), most=CALLED_OFF_MOST, only=only)
        return [], calling_off.sorted_out(rows, clock.now())[1]
    flow = _flow(config)
    now = clock.now()
    if not _may_send(config, now) or breaker.is_open(flow, now):
        return [], []
    room = min(most, pace.room(flow, now), 1 if breaker.is_tripped(flow) else most)
    kept, called_off = calling_off.sorted_out(leases.due(config, now=now, most=room, only=only), now)
    if kept:
        if breaker.is_tripped(flow):
            breaker.probe(flow, now)
        starts = pace.plan(flow, len(kept), now)
        flow.save(update_fields=["next_slot_at", "open_until", "probing"])
        return _lease(config, kept, starts, now), called_off
    return [], called_off


def _may_send(config: PostbackConfig, now: datetime) -> bool:
    paused = config.paused_until is not None and config.paused_until >= now
    return config.held_at is None and config.suspected_at is None and not paused


def _flow(config: PostbackConfig) -> Flow:
    """The pixel's row, locked."""
    rows = Flow.objects.select_for_update().filter(network=config.network, pixel_id=config.pixel_id)
    found = rows.first()
    if found is None:
        Flow.objects.get_or_create(network=config.network, pixel_id=config.pixel_id)
        found = rows.get()
    return found


def _lease(config: PostbackConfig, kept: Sequence[Kept], starts: Sequence[datetime], now: datetime) -> list[Claim]:
    token = config.credential.get("token", "")
    rows = [each.delivery for each in kept]
    left = [row.pk for row in rows if row.leased_until is not None]
    if left:
        DeliveryAttempt.objects.filter(delivery__in=left).close_abandoned(sent_again=True)
    attempts = leases.lease(config, rows, [at + LEASE for at in starts], now)
    return [
        Claim(
            delivery=each.delivery,
            attempt_id=attempts[each.delivery.pk],
            number=each.delivery.attempts_made,
            config_version=config.version,
            level=each.level,
            facts=each.facts,
            starts_at=starts_at,
            token=token,
        )
        for each, starts_at in zip(kept, starts, strict=True)
    ]
