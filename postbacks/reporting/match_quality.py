"""Counts which match keys recently sent events had, read from the bodies as sent, and which were unusable."""

import json
from collections import Counter
from datetime import timedelta

from django.db import connection

from audience.database import clock
from audience.models import Game
from postbacks.models import AttemptStatus, PostbackConfig
from postbacks.networks.interface.matching import MatchQuality, compute_quality, json_path
from postbacks.networks.interface.network import Network

PERIOD = timedelta(days=7)
# Enough bodies for a share within two per cent, read in about 30 ms on two busy cores.
MAX_BODIES = 2_000

HAS_PATH = "jsonb_path_exists(sent.payload, %s::jsonpath)"
# A subquery per postback, by the index attempt_by_status: one condition over all postbacks would sort the attempts of
# the whole week.
KEY_COUNTS = """
SELECT {has_keys}, sent.unusable, count(*)
FROM (
    SELECT attempt.payload, attempt.unusable
    FROM unnest(%s::uuid[]) AS config (id)
    CROSS JOIN LATERAL (
        SELECT payload, unusable, started_at
        FROM postbacks_deliveryattempt
        WHERE config_id = config.id AND status = %s AND started_at >= %s AND payload IS NOT NULL
        ORDER BY started_at DESC
        LIMIT %s
    ) AS attempt
    ORDER BY attempt.started_at DESC
    LIMIT %s
) AS sent
GROUP BY {columns}
"""


def quality_of(game: Game, network: Network) -> MatchQuality:
    """Return the quality of the newest MAX_BODIES accepted events of the last 7 days. Erased bodies are not counted."""
    keys = network.match_keys
    if not keys:
        return compute_quality(keys, {})
    configs = PostbackConfig.objects.filter(game=game, network=network.kind).values_list("pk", flat=True)
    has_keys = ", ".join((" OR " if key.any_path else " AND ").join(HAS_PATH for _ in key.paths) for key in keys)
    columns = ", ".join(str(number) for number in range(1, len(keys) + 2))
    paths = [json_path(path) for key in keys for path in key.paths]
    since = clock.now() - PERIOD
    with connection.cursor() as cursor:
        cursor.execute(
            KEY_COUNTS.format(has_keys=has_keys, columns=columns),
            [*paths, list(configs), AttemptStatus.SUCCESS.value, since, MAX_BODIES, MAX_BODIES],
        )
        rows = [(tuple(flags), json.loads(unusable), count) for *flags, unusable, count in cursor.fetchall()]
    combinations: Counter[tuple[bool, ...]] = Counter()
    unusable_counts: Counter[str] = Counter()
    for flags, unusable, count in rows:
        combinations[flags] += count
        unusable_counts.update(dict.fromkeys(unusable, count))
    return compute_quality(keys, combinations, unusable_counts)
