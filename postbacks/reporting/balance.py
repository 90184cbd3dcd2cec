"""The balance per game, network and day: the conversions eligible for a postback, and their outcomes.

Both sides are counted independently: `eligible` from conversions, clicks and configs, outcomes from Delivery rows. If
they differ, a conversion was lost or counted twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from postbacks.models import DeliveryState

# A row per conversion (c) that was fanned out and config (p) that took its click and existed at that time.
DUE = """
    FROM audience_conversion c
    JOIN audience_touch t ON t.id = c.touch_id
    JOIN postbacks_postbackconfig p ON p.game_id = c.game_id
     AND p.created_at <= c.fanned_out_at AND (p.deleted_at IS NULL OR p.deleted_at > c.fanned_out_at)
     AND (p.network = t.network OR (p.network = ANY(%(naming_networks)s) AND coalesce((
        SELECT click_parameters FROM postbacks_configversion
        WHERE config_id = p.id AND set_at <= c.fanned_out_at ORDER BY number DESC LIMIT 1
     ), p.click_parameters) && ARRAY[t.parameter, '*']::varchar[]))
    WHERE c.game_id = ANY(%(games)s) AND c.event_at >= %(since)s AND p.network = ANY(%(networks)s)
      AND c.fanned_out_at IS NOT NULL
"""
# Of erased players only the deliveries are stored; they are counted on this side too.
ELIGIBLE = f"""
    SELECT game_id, network, day, sum(eligible), sum(erased) FROM (
        SELECT c.game_id, p.network, (c.event_at AT TIME ZONE 'UTC')::date AS day, count(*) AS eligible, 0 AS erased
        {DUE} AND NOT c.test AND c.reason NOT IN ('repeat_launch', 'refund', 'erased')
        GROUP BY 1, 2, 3
        UNION ALL
        SELECT d.game_id, d.network, (d.event_at AT TIME ZONE 'UTC')::date, count(*), count(*)
        FROM postbacks_delivery d
        WHERE d.game_id = ANY(%(games)s) AND d.event_at >= %(since)s AND d.conversion_id IS NULL
          AND NOT (d.state = 'skipped' AND d.reason = ANY(%(not_due)s))
        GROUP BY 1, 2, 3
    ) AS sides GROUP BY 1, 2, 3
"""
# Without launches that became repeats by a merge after their fan-out (`count_repeats`), conversions that will be fanned
# out again, and deliveries that were skipped for a config that was deleted before the last fan-out.
ACCOUNTED = """
    SELECT d.game_id, d.network, (d.event_at AT TIME ZONE 'UTC')::date AS day, d.state,
           CASE d.state WHEN 'skipped' THEN d.reason ELSE '' END, count(*),
           count(*) FILTER (WHERE d.may_have_arrived AND d.state IN ('skipped', 'cancelled', 'failed')),
           count(*) FILTER (WHERE d.state = 'delivered' AND d.confirmation IN ('awaited', 'unknown')),
           count(*) FILTER (WHERE d.state = 'delivered' AND d.confirmation = 'confirmed')
    FROM postbacks_delivery d LEFT JOIN audience_conversion c ON c.id = d.conversion_id
    JOIN postbacks_postbackconfig p ON p.id = d.config_id
    WHERE d.game_id = ANY(%(games)s) AND d.event_at >= %(since)s
      AND NOT (d.state = 'skipped' AND d.reason = ANY(%(not_due)s))
      AND (c.id IS NULL OR (c.fanned_out_at IS NOT NULL AND c.reason NOT IN ('repeat_launch', 'refund', 'erased')
        AND NOT (d.state = 'skipped' AND coalesce(p.deleted_at <= c.fanned_out_at, false))))
    GROUP BY 1, 2, 3, 4, 5
"""
REPEATS = """
    SELECT count(*) FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id
    WHERE d.game_id = ANY(%(games)s) AND d.event_at >= %(since)s
      AND c.reason = 'repeat_launch' AND d.state <> 'skipped'
"""


@dataclass(slots=True, kw_only=True)
class BalanceRow:
    """One game, network and UTC day of events. `erased` is the part of `eligible` that belongs to erased players.

    `may_have_arrived`: skipped, canceled or failed after a call without an answer. `accepted` and `confirmed` are the
    delivered of networks that say later whether they counted an event.
    """

    game: str
    network: str
    day: date
    eligible: int = 0
    erased: int = 0
    states: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    may_have_arrived: int = 0
    accepted: int = 0
    confirmed: int = 0

    @property
    def accounted(self) -> int:
        return sum(self.states.values())

    @property
    def balances(self) -> bool:
        return self.eligible == self.accounted

    def as_json(self) -> dict[str, Any]:
        counts = {state.value: self.states.get(state, 0) for state in DeliveryState}
        return {
            "game": self.game,
            "network": self.network,
            "day": self.day.isoformat(),
            "eligible": self.eligible,
            "accounted": self.accounted,
            **counts,
            "skipped_by_reason": self.skipped,
            "may_have_arrived": self.may_have_arrived,
            "accepted": self.accepted,
            "confirmed": self.confirmed,
            "erased": self.erased,
            "balances": self.balances,
        }


def balance_rows(slugs: Mapping[int, str], scope: Mapping[str, Any]) -> list[BalanceRow]:
    """Return the rows by game, network and day, without empty days. `slugs` is {game id: slug}."""
    rows: dict[tuple[int, str, date], BalanceRow] = {}

    def row_of(game_id: int, network: str, day: date) -> BalanceRow:
        key = (game_id, network, day)
        return rows.setdefault(key, BalanceRow(game=slugs[game_id], network=network, day=day))

    with connection.cursor() as cursor:
        cursor.execute(ELIGIBLE, scope)
        for *key, eligible, erased in cursor.fetchall():
            row = row_of(*key)
            row.eligible, row.erased = int(eligible), int(erased)
        cursor.execute(ACCOUNTED, scope)
        for *key, state, reason, count, unknown, accepted, confirmed in cursor.fetchall():
            row = row_of(*key)
            row.may_have_arrived += unknown
            row.accepted += accepted
            row.confirmed += confirmed
            row.states[state] = row.states.get(state, 0) + count
            if state == DeliveryState.SKIPPED:
                row.skipped[reason] = count
    return sorted(rows.values(), key=lambda row: (row.game, row.network, row.day))


def count_repeats(scope: Mapping[str, Any]) -> int:
    """Return the number of deliveries of launches that became repeats by a merge after their fan-out."""
    with connection.cursor() as cursor:
        cursor.execute(REPEATS, scope)
        return int(cursor.fetchone()[0])
