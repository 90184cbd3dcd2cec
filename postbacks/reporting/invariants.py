"""Invariants of the tables, each with a query for the rows that violate it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from audience.models.games import MIN_RETENTION_DAYS
from postbacks.reporting.balance import DUE

MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Invariant:
    """`violating` selects the ids of violating rows, as text."""

    name: str
    sentence: str
    violating: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The number of rows that violate an invariant, and the ids of the first few."""

    name: str
    sentence: str
    count: int
    examples: list[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "check": self.name,
            "says": self.sentence,
            "ok": self.count == 0,
            "violations": self.count,
            "examples": self.examples,
        }


DELIVERIES = "d.game_id = ANY(%(games)s) AND d.event_at >= %(since)s"
CONVERSIONS = "c.game_id = ANY(%(games)s) AND c.event_at >= %(since)s"
ATTEMPTS = f"FROM postbacks_deliveryattempt a JOIN postbacks_delivery d ON d.id = a.delivery_id WHERE {DELIVERIES}"

INVARIANTS = (
    Invariant(
        "events_converted",
        "Every processed launch, purchase and goal event has its conversion.",
        # Without batches in the queue or set aside. The ten seconds are for goals that are committed while a digest
        # reads, which may miss them.
        """
        WITH queued AS MATERIALIZED (
            SELECT unnest(event_ids) AS id FROM audience_batch
            WHERE state IN ('pending', 'failed') AND game_id = ANY(%(games)s)
        )
        SELECT e.id::text FROM audience_event e
        WHERE e.game_id = ANY(%(games)s) AND e.day >= %(first_day)s AND e.kind = 'track'
          AND (e.name = ANY(%(triggers)s) OR EXISTS (
              SELECT 1 FROM audience_goalevent g WHERE g.game_id = e.game_id AND g.name = e.name
              AND g.created_at + interval '10 seconds' <= e.received_at))
          AND NOT EXISTS (SELECT 1 FROM audience_conversion c WHERE c.game_id = e.game_id
              AND c.message_id = e.message_id AND c.event_day = e.day)
          AND NOT EXISTS (SELECT 1 FROM queued WHERE queued.id = e.id)
        """,
    ),
    Invariant(
        "conversions_fanned_out",
        "Every conversion that was fanned out has exactly one delivery per postback that took its click at that time.",
        f"""
        SELECT due.conversion::text FROM (SELECT c.id AS conversion, p.id AS config {DUE}) AS due
        LEFT JOIN postbacks_delivery d ON d.conversion_id = due.conversion AND d.config_id = due.config
        GROUP BY due.conversion, due.config HAVING count(d.id) <> 1
        """,
    ),
    Invariant(
        "conversions_explained",
        "Every conversion that was fanned out is waiting, was sent, or has a reason.",
        # Canceling a row right before it is sent updates its conversion in a later transaction.
        f"""
        SELECT c.id::text FROM audience_conversion c
        WHERE {CONVERSIONS} AND c.fanned_out_at < %(now)s - interval '1 minute' AND c.reason = ''
          AND NOT EXISTS (SELECT 1 FROM postbacks_delivery d WHERE d.conversion_id = c.id
              AND (d.state IN ('waiting', 'held', 'delivered', 'failed')
                   OR d.finished_at > %(now)s - interval '1 minute'))
        """,
    ),
    Invariant(
        "launches_counted_once",
        "No player has two launches that count.",
        """
        SELECT c.person_id::text FROM audience_conversion c
        WHERE c.game_id = ANY(%(games)s) AND c.trigger = 'game_launch' AND NOT c.test
          AND c.reason NOT IN ('repeat_launch', 'erased')
        GROUP BY c.person_id HAVING count(*) > 1 AND max(c.event_at) >= %(since)s
        """,
    ),
    Invariant(
        "orders_counted_once",
        "Of the purchases of one player with one order id, totals count exactly one.",
        # A purchase that was handed over keeps its person when its event moves to another player.
        """
        SELECT min(c.id::text) FROM audience_conversion c
        WHERE c.game_id = ANY(%(games)s) AND c.trigger = 'purchase' AND c.order_id <> '' AND NOT c.test
          AND c.reason NOT IN ('refund', 'erased')
        GROUP BY coalesce(c.moved_to_id, c.person_id), c.order_id
        HAVING count(*) FILTER (WHERE NOT c.repeats_order) <> 1 AND max(c.event_at) >= %(since)s
        """,
    ),
    Invariant(
        "delivered_were_accepted",
        "Every delivered row has an attempt that the network accepted.",
        # Unless its attempts were pruned (postbacks/delivery/prune.py).
        f"""
        SELECT d.id::text FROM postbacks_delivery d WHERE {DELIVERIES} AND d.state = 'delivered' AND NOT EXISTS (
            SELECT 1 FROM postbacks_deliveryattempt a WHERE a.delivery_id = d.id AND a.status = 'success')
          AND NOT (d.finished_at < %(now)s - interval '{MIN_RETENTION_DAYS} days' AND d.attempts_made > (
              SELECT count(*) FROM postbacks_deliveryattempt a WHERE a.delivery_id = d.id))
        """,
    ),
    Invariant(
        "accepted_are_delivered",
        "Every delivery that a network accepted is delivered, was refused later, or was canceled by an erasure.",
        f"SELECT d.id::text {ATTEMPTS} AND a.status = 'success' AND d.state NOT IN ('delivered', 'cancelled')"
        " AND d.confirmation NOT IN ('refused', 'unmatched', 'again')",
    ),
    Invariant(
        "waiting_have_a_time",
        "Every waiting row has the time of its next attempt.",
        f"SELECT d.id::text FROM postbacks_delivery d WHERE {DELIVERIES} AND d.state = 'waiting'"
        " AND d.next_attempt_at IS NULL",
    ),
    Invariant(
        "held_have_a_cause",
        "Every row on hold belongs to a postback whose credential is on hold or suspected.",
        f"""
        SELECT d.id::text FROM postbacks_delivery d JOIN postbacks_postbackconfig p ON p.id = d.config_id
        WHERE {DELIVERIES} AND d.state = 'held' AND p.held_at IS NULL AND p.suspected_at IS NULL
        """,
    ),
    Invariant(
        "skipped_have_a_reason",
        "Every skipped row has a reason.",
        f"SELECT d.id::text FROM postbacks_delivery d WHERE {DELIVERIES} AND d.state = 'skipped' AND d.reason = ''",
    ),
    Invariant(
        "failed_have_a_verdict",
        "Every failed row has the network's verdict or a reason.",
        f"SELECT d.id::text FROM postbacks_delivery d WHERE {DELIVERIES} AND d.state = 'failed'"
        " AND d.verdict = '' AND d.reason = ''",
    ),
    Invariant(
        "attempts_in_time",
        "No attempt started after its delivery's deadline.",
        # The last attempt of a delivery that was refused after it was acknowledged only queried the network. One
        # that is sent again has the deadline of the repeat.
        f"SELECT d.id::text {ATTEMPTS} AND a.started_at > least(d.dead_after, d.safe_until)"
        " AND NOT (d.confirmation IN ('refused', 'unmatched') AND a.number = d.attempts_made)",
    ),
    Invariant(
        "one_attempt_open",
        "No delivery has two attempts in progress.",
        f"SELECT a.delivery_id::text {ATTEMPTS} AND a.finished_at IS NULL GROUP BY a.delivery_id HAVING count(*) > 1",
    ),
    Invariant(
        "versions_are_kept",
        "Every version that a delivery or an attempt refers to is stored.",
        # Versions older than the first stored one of a config have no row.
        f"""
        WITH used AS (
            SELECT d.config_id, d.config_version AS number FROM postbacks_delivery d WHERE {DELIVERIES}
            UNION SELECT a.config_id, a.config_version {ATTEMPTS}
        )
        SELECT n.config_id::text || ' v' || n.number FROM used n
        WHERE NOT EXISTS (SELECT 1 FROM postbacks_configversion v WHERE v.config_id = n.config_id
              AND v.number = n.number)
          AND n.number >= coalesce(
              (SELECT min(v.number) FROM postbacks_configversion v WHERE v.config_id = n.config_id), 0)
        """,
    ),
    Invariant(
        "erased_are_closed",
        "No delivery of an erased player waits to be sent, and no sent body is stored.",
        f"""
        SELECT d.id::text FROM postbacks_delivery d WHERE {DELIVERIES} AND d.conversion_id IS NULL
          AND (d.state IN ('waiting', 'held') OR EXISTS (
              SELECT 1 FROM postbacks_deliveryattempt a WHERE a.delivery_id = d.id AND a.payload IS NOT NULL))
        """,
    ),
    Invariant(
        "nothing_set_aside",
        "No work was set aside after repeated failures.",
        # Of any age, since it waits for a person. Work that belongs to no game counts for each game.
        """
        SELECT f.queue || ' ' || f.row FROM audience_failedwork f
        WHERE f.set_aside_at IS NOT NULL AND (f.game_id = ANY(%(games)s) OR f.game_id IS NULL)
        UNION ALL SELECT 'digest ' || b.id FROM audience_batch b WHERE b.state = 'failed' AND b.game_id = ANY(%(games)s)
        """,
    ),
)


def run(scope: Mapping[str, Any]) -> list[Finding]:
    """Return a finding per invariant, in order. `scope` holds the parameters of the queries (audit.py)."""
    return [_run(invariant, scope) for invariant in INVARIANTS]


def _run(invariant: Invariant, scope: Mapping[str, Any]) -> Finding:
    with connection.cursor() as cursor:
        violating = f"SELECT id, count(*) OVER () FROM ({invariant.violating}) AS violating (id)"
        cursor.execute(f"{violating} ORDER BY id LIMIT {MAX_EXAMPLES}", scope)
        rows = cursor.fetchall()
    count = int(rows[0][1]) if rows else 0
    return Finding(name=invariant.name, sentence=invariant.sentence, count=count, examples=[row[0] for row in rows])
