"""Claims due deliveries for this worker: checks them again, plans their starts and stores their attempts.

A claim is one transaction for one config. It locks the config, as a rotation and a hold do, then the pixel's Flow, then
as many due rows as may be sent within the next quarter of a second. A row that cannot be claimed stops no other
(audience/background/isolation.py): it stays waiting, and is retried alone.
"""

import random
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from audience.models.failed_work import not_failed
from postbacks.configs.sending_state import Block, block_of, may_send
from postbacks.delivery import breaker, cancellation, leases, pace
from postbacks.delivery.leases import Claim
from postbacks.models import Delivery, DeliveryState, Flow, PostbackConfig
from postbacks.models.deliveries import DeliveryQuerySet
from postbacks.networks import NETWORKS
from postbacks.outbox import conversion_facts

logger = structlog.get_logger(__name__)

MAX_CANCELLED = 320  # rows of a disabled config that are canceled in one transaction
# When a claim fails, its halves are tried for at most this long, since the other pixels of the network wait meanwhile.
MAX_ISOLATION_SECONDS = 1.0
MAX_RETRIES_PER_SWEEP = 100  # failed deliveries that are claimed alone, before the others


def claim(*, network: str, limit: int = 1) -> Iterator[Claim]:
    """Claim up to `limit` due deliveries of `network` that may be sent now, config by config.

    Cancels those that may not be sent any more.
    """
    ready = [config_id for config_id, seconds in _seconds_by_config(network) if seconds <= 0]
    random.shuffle(ready)  # a pixel with a long queue must not always come first
    for config_id in ready:
        if limit <= 0:
            return
        claimed, cancelled = _claim_isolated(network, config_id, limit)
        while cancelled and not claimed:  # more may be due after those that were canceled
            claimed, cancelled = _claim_isolated(network, config_id, limit)
        limit -= len(claimed)
        yield from claimed


def claim_failed(*, network: str) -> list[Claim]:
    """Claim the deliveries of `network` whose claim failed before and which are due again, each alone."""
    claims: list[Claim] = []
    failed = FailedWork.objects.of(Queue.SENDING).filter(kept__network=network).due()
    isolation.retry(Queue.SENDING, lambda failure: claims.extend(_retry(failure)), rows=failed[:MAX_RETRIES_PER_SWEEP])
    return claims


def _retry(failure: FailedWork) -> list[Claim]:
    delivery_id = UUID(failure.row)
    claimed, cancelled = _claim(UUID(failure.kept["config"]), 1, only=[delivery_id])
    if not claimed and not cancelled and Delivery.objects.filter(pk=delivery_id, state=DeliveryState.WAITING).exists():
        raise isolation.RetryLater  # on hold, at the limit of its pixel, or not due
    return claimed


def seconds_until_claimable(network: str) -> float | None:
    """Seconds until a due delivery of `network` may be claimed; None if none is due or sending is stopped."""
    return min((seconds for _, seconds in _seconds_by_config(network)), default=None)


def _seconds_by_config(network: str) -> list[tuple[UUID, float]]:
    """The configs with claimable deliveries, each with the seconds until the rate limiter allows a call.

    0 for a disabled config, whose due deliveries are only canceled.
    """
    now = clock.now()
    return [
        (pk, (slot - pace.AHEAD - now).total_seconds() if enabled and slot else 0.0)
        for pk, enabled, slot in claimable_configs(network, now)
    ]


def claimable_configs(network: str, now: datetime) -> QuerySet[PostbackConfig, tuple[UUID, bool, datetime | None]]:
    """Configs of `network` with due deliveries that neither a hold nor the breaker stops: id, enabled, next slot."""
    pixel = Cast(OuterRef("pk"), CharField()) if NETWORKS[network].pixel_is_name else OuterRef("pixel_id")
    flows = Flow.objects.filter(network=network, pixel_id=pixel)
    due = Delivery.objects.due(now).filter(not_failed(Queue.SENDING), not_failed(Queue.CLOSING))
    configs = PostbackConfig.objects.filter(Exists(due.filter(config=OuterRef("pk"))), network=network)
    is_off = Q(enabled=False) | Q(deleted_at__isnull=False)
    claimable = configs.filter(is_off | (may_send(now) & ~Exists(flows.filter(open_until__gt=now))))
    return claimable.values_list("pk", "enabled", Subquery(flows.values("next_slot_at")))


