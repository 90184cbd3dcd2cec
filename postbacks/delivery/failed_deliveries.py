"""Counts of failed deliveries: all, those that can still be sent, and the progress of replays."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Aggregate, Count, Min, Q, QuerySet

from audience.database import clock
from postbacks.configs.sending_state import block_of
from postbacks.models import (
    OUTCOME_UNKNOWN,
    Confirmation,
    Delivery,
    DeliveryState,
    PostbackConfig,
    Replay,
    ReplayState,
)
from postbacks.models.deliveries import UNSENT_STATES
from postbacks.networks.interface.call import Verdict
from postbacks.outbox.goals import goals_of

# How old failures may be to be offered for a replay: 47 hours after its first attempt a delivery cannot be sent again.
OFFER_PERIOD = timedelta(hours=48)

# Without those whose click the network does not know: that is final.
FAILED = Delivery.objects.filter(state=DeliveryState.FAILED, conversion__isnull=False).exclude(
    confirmation=Confirmation.UNMATCHED
)
# Verdict -> the text that follows "failed" on a page.
VERDICT_TEXTS = {
    Verdict.CREDENTIAL.value: "with credential errors",
    Verdict.TRANSIENT.value: "because the network could not be reached",
    Verdict.PAYLOAD.value: "because the network refused the event",
    "": "without an answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCounts:
    """`total` is the sum of `sendable`, `past_deadline` and `disabled`: the postback is off for the event.

    `since` is the time of the first failure; None without any. Deliveries of erased players are not counted.
    """

    total: int
    sendable: int
    past_deadline: int
    since: datetime | None

    @property
    def disabled(self) -> int:
        return self.total - self.sendable - self.past_deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOffer:
    """Recent failures of one config with one verdict, some still sendable. `blocked`: why no replay can start now, or
    ''."""

    config: PostbackConfig
    verdict: str
    counts: FailureCounts
    blocked: str

    @property
    def text(self) -> str:
        return VERDICT_TEXTS[self.verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayProgress:
    """A replay with the counts of its deliveries by state."""

    replay: Replay
    delivered: int = 0
    failed: int = 0
    waiting: int = 0
    unknown: int = 0
    not_sent: int = 0

    @property
    def ended(self) -> int:
        return self.delivered + self.failed + self.unknown + self.not_sent + self.replay.past_deadline

    @property
    def remaining(self) -> int:
        """Not queued yet; of a finished replay, never queued or queued by a later replay."""
        return max(self.replay.total - self.ended - self.waiting, 0)

    @property
    def text(self) -> str:
        return f"failed {VERDICT_TEXTS[self.replay.verdict]}" if self.replay.verdict else "all failures"

    @property
    def is_running(self) -> bool:
        return self.replay.state == ReplayState.RUNNING


def in_time(now: datetime) -> Q:
    """The condition that neither deadline has passed: Delivery.deadline in SQL."""
    return Q(dead_after__gt=now) & (Q(safe_until=None) | Q(safe_until__gt=now))


def events_of(config: PostbackConfig) -> list[str]:
    """Return the names of the events that the config sends now."""
    return sorted({goal.event for goal in goals_of(config)})


def matching(
    config: PostbackConfig, *, failed_from: datetime | None, failed_until: datetime | None, verdict: str
) -> QuerySet[Delivery]:
    """Return what failed in a period (None: open) with a verdict ('': any), without erased players' deliveries."""
    rows = FAILED.filter(config=config)
    if failed_from:
        rows = rows.filter(finished_at__gte=failed_from)
    if failed_until:
        rows = rows.filter(finished_at__lt=failed_until)
    return rows.filter(verdict=verdict) if verdict else rows


def preview(
    config: PostbackConfig, *, failed_from: datetime | None, failed_until: datetime | None, verdict: str
) -> FailureCounts:
    """Count the deliveries that match the filter of a replay now."""
    rows = matching(config, failed_from=failed_from, failed_until=failed_until, verdict=verdict)
    return FailureCounts(**rows.aggregate(**_counts([config])))


def offers(configs: Sequence[PostbackConfig]) -> list[ReplayOffer]:
    """Return the recent failures per config and verdict, if some can still be sent; in one query."""
    recent = FAILED.filter(config__in=configs, finished_at__gte=clock.now() - OFFER_PERIOD)
    by_config: dict[uuid.UUID, list[tuple[str, FailureCounts]]] = defaultdict(list)
    rows: Any = recent.values("config", "verdict").annotate(**_counts(configs)).order_by("verdict")
    for row in rows:
        by_config[row.pop("config")].append((row.pop("verdict"), FailureCounts(**row)))
    return [
        ReplayOffer(config=config, verdict=verdict, counts=counts, blocked=block_of(config) or "")
        for config in configs
        for verdict, counts in by_config[config.pk]
        if counts.sendable
    ]


def _counts(configs: Sequence[PostbackConfig]) -> dict[str, Aggregate]:
    """Return the fields of FailureCounts, over failed deliveries of `configs`."""
    now, is_sent = clock.now(), Q()
    for config in configs:
        is_sent |= Q(config=config, trigger__in=events_of(config))
    return {
        "total": Count("pk"),
        "sendable": Count("pk", filter=in_time(now) & is_sent),
        "past_deadline": Count("pk", filter=~in_time(now)),
        "since": Min("finished_at"),
    }


def progress(replays: Sequence[Replay]) -> list[ReplayProgress]:
    """Return the progress of each replay, in one query."""
    counts = {
        "delivered": Q(state=DeliveryState.DELIVERED),
        "failed": Q(state=DeliveryState.FAILED),
        "waiting": Q(state__in=(DeliveryState.WAITING, DeliveryState.HELD)),
        "unknown": OUTCOME_UNKNOWN,
        "not_sent": Q(state__in=UNSENT_STATES) & ~OUTCOME_UNKNOWN,
    }
    columns = {name: Count("pk", filter=condition) for name, condition in counts.items()}
    rows: Any = Delivery.objects.filter(replay__in=replays).values("replay").annotate(**columns)
    by_replay = {row.pop("replay"): row for row in rows}
    return [ReplayProgress(replay=replay, **by_replay.get(replay.pk, {})) for replay in replays]
