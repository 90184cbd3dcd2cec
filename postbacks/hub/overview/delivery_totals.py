"""The deliveries of a game by network: outcomes, latency, and when the oldest waiting one became due. Counts are read
from the rollups (audience/storage/rollups.py), the queue from its index.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Sum

from audience.models import Game
from postbacks.hub.toolkit.config_rows import ConfigRow, success_rate
from postbacks.models import OUTCOME_UNKNOWN, AttemptCount, Confirmation, Delivery, DeliveryCount, DeliveryState
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
    """One network in a period. `p95` is in milliseconds (latency.percentile); `due_since`: when the oldest waiting
    delivery became due; both may be None. `may_have_arrived`: cancelled after a call without an answer. `unmatched` are
    failed ones whose click the network does not know, which the rate leaves out.
    """

    network: Network
    configs: list[ConfigRow]
    delivered: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0
    unmatched: int = 0
    may_have_arrived: int = 0
    p95: int | None = None
    due_since: datetime | None = None

    @property
    def rate(self) -> str:
        return success_rate(self.delivered, self.delivered + max(self.failed - self.unmatched, 0))


def by_network(game: Game, configs: list[ConfigRow], *, since: datetime) -> list[NetworkTotals]:
    """Return every network in the order of NETWORKS, in five queries. `since` is the start of an hour."""
    networks, due = _configs(game)
    period = {"config_id__in": list(networks), "starts_at__gte": since}
    states = _sums(DeliveryCount.objects.filter(**period).values_list("config_id", "state"), networks)
    buckets = _sums(AttemptCount.objects.filter(**period).values_list("config_id", "bucket"), networks)
    unknown = dict(
        Delivery.objects.filter(OUTCOME_UNKNOWN, game=game, created_at__gte=since)
        .values_list("network")
        .annotate(Count("pk"))
        .order_by()
    )
    unmatched = _unmatched(networks, since)
    return [
        NetworkTotals(
            network,
            [row for row in configs if row.config.network == kind],
            **{state: states[kind][state] for state in ("delivered", "waiting", "held", "failed")},
            unmatched=unmatched.get(kind, 0),
            may_have_arrived=unknown.get(kind, 0),
            p95=latency.percentile(buckets[kind], PERCENTILE),
            due_since=min(due[kind], default=None),
        )
        for kind, network in NETWORKS.items()
    ]


def _unmatched(networks: Mapping[UUID, str], since: datetime) -> dict[str, int]:
    """Return the unmatched deliveries that were created since, by network."""
    later = [pk for pk, kind in networks.items() if kind in NETWORKS and NETWORKS[kind].confirms_later]
    # By `finished_at` too, for the index of failed deliveries.
    rows = Delivery.objects.filter(config_id__in=later, state=DeliveryState.FAILED, finished_at__gte=since)
    rows = rows.filter(created_at__gte=since, confirmation=Confirmation.UNMATCHED)
    return dict(rows.values_list("network").annotate(Count("pk")).order_by())


def _configs(game: Game) -> tuple[dict[UUID, str], dict[str, list[datetime]]]:
    """Return the network per config, deleted ones included, and per network when the oldest deliveries became due."""
    networks: dict[UUID, str] = {}
    due: dict[str, list[datetime]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(CONFIGS_WITH_DUE, [game.pk])
        for network, pk, since in cursor.fetchall():
            networks[pk] = network
            due[network] += [since] if since else []
    return networks, due


def _sums(rows: Any, networks: dict[UUID, str]) -> dict[str, Counter[Any]]:
    """Return the sums of (config, key) rows as {network: {key: sum}}."""
    sums: dict[str, Counter[Any]] = defaultdict(Counter)
    for pk, key, total in rows.annotate(total=Sum("number")):
        sums[networks[pk]][key] += total
    return sums