def _claim_isolated(network: str, config_id: UUID, limit: int) -> tuple[list[Claim], list[Delivery]]:
    """As `_claim`; if that fails, claim each half of the due rows, and so on."""
    try:
        return _claim(config_id, limit)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        logger.warning("claim_bulk_failed", config_id=str(config_id), error=type(error).__name__)
    rows = _due(config_id, clock.now()).values_list("pk", "game_id")[: max(limit, MAX_CANCELLED)]
    results = isolation.process_together(
        Queue.SENDING,
        list(rows),
        lambda part: _claim(config_id, min(limit, len(part)), only=[pk for pk, _ in part]),
        failure_key=lambda row: leases.failure_key(network, config_id, *row),
        deadline=time.monotonic() + MAX_ISOLATION_SECONDS,
    )
    return [claim for claims, _ in results for claim in claims], [row for _, rows in results for row in rows]


def _claim(config_id: UUID, limit: int, *, only: Sequence[UUID] = ()) -> tuple[list[Claim], list[Delivery]]:
    """Return the claims and the canceled deliveries, of all due ones or of `only` these."""
    claimed, cancelled = _claim_due(config_id, limit, only)
    # Outside of the transaction: an erasure locks the conversion before its deliveries, and the reverse order could
    # deadlock.
    for delivery in cancelled:
        cancellation.record_reason(delivery)
    return claimed, cancelled


@transaction.atomic
def _claim_due(config_id: UUID, limit: int, only: Sequence[UUID]) -> tuple[list[Claim], list[Delivery]]:
    configs = PostbackConfig.objects.select_for_update(no_key=True, of=("self",)).select_related("game")
    config = configs.get(pk=config_id)
    now = clock.now()
    if block_of(config) in (Block.DISABLED, Block.DELETED):
        return [], cancellation.split_due(_locked(config, now, MAX_CANCELLED, only), now)[1]
    flow, _ = Flow.objects.select_for_update().get_or_create(network=config.network, pixel_id=config.flow_pixel)
    now = clock.now()  # the lock may have taken a while
    if block_of(config, now=now) or breaker.is_open(flow, now):
        return [], []
    limit = min(limit, pace.free_slots(flow, now), 1 if breaker.is_tripped(flow) else limit)
    sendable, cancelled = cancellation.split_due(_locked(config, now, limit, only), now)
    if not sendable:
        return [], cancelled
    if breaker.is_tripped(flow):
        breaker.probe(flow, now)
    starts = pace.reserve_slots(flow, len(sendable), now)
    flow.save(update_fields=["next_slot_at", "open_until", "probing"])
    return leases.lease(config, sendable, starts, now), cancelled


def _due(config_id: UUID, now: datetime, only: Sequence[UUID] = ()) -> DeliveryQuerySet:
    """The due deliveries of a config without those that failed before, or `only` these.

    A delivery whose answer is in FailedWork is excluded: it was sent already.
    """
    due = Delivery.objects.due(now).filter(not_failed(Queue.CLOSING), config=config_id)
    return due.filter(pk__in=only) if only else due.filter(not_failed(Queue.SENDING))


def _locked(config: PostbackConfig, now: datetime, limit: int, only: Sequence[UUID]) -> list[Delivery]:
    """Up to `limit` due deliveries, locked, the longest due first, with the related rows that sending reads."""
    due = _due(config.pk, now, only).select_for_update(skip_locked=True, of=("self",))
    rows = list(due.select_related("conversion__touch", "conversion__person")[:limit])
    for row in rows:
        row.config = config
        if row.conversion is not None:
            row.conversion.game = config.game
    conversion_facts.load_first_user_ids([row.conversion for row in rows if row.conversion is not None])
    return rows
