"""How a game's deliveries fare, network by network: what became of them, how fast the network answers, how long the
longest-waiting one waits.

Bounded like postbacks/health/counting.py: each part reads an index backwards and stops after SAMPLE rows, since a month
of a busy pixel is a million of them. A share is then that of the newest.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from audience.models import Game
from postbacks.hub.listing import ConfigRow
from postbacks.networks import NETWORKS
from postbacks.networks.base import Network

SAMPLE = 2_000

# Per config, deleted ones too: their deliveries were made all the same.
SENT = """
SELECT config.network, sum(made.delivered) AS delivered, sum(made.failed) AS failed, sum(made.waiting) AS waiting,
       sum(made.held) AS held, max(made.n) AS sampled, min(due.since) AS due_since
FROM postbacks_postbackconfig config
CROSS JOIN LATERAL (
  SELECT count(*) AS n, count(*) FILTER (WHERE state = 'delivered') AS delivered,
    count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'waiting') AS waiting,
    count(*) FILTER (WHERE state = 'held') AS held
  FROM (
    SELECT state FROM postbacks_delivery
    WHERE config_id = config.id AND created_at >= %(since)s ORDER BY created_at DESC LIMIT %(sample)s
  ) newest
) made
CROSS JOIN LATERAL (
  SELECT min(next_attempt_at) AS since FROM postbacks_delivery WHERE config_id = config.id AND state = 'waiting'
) due
WHERE config.game_id = %(game)s GROUP BY config.network
"""
SPEED = """
SELECT config.network, percentile_disc(0.95) WITHIN GROUP (ORDER BY newest.latency_ms) AS p95
FROM postbacks_postbackconfig config
CROSS JOIN LATERAL (
  SELECT latency_ms FROM postbacks_deliveryattempt
  WHERE config_id = config.id AND started_at >= %(since)s ORDER BY started_at DESC LIMIT %(sample)s
) newest
WHERE config.game_id = %(game)s GROUP BY config.network
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One network in a period. `p95` in milliseconds, None before the first answer; `due_since`: when the delivery that
    waits longest fell due, None while none waits."""

    network: Network
    configs: list[ConfigRow]
    delivered: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0
    is_sample: bool = False
    p95: int | None = None
    due_since: datetime | None = None

    @property
    def ended(self) -> int:
        return self.delivered + self.failed

    @property
    def rate(self) -> str:
        """The share of those that ended which were delivered: "99.2 %"; '' while none has ended.

        Rounded down, so that it says 100 % only when none failed.
        """
        return f"{self.delivered * 1000 // self.ended / 10:g} %" if self.ended else ""


def by_network(game: Game, configs: list[ConfigRow], *, since: datetime) -> list[Sent]:
    """Every network there is, in the order of NETWORKS, in two queries."""
    asked = {"game": game.pk, "since": since, "sample": SAMPLE}
    made, speed = _rows(SENT, asked), _rows(SPEED, asked)
    return [
        _sent(
            network,
            [row for row in configs if row.config.network == kind],
            made.get(kind, {}),
            speed.get(kind, {}).get("p95"),
        )
        for kind, network in NETWORKS.items()
    ]


def _sent(network: Network, configs: list[ConfigRow], made: dict[str, Any], p95: int | None) -> Sent:
    counts = {name: int(made.get(name, 0)) for name in ("delivered", "waiting", "held", "failed")}
    is_sample = made.get("sampled", 0) >= SAMPLE
    return Sent(network, configs, **counts, is_sample=is_sample, p95=p95, due_since=made.get("due_since"))


def _rows(query: str, asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows by their network."""
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        names = [column.name for column in cursor.description]
        return {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
