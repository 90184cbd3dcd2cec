"""Fans out conversions: one Delivery per config that takes the click, waiting, held, or skipped with a reason.

A batch of conversions is locked, decided and written in one transaction without calls to other systems. A conversion
may be fanned out again (a merge found its click): skipped deliveries are decided again, the others do not change.
Failing conversions are isolated (audience/background/isolation.py).
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from audience.background import isolation
from audience.background.wakeup import wake
from audience.database import bulk, clock
from audience.digest import orders
from audience.models import Conversion, FailedWork, Queue
from audience.models.failed_work import not_failed
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.outbox import (
    config_locks,
    conversion_facts,
    conversion_reasons,
    delivery_rows,
    hook_messages,
    once_per_player,
    repeated_orders,
)
from postbacks.outbox.once_per_player import Key

logger = structlog.get_logger(__name__)

BATCH = 500
# When a batch fails, its halves are tried for at most this long; the other conversions stay in the queue.
MAX_ISOLATION_SECONDS = 2.0
# A game with this many failed conversions is processed after all others, since each of its rows may fail.
MANY_FAILED = 50
DELIVER_TASK = "postbacks.tasks.deliver"


def drain(*, seconds: float = 10.0) -> bool:
    """Fan out until no conversion is due or `seconds` are over; return whether more may be due.

    Then failed conversions are retried, and games with many of them get one batch, so that a flood of bad events delays
    no other game.
    """
    until, has_more = time.monotonic() + seconds, True
    failing = Q(game__in=_failing_games())
    while has_more and time.monotonic() < until:
        has_more = fan_out_due(limit=BATCH, condition=~failing) == BATCH
    isolation.retry(Queue.FAN_OUT, lambda failure: _fan_out(Conversion.objects.to_fan_out().filter(pk=failure.row)))
    return fan_out_due(limit=BATCH, condition=failing) == BATCH or has_more


def _failing_games() -> list[int]:
    failed = FailedWork.objects.of(Queue.FAN_OUT).filter(set_aside_at=None, game__isnull=False).order_by()
    counts = failed.values("game").annotate(number=Count("pk"))
    return list(counts.filter(number__gte=MANY_FAILED).values_list("game", flat=True))


def fan_out_due(*, limit: int = BATCH, condition: Q | None = None) -> int:
    """Fan out up to `limit` due conversions that meet the condition; return how many, or `limit` if some failed.

    Wakes the delivery workers after the commit if rows are waiting. Safe to run concurrently.
    """
    queue = due().filter(condition or Q())
    try:
        return _fan_out(queue, limit=limit)
    except Exception as error:  # any error of a row is isolated
        isolation.raise_if_unavailable(error)
        logger.warning("fan_out_bulk_failed", error=type(error).__name__)
    isolation.process_together(
        Queue.FAN_OUT,
        list(queue.values_list("pk", "game_id")[:limit]),
        lambda part: _fan_out(Conversion.objects.to_fan_out().filter(pk__in=[pk for pk, _ in part])),
        failure_key=lambda row: isolation.FailureKey(str(row[0]), row[1]),
        deadline=time.monotonic() + MAX_ISOLATION_SECONDS,
    )
    return limit


@transaction.atomic
def _fan_out(queue: QuerySet[Conversion], *, limit: int = BATCH) -> int:
    """Fan out up to `limit` conversions of the queue; return how many."""
    conversions = _claim(queue, limit)
    if not conversions:
        return 0
    game_ids = {conversion.game_id for conversion in conversions}
    config_locks.lock_shared(game_ids)
    configs = _configs(game_ids)
    once_per_player.lock_games(configs)
    repeated_orders.lock_games(conversions)
    _reload_holds(configs)
    now = clock.now()
    existing = _existing(conversions)
    rows = delivery_rows.rows(conversions, configs, now, existing=existing.values())
    _write(rows, existing)
    _set_reasons(conversions, rows, existing, now)
    _choose_purchases(conversions)
    waiting = [row.network for row in rows if row.state == DeliveryState.WAITING]
    for network in sorted(set(waiting)):
        wake(DELIVER_TASK, network)
    logger.info("fanned_out", conversions=len(conversions), waiting=len(waiting))
    return len(conversions)


def _choose_purchases(conversions: Sequence[Conversion]) -> None:
    """Let totals count the purchase of an order that is sent, rather than an earlier one that is not."""
    purchases = [conversion for conversion in conversions if conversion.order_id]
    person_ids, order_ids = set(map(orders.owner_of, purchases)), {one.order_id for one in purchases}
    orders.choose_purchases(person_ids=person_ids, order_ids=order_ids, skip_locked=True)


ByKey = dict[Key, Delivery]
# The columns of a skipped delivery that another fan-out decides again.
COLUMNS = ["state", "reason", "next_attempt_at", "not_before", "finished_at", "config_version", "sent_as", "object_id"]


def due() -> QuerySet[Conversion]:
    """The conversions to be fanned out, without those that failed before, which are retried alone."""
    return Conversion.objects.to_fan_out().filter(not_failed(Queue.FAN_OUT))


def _claim(queue: QuerySet[Conversion], limit: int) -> list[Conversion]:
    ids = list(queue.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True)[:limit])
    # Read after the lock: a join in the locking query would return the click as it was before.
    rows = Conversion.objects.filter(pk__in=ids).select_related("game", "touch", "person").order_by("created_at")
    conversions = list(rows)
    conversion_facts.load_first_user_ids(conversions)
    return conversions


def _configs(game_ids: set[int]) -> list[PostbackConfig]:
    """The configs of these games that are not deleted, without their credentials."""
    configs = PostbackConfig.objects.kept().filter(game_id__in=game_ids, network__in=NETWORKS)
    return list(configs.defer("credential").order_by("created_at"))


def _reload_holds(configs: Sequence[PostbackConfig]) -> None:
    """Lock the configs on hold and read `held_at` again: a concurrent release would miss the rows held here."""
    held = {config.pk: config for config in configs if config.held_at}
    for row in PostbackConfig.objects.locked().filter(pk__in=held).order_by("pk").only("held_at"):
        held[row.pk].held_at = row.held_at


def _existing(conversions: Sequence[Conversion]) -> ByKey:
    rows = Delivery.objects.filter(conversion_id__in=[conversion.pk for conversion in conversions])
    rows = rows.select_related("config").defer("config__credential", "config__previous_credential")
    return {delivery_rows.key_of(row): row for row in rows}


def _write(rows: Sequence[Delivery], existing: ByKey) -> None:
    """Insert new rows and update skipped ones. The lock on the conversion excludes other fan-outs."""
    new = [row for row in rows if delivery_rows.key_of(row) not in existing]
    Delivery.objects.bulk_create(new)
    changed, skipped_again = [], []
    for row in rows:
        skipped = existing.get(delivery_rows.key_of(row))
        if skipped is not None and skipped.state == DeliveryState.SKIPPED:
            if row.reason != skipped.reason:
                skipped_again.append(skipped)
            for name in COLUMNS:
                setattr(skipped, name, getattr(row, name))
            changed.append(skipped)
    bulk.update(changed, COLUMNS)
    hook_messages.add_for_deliveries([*new, *skipped_again])


def _set_reasons(conversions: Sequence[Conversion], rows: Sequence[Delivery], existing: ByKey, now: datetime) -> None:
    """Mark the conversions as fanned out and set the reason of each."""
    by_conversion: dict[uuid.UUID, list[Delivery]] = defaultdict(list)
    for (conversion_id, _), row in ({delivery_rows.key_of(row): row for row in rows} | existing).items():
        by_conversion[conversion_id].append(row)
    by_reason: dict[str, list[uuid.UUID]] = defaultdict(list)
    for conversion in conversions:
        reason = conversion_reasons.overall_reason(conversion, by_conversion[conversion.pk])
        by_reason[reason].append(conversion.pk)
    for reason, ids in by_reason.items():
        Conversion.objects.filter(pk__in=ids).update(reason=reason, fanned_out_at=now)
