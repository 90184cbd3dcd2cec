"""Taking due Deliveries into one worker's hands: looked at once more, given their moment, the attempt written first.

A claim is one transaction over one pixel. It locks the config (so that a rotation or a hold waits for it, and it for
them), then the pixel's Flow, then as many due rows as may be sent within the next quarter of a second.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from audience import clock
from consent.models import Level
from postbacks.deciding import facts, gate
from postbacks.models import Delivery, Flow, PostbackConfig
from postbacks.networks.base import Facts
from postbacks.sending import abandoned, breaker, calling_off, leases, pace

# Longer than any call may take (delivery.TIMEOUT, 10 s) with room for a slow database: until then the row is ours.
LEASE = timedelta(seconds=30)
CALLED_OFF_MOST = 320  # rows of a config that is switched off, called off in one transaction
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
  AND EXISTS (SELECT 1 FROM postbacks_delivery delivery WHERE delivery.config_id = config.id AND {leases.WAITS})
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


@dataclass(frozen=True, slots=True)
class _Kept:
    """A delivery that is to be sent, and what may be told of its player."""

    delivery: Delivery
    level: Level
    facts: Facts | None


def claim(*, network: str, most: int = 1) -> list[Claim]:
    """Up to `most` due deliveries of one pixel of `network`, leased; [] when none may be sent now.

    Those called off on the way are closed.
    """
    ready = [config_id for config_id, seconds in _chances(network) if seconds <= 0]
    random.shuffle(ready)  # a pixel with ten thousand waiting must not always come first
    for config_id in ready:
        looking = True
        while looking:
            taken, called_off = _claim(config_id, most)
            # Outside: an erasure locks the conversion before its deliveries, nobody may lock them the other way round.
            for delivery in called_off:
                calling_off.explain(delivery)
            if taken:
                return taken
            looking = bool(called_off)
    return []


def next_chance(network: str) -> float | None:
    """In how many seconds something due of `network` may be claimed; None when only time or a person can tell."""
    return min((seconds for _, seconds in _chances(network)), default=None)


def _chances(network: str) -> list[tuple[UUID, float]]:
    """The configs with something due whose credential and breaker let it go, and the limiter's wait in seconds."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(CHANCES, {"network": network, "now": now})
        return [(pk, (slot - pace.AHEAD - now).total_seconds() if slot else 0.0) for pk, slot in cursor.fetchall()]


@transaction.atomic
def _claim(config_id: UUID, most: int) -> tuple[list[Claim], list[Delivery]]:
    """Those leased, and those called off and closed."""
    config = PostbackConfig.objects.raw(SHARED, [config_id])[0]
    if not config.enabled:
        return [], _sorted_out(leases.due(config, now=clock.now(), most=CALLED_OFF_MOST), clock.now())[1]
    flow = _flow(config)
    now = clock.now()
    if not _may_send(config, now) or breaker.is_open(flow, now):
        return [], []
    room = min(most, pace.room(flow, now), 1 if breaker.is_tripped(flow) else most)
    kept, called_off = _sorted_out(leases.due(config, now=now, most=room), now)
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


def _sorted_out(rows: Sequence[Delivery], now: datetime) -> tuple[list[_Kept], list[Delivery]]:
    """Those to send, and those called off, now closed."""
    levels = gate.levels([row.conversion for row in rows if row.conversion])
    kept: list[_Kept] = []
    closed: list[Delivery] = []
    for row in rows:
        level = levels[row.conversion.pk] if row.conversion else Level.NONE
        known = _facts(row, level)
        called_off = calling_off.called_off(row, level, known, now)
        if called_off is None:
            kept.append(_Kept(row, level, known))
            continue
        calling_off.close(row, called_off, now)
        closed.append(row)
    return kept, closed


def _facts(delivery: Delivery, level: Level) -> Facts | None:
    """Read once, for the gate and for the request; None for data that the sender will fail with a message."""
    if delivery.conversion is None:
        return None
    try:
        return facts.of(delivery.conversion, event_id=delivery.event_id, level=level, sent_as=delivery.sent_as)
    except facts.BAD_DATA:
        return None


def _lease(config: PostbackConfig, kept: Sequence[_Kept], starts: Sequence[datetime], now: datetime) -> list[Claim]:
    token = config.credential.get("token", "")
    rows = [each.delivery for each in kept]
    left = [row.pk for row in rows if row.leased_until is not None]
    if left:
        abandoned.close(left, sent_again=True)
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
