"""Audits the ledger: checks the tables for conversions that were lost or counted twice.

Reads one snapshot, so that running traffic causes no false violations, and writes nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db import connection, transaction

from audience.models import Game, Reason, Trigger
from audience.models.attribution import ATTRIBUTION_REASONS
from postbacks.networks import NETWORKS
from postbacks.reporting import balance, invariants
from postbacks.reporting.report import QueuedWork, Report

DAYS = 7
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Reasons for which no postback is due: the click is another network's, or the conversion does not count. Not a refund,
# which may be one for some of the postbacks only (postbacks/outbox/gate.py).
NOT_DUE = (*ATTRIBUTION_REASONS, Reason.OTHER_NETWORK, Reason.TEST_TRAFFIC, Reason.REPEAT_LAUNCH)

UNDECIDED = """
    SELECT game_id, queue, count(*), min(since) FROM (
        SELECT game_id, CASE WHEN id::text IN (
            SELECT row FROM audience_failedwork WHERE queue = 'fan_out' AND set_aside_at IS NOT NULL
        ) THEN 'conversions set aside' ELSE 'conversions' END AS queue, created_at AS since
        FROM audience_conversion WHERE fanned_out_at IS NULL
        UNION ALL
        SELECT game_id, CASE state WHEN 'pending' THEN 'batches' ELSE 'batches set aside' END, received_at
        FROM audience_batch WHERE state IN ('pending', 'failed')
    ) AS queues WHERE game_id = ANY(%(games)s) GROUP BY 1, 2
"""


def run(*, game: Game | None = None, days: int = DAYS) -> Report:
    """Audit a game, or all, over the events of the last `days` UTC days including today, or of all days for 0."""
    with _snapshot() as now:
        games = Game.objects.filter(pk=game.pk) if game else Game.objects.all()
        slugs: dict[int, str] = dict(games.values_list("pk", "slug"))
        scope = _scope(slugs, now, days)
        return Report(
            games=sorted(slugs.values()),
            taken_at=now,
            since=scope["since"] if days else None,
            rows=balance.balance_rows(slugs, scope),
            repeats=balance.count_repeats(scope),
            findings=invariants.run(scope),
            undecided=_undecided(slugs, scope),
        )


@contextmanager
def _snapshot() -> Iterator[datetime]:
    """Provide a read-only snapshot and its time by the database's clock. Inside a transaction, that one is used."""
    outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if outermost:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SELECT clock_timestamp()")
        yield cursor.fetchone()[0].astimezone(UTC)


def _scope(slugs: Mapping[int, str], now: datetime, days: int) -> dict[str, Any]:
    """Return the parameters of the queries."""
    midnight = datetime.combine(now.date(), time.min, tzinfo=UTC)
    since = midnight - timedelta(days=days - 1) if days else EPOCH
    return {
        "games": list(slugs),
        "networks": list(NETWORKS),
        "naming_networks": [kind for kind, network in NETWORKS.items() if network.has_templates],
        "triggers": list(Trigger.values),
        "not_due": [reason.value for reason in NOT_DUE],
        "since": since,
        "first_day": since.date(),
        "now": now,
    }


def _undecided(slugs: Mapping[int, str], scope: Mapping[str, Any]) -> list[QueuedWork]:
    with connection.cursor() as cursor:
        cursor.execute(UNDECIDED, scope)
        rows = [
            QueuedWork(game=slugs[game_id], queue=queue, count=count, age=scope["now"] - since)
            for game_id, queue, count, since in cursor.fetchall()
        ]
    return sorted(rows, key=lambda row: (row.game, row.queue))
