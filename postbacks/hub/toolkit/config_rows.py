"""Postbacks in lists: the config, its health, and the time of its last accepted delivery."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import DateTimeField
from django.db.models.expressions import RawSQL

from audience.database import clock
from audience.models import Game, Trigger
from postbacks.models import PostbackConfig
from postbacks.monitoring.health.counting import count
from postbacks.monitoring.health.evaluation import evaluate
from postbacks.monitoring.health.types import HealthCounts, HealthStatus
from postbacks.networks import NETWORKS
from postbacks.outbox import goals
from postbacks.reporting import figures

# Uses the index attempt_by_status. Plain SQL, since every page with postbacks runs it.
LAST_ACCEPTED = """SELECT started_at FROM postbacks_deliveryattempt
WHERE config_id = postbacks_postbackconfig.id AND status = 'success' ORDER BY started_at DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """`health` is None for a network that is not in NETWORKS any more.

    `delivered` and `ended` (delivered or failed) count the deliveries of the last 24 hours, at most the newest
    counting.SCAN_LIMIT. `last_delivery_at` is when the network last accepted one, None before the first.
    `overdue_since` is when the oldest waiting delivery is due, which may be in the future.
    """

    config: PostbackConfig
    triggers: list[str]
    goals: list[str]
    health: HealthStatus | None
    delivered: int = 0
    ended: int = 0
    last_delivery_at: datetime | None = None
    overdue_since: datetime | None = None
    # At most counting.SCAN_LIMIT each: deliveries that wait, some of which the network accepts only later; on hold.
    waiting: int = 0
    held: int = 0
    # The end of the pixel's pause by its limiter or breaker, if something waits for it.
    paused_until: datetime | None = None
    # The end of the pause for a change of its settings.
    changing_until: datetime | None = None

    @property
    def rate(self) -> str:
        return figures.success_rate_of_postback(self.delivered, self.ended)


def config_rows(game: Game, *, network: str | None = None) -> list[ConfigRow]:
    """Return the postbacks of a game in the order they were added."""
    rows = PostbackConfig.objects.kept().filter(game=game)
    if network:
        rows = rows.filter(network=network)
    return rows_of(with_last_delivery(rows.order_by("created_at").defer("credential", "previous_credential")))


def with_last_delivery(rows: Any) -> Any:
    """Return a query of configs with what `rows_of` reads."""
    return rows.annotate(last_at=RawSQL(LAST_ACCEPTED, [], output_field=DateTimeField()))


def rows_of(configs: Iterable[PostbackConfig]) -> list[ConfigRow]:
    """Return the rows of configs of `with_last_delivery`, in two queries."""
    configs = list(configs)
    counts = count([config.pk for config in configs], now=clock.now())
    return [_row(config, counts.get(config.pk)) for config in configs]


def _row(config: Any, counts: HealthCounts | None) -> ConfigRow:
    """Return the row of a config, which is annotated with `last_at`."""
    is_changing = counts is not None and config.paused_until is not None and config.paused_until > counts.now
    unmapped = ", not mapped" if config.network in NETWORKS and config.kind.object_id else ""
    return ConfigRow(
        config=config,
        triggers=[f"{Trigger(trigger).label}{unmapped}" for trigger in config.triggers],
        goals=[f"{goal}{'' if goal.object_id else unmapped}" for goal in goals.readable_goals(config.goals)],
        health=evaluate(counts) if counts else None,
        delivered=counts.delivered if counts else 0,
        ended=counts.delivered + counts.failed if counts else 0,
        last_delivery_at=config.last_at,
        overdue_since=counts.overdue_since if counts else None,
        waiting=counts.waiting + counts.early if counts else 0,
        held=counts.held if counts else 0,
        paused_until=counts.paused_until if counts and counts.waiting and counts.enabled else None,
        changing_until=config.paused_until if is_changing else None,
    )
