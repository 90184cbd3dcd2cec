"""The conversions of a game by network: their outcomes as on the Conversions page, the latency of the calls from the
rollups (audience/storage/rollups.py), and when the oldest waiting delivery became due.
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
from postbacks.reporting import figures, funnel, latency
from postbacks.reporting.conversion_status import ConversionFilter

PERCENTILE = 0.95
# The figures of a network, which are statuses too.
FIGURES = ("delivered", "partly_delivered", "waiting", "held", "failed", "may_have_arrived")
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
    """One network in a period: the numbers of its conversions by figure (postbacks/reporting/figures.py), as on the
    Conversions page. `p95` is in milliseconds (latency.percentile); `due_since`: when the oldest waiting delivery
    became due; both may be None.
    """

    network: Network
    configs: list[ConfigRow]
    delivered: int = 0
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
        ended = self.delivered + self.partly_delivered + max(self.failed - self.unmatched, 0)
        return figures.success_rate(self.delivered, ended)


def by_network(game: Game, configs: list[ConfigRow], *, since: datetime, until: datetime) -> list[NetworkTotals]:
    """Return every network in the order of NETWORKS: one query for each that has a postback, two if it confirms later,
    and two more. `since` is the start of an hour."""
    networks, due = _configs(game)
    attempts = AttemptCount.objects.filter(config_id__in=list(networks), starts_at__gte=since, starts_at__lt=until)
    buckets = _sums(attempts.values_list("config_id", "bucket"), networks)
    return [
        NetworkTotals(
            network,
            [row for row in configs if row.config.network == kind],
            **(_figures(ConversionFilter(game=game, since=since, until=until, network=kind)) if kind in due else {}),
            p95=latency.percentile(buckets[kind], PERCENTILE),
            due_since=min(due.get(kind, ()), default=None),
        )
        for kind, network in NETWORKS.items()
    ]


def _figures(filters: ConversionFilter) -> dict[str, int]:
    """Return the numbers of conversions of the filter's network by figure."""
    tallies = funnel.tallies_of(filters, attributed_only=True)
    numbers = {name: tallies[name].count for name in FIGURES}
    if NETWORKS[filters.network].confirms_later:
        numbers["unmatched"] = figures.unmatched(filters).count()
    return numbers


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
