"""The deliveries of a game by network: outcomes, latency, and since when the oldest is due. Counts are from the rollups
(audience/storage/rollups.py), the queue is read from its index.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Sum

from audience.models import Game
from postbacks.hub.toolkit.config_rows import ConfigRow
from postbacks.models import UNKNOWN, AttemptCount, Delivery, DeliveryCount
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network
from postbacks.reporting import latency

PERCENTILE = 0.95
# Includes deleted configs. One index lookup per config, since one query for all would read the whole queue.
CONFIGS_WITH_DUE = """
SELECT config.network, config.id, due.since
FROM postbacks_postbackconfig config
CROSS JOIN LATERAL (
  SELECT min(next_attempt_at) AS since FROM postbacks_delivery WHERE config_id = config.id AND state = 'waiting'
) due
WHERE config.game_id = %s
"""


@dataclass(frozen=True, slots=True)
class NetworkTotals:
    """One network in a period. `p95` in milliseconds, rounded up as postbacks/reporting/latency.py does, None before
    the first answer; `due_since`: when the oldest waiting delivery became due, None if none waits. `may_have_arrived`
    were cancelled after a call without an answer.
    """

    network: Network
    configs: list[ConfigRow]
    delivered: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0
    may_have_arrived: int = 0
    p95: int | None = None
    due_since: datetime | None = None

    @property
    def ended(self) -> int:
        return self.delivered + self.failed

    @property
    def rate(self) -> str:
        """The share of finished deliveries that were delivered, "99.2 %"; '' if none has finished.

        Rounded down, so that 100 % means that none failed.
        """
        return f"{self.delivered * 1000 // self.ended / 10:g} %" if self.ended else ""


def by_network(game: Game, configs: list[ConfigRow], *, since: datetime) -> list[NetworkTotals]:
    """Return every network in the order of NETWORKS, in four queries. `since` is the start of an hour."""
    ids, due = _configs(game)
    every = {"config_id__in": [pk for pks in ids.values() for pk in pks], "starts_at__gte": since}
    states = _sums(DeliveryCount.objects.filter(**every).values_list("config_id", "state"))
    buckets = _sums(AttemptCount.objects.filter(**every).values_list("config_id", "bucket"))
    unknown = dict(
        Delivery.objects.filter(UNKNOWN, game=game, created_at__gte=since)
        .values_list("network")
        .annotate(Count("pk"))
        .order_by()
    )
    return [
        NetworkTotals(
            network,
            [row for row in configs if row.config.network == kind],
            **{
                state: _sum_by_key(states, ids[kind]).get(state, 0)
                for state in ("delivered", "waiting", "held", "failed")
            },
            may_have_arrived=unknown.get(kind, 0),
            p95=latency.percentile(_sum_by_key(buckets, ids[kind]), PERCENTILE),
            due_since=min(due[kind], default=None),
        )
        for kind, network in NETWORKS.items()
    ]


def _configs(game: Game) -> tuple[dict[str, list[UUID]], dict[str, list[datetime]]]:
    """Return present and former configs by network, and when the oldest delivery of each was due."""
    ids: dict[str, list[UUID]] = defaultdict(list)
    due: dict[str, list[datetime]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(CONFIGS_WITH_DUE, [game.pk])
        for network, pk, since in cursor.fetchall():
            ids[network].append(pk)
            due[network] += [since] if since else []
    return ids, due


def _sums(rows: Any) -> dict[tuple[UUID, Any], int]:
    return {(pk, key): total for pk, key, total in rows.annotate(total=Sum("number"))}


def _sum_by_key(sums: dict[tuple[UUID, Any], int], configs: list[UUID]) -> dict[Any, int]:
    """Return the sums of these configs."""
    found: dict[Any, int] = defaultdict(int)
    for (pk, key), total in sums.items():
        if pk in configs:
            found[key] += total
    return found
