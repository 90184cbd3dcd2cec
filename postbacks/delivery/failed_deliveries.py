"""Counts of failed deliveries: all, those that can still be sent, and the progress of replays."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import connection
from django.db.models import Count, Q, QuerySet

from audience.database import clock
from postbacks.configs.sending_state import block_of
from postbacks.models import UNKNOWN, Delivery, DeliveryState, PostbackConfig, Replay, ReplayState
from postbacks.networks.interface.network import Verdict
from postbacks.outbox.goals import goals_of

# A delivery fails within 47 hours of its first attempt, and cannot be sent after that.
OFFERED = timedelta(hours=48)

# In SQL, since every page of a network runs it and composing it with the ORM takes longer than PostgreSQL's answer. The
# filters are those of `matching`, the deadlines those of `in_time`.
COUNTED = """
SELECT config_id, verdict, count(*), count(*) FILTER (WHERE in_time AND %(wanted)s::jsonb -> config_id::text ? trigger),
  count(*) FILTER (WHERE NOT in_time), min(finished_at)
FROM (
  SELECT *, dead_after > %(now)s AND (safe_until IS NULL OR safe_until > %(now)s) AS in_time FROM postbacks_delivery
) delivery
WHERE config_id = ANY(%(configs)s) AND state = 'failed' AND conversion_id IS NOT NULL
  AND finished_at >= coalesce(%(failed_from)s::timestamptz, '-infinity')
  AND finished_at < coalesce(%(failed_until)s::timestamptz, 'infinity') AND %(verdict)s IN ('', verdict)
GROUP BY config_id, verdict ORDER BY verdict
"""
COUNTS = ("total", "sendable", "past_deadline", "since")

# What a verdict means on a page, after the word "failed".
WORDS = {
    Verdict.CREDENTIAL.value: "with credential errors",
    Verdict.TRANSIENT.value: "because the network could not be reached",
    Verdict.PAYLOAD.value: "because the network refused the event",
    "": "without an answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCounts:
    """`total` is the sum of sendable, past a deadline, and of events that the postback is off for.

    `since` is when the first of them failed; None without any. Those of erased players are not counted.
    """

    total: int
    sendable: int
    past_deadline: int
    since: datetime | None

    @property
    def switched_off(self) -> int:
        return self.total - self.sendable - self.past_deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOffer:
    """Recent failures of one config with one verdict, some still sendable; `blocked` is why not now, or ''."""

    config: PostbackConfig
    verdict: str
    counts: FailureCounts
    blocked: str

    @property
    def words(self) -> str:
        return WORDS[self.verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayProgress:
    """A replay with the counts of its deliveries by state."""

    replay: Replay
    delivered: int
    failed: int
    waiting: int
    may_have_arrived: int
    not_sent: int

    @property
    def settled(self) -> int:
        cancelled = self.may_have_arrived + self.not_sent
        return self.delivered + self.failed + cancelled + self.replay.past_deadline

    @property
    def rest(self) -> int:
        """Still to be queued; of a replay that is over, those never queued or queued by a later one."""
        return max(self.replay.total - self.settled - self.waiting, 0)

    @property
    def words(self) -> str:
        return f"failed {WORDS[self.replay.verdict]}" if self.replay.verdict else "all that failed"

    @property
    def is_running(self) -> bool:
        return self.replay.state == ReplayState.RUNNING


def in_time(now: datetime) -> Q:
    """Neither deadline has passed (Delivery.deadline, in SQL)."""
    return Q(dead_after__gt=now) & (Q(safe_until=None) | Q(safe_until__gt=now))


def events_of(config: PostbackConfig) -> list[str]:
    """Return the names of the events that the config sends now."""
    return sorted({goal.event for goal in goals_of(config)})


def matching(
    config: PostbackConfig, *, failed_from: datetime | None, failed_until: datetime | None, verdict: str
) -> QuerySet[Delivery]:
    """Return what failed in a period (None: open) with a verdict ('': any), without erased players' deliveries."""
    found = Delivery.objects.filter(config=config, state=DeliveryState.FAILED, conversion__isnull=False)
    if failed_from:
        found = found.filter(finished_at__gte=failed_from)
    if failed_until:
        found = found.filter(finished_at__lt=failed_until)
    return found.filter(verdict=verdict) if verdict else found


def preview(
    config: PostbackConfig, *, failed_from: datetime | None, failed_until: datetime | None, verdict: str
) -> FailureCounts:
    """Return what a replay with this filter would find now."""
    given = {"failed_from": failed_from, "failed_until": failed_until, "verdict": verdict}
    found = [counts for _, _, counts in _counted([config], **given)]
    return FailureCounts(
        total=sum(counts.total for counts in found),
        sendable=sum(counts.sendable for counts in found),
        past_deadline=sum(counts.past_deadline for counts in found),
        since=min((counts.since for counts in found if counts.since), default=None),
    )


def offers(configs: Iterable[PostbackConfig]) -> list[ReplayOffer]:
    """Return the failures of the last 48 hours per config and verdict, where some can still be sent; in one query."""
    known = {config.pk: config for config in configs}
    recent = {"failed_from": clock.now() - OFFERED, "failed_until": None, "verdict": ""}
    found = [
        ReplayOffer(config=known[pk], verdict=verdict, counts=counts, blocked=block_of(known[pk]) or "")
        for pk, verdict, counts in _counted(list(known.values()), **recent)
        if counts.sendable
    ]
    places = {pk: place for place, pk in enumerate(known)}
    return sorted(found, key=lambda offer: places[offer.config.pk])


def _counted(configs: Sequence[PostbackConfig], **filters: Any) -> list[tuple[uuid.UUID, str, FailureCounts]]:
    """Return the counts of `matching` per config and verdict, the verdicts in order."""
    if not configs:
        return []
    wanted = orjson.dumps({str(config.pk): events_of(config) for config in configs}).decode()
    given = {"configs": [config.pk for config in configs], "wanted": wanted, "now": clock.now(), **filters}
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, given)
        return [
            (pk, verdict, FailureCounts(**dict(zip(COUNTS, counts, strict=True)))) for pk, verdict, *counts in cursor
        ]


def progress(replays: Sequence[Replay]) -> list[ReplayProgress]:
    """Return the progress of each replay, in one query."""
    if not replays:
        return []
    states: dict[uuid.UUID, dict[str, int]] = {replay.pk: {} for replay in replays}
    rows = Delivery.objects.filter(replay__in=states).values_list("replay", "state")
    counts = rows.annotate(count=Count("pk"), unknown=Count("pk", filter=UNKNOWN))
    for pk, state, count, unknown in counts.order_by():
        states[pk][state] = count - unknown
        states[pk]["unknown"] = states[pk].get("unknown", 0) + unknown
    return [_progress(replay, states[replay.pk]) for replay in replays]


def _progress(replay: Replay, states: dict[str, int]) -> ReplayProgress:
    def of(*names: str) -> int:
        return sum(states.get(name, 0) for name in names)

    return ReplayProgress(
        replay=replay,
        delivered=of(DeliveryState.DELIVERED),
        failed=of(DeliveryState.FAILED),
        waiting=of(DeliveryState.WAITING, DeliveryState.HELD),
        may_have_arrived=of("unknown"),
        not_sent=of(DeliveryState.SKIPPED, DeliveryState.CANCELLED),
    )
