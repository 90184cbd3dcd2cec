"""From a Conversion to its Deliveries: one row per config, on its way or with the reason why it does not go.

The conversions still to be fanned out are the queue. A batch is claimed, decided and written in one transaction that
calls nobody, so a worker that dies leaves nothing half done. A conversion may come back (a merge found its click): the
rows that were skipped are decided again, every other row has its own life by then and stays.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from audience.models import Conversion, Reason
from audience.wakeup import wake
from consent.models import Level
from postbacks.deciding import gate
from postbacks.models import Delivery, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS

logger = structlog.get_logger(__name__)

BATCH = 500
DELIVER_TASK = "postbacks.tasks.deliver"
# States in which a postback was, or will be, tried: the conversion needs no reason of its own.
TRIED = (DeliveryState.WAITING, DeliveryState.HELD, DeliveryState.DELIVERED, DeliveryState.FAILED)
# Attribution's own verdicts; the outbox never replaces them.
SETTLED = (Reason.ERASED, Reason.REPEAT_LAUNCH, Reason.NO_CLICK, Reason.OUTSIDE_WINDOW)


def drain(*, seconds: float = 10.0) -> bool:
    """Fan out until nothing is left or the time is up; whether something may be left."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if fan_out_due(limit=BATCH) < BATCH:
            return False
    return True


@transaction.atomic
def fan_out_due(*, limit: int = BATCH) -> int:
    """Decide up to `limit` conversions for every config of their games; how many were decided.

    Wakes the sender after the commit when a row is waiting. May run in any number of workers at once.
    """
    conversions = _claim(limit)
    if not conversions:
        return 0
    now = timezone.now()
    configs = _configs({conversion.game_id for conversion in conversions})
    present = _present(conversions)
    open_ones = [c for c in conversions if gate.whatever_config(c) is None]
    levels = gate.levels(open_ones)
    rows = [
        _row(conversion, config, levels.get(conversion.pk, Level.NONE), now)
        for conversion in conversions
        for config in configs[conversion.game_id]
    ]
    _write(rows, present)
    _explain(conversions, rows, present, now)
    waiting = sum(row.state == DeliveryState.WAITING for row in rows)
    if waiting:
        wake(DELIVER_TASK)
    logger.info("fanned_out", conversions=len(conversions), waiting=waiting)
    return len(conversions)


Present = dict[tuple[uuid.UUID, uuid.UUID], Delivery]


def _claim(limit: int) -> list[Conversion]:
    queue = Conversion.objects.to_fan_out().select_related("game", "touch", "person")
    return list(
        queue.select_for_update(skip_locked=True, of=("self",), no_key=True).prefetch_related("person__identities")[
            :limit
        ]
    )


def _configs(game_ids: set[int]) -> dict[int, list[PostbackConfig]]:
    """The kept configs per game, without their credentials: deciding needs none."""
    kept = PostbackConfig.objects.kept().filter(game_id__in=game_ids, network__in=NETWORKS).defer("credential")
    found: dict[int, list[PostbackConfig]] = defaultdict(list)
    for config in kept.order_by("created_at"):
        found[config.game_id].append(config)
    return found


def _present(conversions: Sequence[Conversion]) -> Present:
    rows = Delivery.objects.filter(conversion_id__in=[conversion.pk for conversion in conversions])
    return {(row.conversion_id, row.config_id): row for row in rows if row.conversion_id}


def _row(conversion: Conversion, config: PostbackConfig, level: Level, now: datetime) -> Delivery:
    """The Delivery as it should be, were there none yet."""
    reason = gate.against(conversion, config, level=level, now=now)
    return Delivery(
        game_id=conversion.game_id,
        conversion=conversion,
        config=config,
        network=config.network,
        trigger=conversion.trigger,
        event_id=gate.event_id(conversion, config),
        event_at=conversion.event_at,
        dead_after=conversion.event_at + config.kind.max_age,
        config_version=config.version,
        state=DeliveryState.SKIPPED if reason else DeliveryState.WAITING,
        reason=reason or "",
        next_attempt_at=None if reason else now,
        finished_at=now if reason else None,
        created_at=now,
    )


def _write(rows: Sequence[Delivery], present: Present) -> None:
    """Insert new rows and decide skipped ones again. The lock on the conversion keeps other fan-outs off its rows."""
    Delivery.objects.bulk_create([row for row in rows if _key(row) not in present])
    decided = ["state", "reason", "next_attempt_at", "finished_at", "config_version"]
    again = []
    for row in rows:
        skipped = present.get(_key(row))
        if skipped is not None and skipped.state == DeliveryState.SKIPPED:
            for name in decided:
                setattr(skipped, name, getattr(row, name))
            again.append(skipped)
    Delivery.objects.bulk_update(again, decided, batch_size=BATCH)


def _key(row: Delivery) -> tuple[uuid.UUID, uuid.UUID]:
    return (row.conversion_id or uuid.UUID(int=0), row.config_id)


def _explain(conversions: Sequence[Conversion], rows: Sequence[Delivery], present: Present, now: datetime) -> None:
    """Close the claim, and write on each conversion why nothing of it goes out, or '' when something does."""
    final: dict[uuid.UUID, dict[uuid.UUID, Delivery]] = defaultdict(dict)
    for row in [*rows, *present.values()]:  # the rows in place (decided again by now) count, not their proposals
        if row.conversion_id:
            final[row.conversion_id][row.config_id] = row
    by_reason: dict[str, list[uuid.UUID]] = defaultdict(list)
    for conversion in conversions:
        by_reason[_telling(conversion, list(final[conversion.pk].values()))].append(conversion.pk)
    for reason, ids in by_reason.items():
        Conversion.objects.filter(pk__in=ids).update(reason=reason, fanned_out_at=now)


def _telling(conversion: Conversion, deliveries: Sequence[Delivery]) -> str:
    """The reason that tells most: attribution's, else that of the click's own network, the furthest come first."""
    # Lifting a repeat would break "one counted launch per person".
    if conversion.reason in (Reason.ERASED, Reason.REPEAT_LAUNCH):
        return conversion.reason
    if any(delivery.state in TRIED for delivery in deliveries):
        return ""
    if conversion.reason in SETTLED:
        return conversion.reason
    general = gate.whatever_config(conversion)
    if general is not None or conversion.touch is None:
        return general or Reason.NO_CLICK
    own = [Reason(d.reason) for d in deliveries if d.network == conversion.touch.network and d.reason]
    return max(own, key=gate.ORDER.index, default=Reason.OTHER_NETWORK)


def explain_skipped(*, conversion_id: uuid.UUID, reason: Reason) -> None:
    """Write `reason` on a conversion whose last open postback was called off right before it was sent."""
    if not Delivery.objects.filter(conversion_id=conversion_id, state__in=TRIED).exists():
        Conversion.objects.filter(pk=conversion_id, reason="").update(reason=reason)
