"""The conversions of a game by network of the click: their outcomes as on the Conversions page, the latency of calls
from the rollups (audience/storage/rollups.py), and when the oldest waiting delivery became due.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from audience.models import Game
from postbacks.hub.toolkit.config_rows import ConfigRow
from postbacks.models import AttemptCount
from postbacks.networks import NETWORKS
from postbacks.networks.interface.network import Network
from postbacks.reporting import figures, latency, unsettled
from postbacks.reporting.campaigns.figures import by_network as by_network_of_click
from postbacks.reporting.conversion_status import ConversionFilter

PERCENTILE = 0.95
# The statuses that are figures of a network.
STATUSES = ("partly_delivered", "waiting", "held", "failed", "may_have_arrived", "unmatched")
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
    """One network in a period: the conversions of its clicks by figure, as on the Conversions page, `accepted` on at
    least one postback. `p95` is in milliseconds (latency.percentile); `due_since`: when the oldest waiting delivery
    became due; both may be None.
    """

    network: Network
    configs: list[ConfigRow]
    sent: int = 0
    accepted: int = 0
    partly_delivered: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0
    unmatched: int = 0
    may_have_arrived: int = 0
    p95: int | None = None
    due_since: datetime | None = None

    @property
    def rate(self) -> str:
        ended = self.accepted + max(self.failed - self.unmatched, 0)
        return figures.success_rate(max(self.accepted - self.partly_delivered, 0), ended)


def by_network(game: Game, configs: list[ConfigRow], *, since: datetime, until: datetime) -> list[NetworkTotals]:
    """Return every network in the order of NETWORKS, in at most nine queries. `since` is the start of an hour."""
    networks, due = _configs(game)
    attempts = AttemptCount.objects.filter(config_id__in=list(networks), starts_at__gte=since, starts_at__lt=until)
    buckets = _sums(attempts.values_list("config_id", "bucket"), networks)
    sent = by_network_of_click(game, since=since, until=until)
    counts = unsettled.count(ConversionFilter(game=game, since=since, until=until), list(networks))
    return [
        NetworkTotals(
            network,
            [row for row in configs if row.config.network == kind],
            sent=sent[kind].sent if kind in sent else 0,
            accepted=sent[kind].accepted if kind in sent else 0,
            **{status: counts[kind, status] for status in STATUSES},
            p95=latency.percentile(buckets[kind], PERCENTILE),
            due_since=min(due.get(kind, ()), default=None),
        )
        for kind, network in NETWORKS.items()
    ]


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
