"""Counts the attempts, deliveries and conversions by which health is evaluated, in two queries for a list of configs.

Each subquery reads an index backwards and stops after SCAN_LIMIT rows, since a busy pixel has a million attempts in 24
hours, and pages refresh every few seconds. Shares are then those of the newest rows.
"""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from audience.models import Reason
from audience.models.attribution import ATTRIBUTION_REASONS, UNCOUNTED_REASONS
from postbacks.delivery import breaker
from postbacks.models import EVERY_CLICK
from postbacks.monitoring.health.types import HealthCounts
from postbacks.networks import NETWORKS

PERIOD = timedelta(hours=24)
SCAN_LIMIT = 1_000

# `last_verdict` is the newest one about the credential: a transient failure shows nothing about it, an event that was
# refused for its content shows that the credential was accepted. `is_unmatched`: the attempt is no failure, as below.
ATTEMPTS = """
SELECT config.id, config.network, config.pixel_id, config.enabled AND config.deleted_at IS NULL AS enabled,
       config.created_at, config.suspected_at, config.held_at, config.held_for, config.held_message,
       flow.limited_at, flow.next_slot_at, flow.open_until, flow.asked_until,
       coalesce(flow.failures, 0) AS failures, recent.*
FROM postbacks_postbackconfig config
LEFT JOIN postbacks_flow flow ON flow.network = config.network AND flow.pixel_id =
  CASE WHEN config.network = ANY(%(named_pixels)s) THEN config.id::text ELSE config.pixel_id END
CROSS JOIN LATERAL (
  SELECT count(*) AS attempts,
    count(*) FILTER (WHERE status = 'retried' AND verdict <> 'credential') AS retried,
    max(started_at) FILTER (WHERE status = 'retried' AND verdict <> 'credential') AS last_retried_at,
    max(started_at) FILTER (WHERE verdict = 'success') AS last_success_at,
    coalesce(mode() WITHIN GROUP (ORDER BY message) FILTER (WHERE status = 'retried' AND verdict <> 'credential'
      AND message <> ''), '') AS retried_message,
    coalesce(mode() WITHIN GROUP (ORDER BY message) FILTER (WHERE status = 'failed' AND verdict <> 'credential'
      AND message <> '' AND NOT is_unmatched), '') AS failed_message,
    (array_agg(verdict ORDER BY started_at DESC, number DESC)
      FILTER (WHERE verdict IN ('success', 'payload', 'credential')))[1] AS last_verdict,
    coalesce((array_agg(message ORDER BY started_at DESC, number DESC) FILTER (WHERE verdict = 'credential'))[1], '')
      AS refused_message,
    min(started_at) FILTER (WHERE verdict = 'credential' AND (accepted_at IS NULL OR started_at > accepted_at))
      AS refused_since,
    min(started_at) FILTER (WHERE verdict = 'transient' AND (answered_at IS NULL OR started_at > answered_at))
      AS failing_since
  FROM (
    SELECT *, max(started_at) FILTER (WHERE verdict IN ('success', 'payload')) OVER () AS accepted_at,
      max(started_at) FILTER (WHERE verdict IN ('success', 'payload', 'credential')) OVER () AS answered_at,
      status = 'failed' AND verdict = 'payload' AND EXISTS (SELECT 1 FROM postbacks_delivery delivery
        WHERE delivery.id = newest.delivery_id AND delivery.confirmation = 'unmatched') AS is_unmatched
    FROM (
      SELECT delivery_id, status, verdict, message, started_at, number FROM postbacks_deliveryattempt
      WHERE config_id = config.id AND started_at >= %(since)s ORDER BY started_at DESC LIMIT %(limit)s
    ) newest
  ) windowed
) recent
WHERE config.id = ANY(%(ids)s)
"""

# Deliveries set aside are not overdue; the Overview shows them separately.
IS_SET_ASIDE = """EXISTS (SELECT 1 FROM audience_failedwork failed WHERE failed.game_id = delivery.game_id
      AND failed.queue IN ('sending', 'closing') AND failed.row = delivery.id::text
      AND failed.set_aside_at IS NOT NULL)"""
# An unmatched delivery is no failure: the click belongs to no ad of the network. An early one is not accepted yet.
# Test traffic, repeated launches and orders, refunds and erased players are not missing conversions. Version 0.2 stored
# deliveries of the conversions that are `without_part` too: those without a click, or with one that the config does not
# take. Neither those from before it was added count, nor those whose events are older than the period.
DELIVERIES = f"""
WITH newest AS MATERIALIZED (
  SELECT game.id AS game_id, conversion.reason, conversion.fanned_out_at, touch.network, touch.parameter
  FROM (SELECT DISTINCT game_id AS id FROM postbacks_postbackconfig WHERE id = ANY(%(ids)s)) game
  CROSS JOIN LATERAL (
    SELECT touch_id, reason, test, fanned_out_at FROM audience_conversion
    WHERE game_id = game.id AND event_at >= %(since)s ORDER BY event_at DESC LIMIT %(limit)s
  ) conversion
  LEFT JOIN audience_touch touch ON touch.id = conversion.touch_id
  WHERE NOT test AND fanned_out_at IS NOT NULL AND reason <> ALL(%(uncounted)s)
    AND (touch.id IS NOT NULL OR reason = ANY(%(unattributed)s))
)
SELECT config.id, created.*, failed.*, due.*, held.*, without_part.*, taken.*
FROM postbacks_postbackconfig config
CROSS JOIN LATERAL (
  SELECT coalesce(sum(n) FILTER (WHERE state = 'delivered'), 0)::int AS delivered,
    coalesce(sum(n) FILTER (WHERE state = 'delivered' AND confirmation IN ('awaited', 'unknown')), 0)::int
      AS unconfirmed,
    coalesce(sum(n) FILTER (WHERE state = 'delivered' AND confirmation = 'confirmed'), 0)::int AS confirmed,
    coalesce(sum(n) FILTER (WHERE state = 'failed' AND confirmation = 'unmatched'), 0)::int AS unmatched,
    coalesce(sum(n) FILTER (WHERE state = 'unknown'), 0)::int AS may_have_arrived,
    jsonb_object_agg(reason, n) FILTER (WHERE state = 'skipped'
      AND reason <> ALL(%(unskipped)s)) AS skipped,
    min(first) AS first_conversion_at
  FROM (
    SELECT state, reason, confirmation, count(*) AS n, min(created_at) AS first FROM (
      SELECT CASE WHEN may_have_arrived AND state IN ('skipped', 'cancelled') THEN 'unknown' ELSE state END AS state,
        reason, confirmation, created_at FROM postbacks_delivery
      WHERE config_id = config.id AND created_at >= %(since)s ORDER BY created_at DESC LIMIT %(limit)s
    ) newest GROUP BY state, reason, confirmation
  ) grouped
) created
CROSS JOIN LATERAL (
  SELECT coalesce(sum(n), 0)::int AS failed, jsonb_object_agg(verdict, n) AS failed_by,
    min(first) AS first_failed_at, max(last) AS last_failed_at
  FROM (
    SELECT verdict, count(*) AS n, min(finished_at) AS first, max(finished_at) AS last FROM (
      SELECT verdict, finished_at FROM postbacks_delivery
      WHERE config_id = config.id AND state = 'failed' AND finished_at >= %(since)s AND confirmation <> 'unmatched'
      ORDER BY finished_at DESC LIMIT %(limit)s
    ) newest GROUP BY verdict
  ) grouped
) failed
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE NOT is_early) AS waiting, count(*) FILTER (WHERE is_early) AS early,
    min(next_attempt_at) FILTER (WHERE NOT is_early) AS overdue_since
  FROM (
    SELECT next_attempt_at, coalesce(not_before > %(now)s, false) AS is_early FROM postbacks_delivery delivery
    WHERE config_id = config.id AND state = 'waiting' AND NOT {IS_SET_ASIDE}
    ORDER BY next_attempt_at LIMIT %(limit)s
  ) oldest
) due
CROSS JOIN LATERAL (
  SELECT count(*) AS held FROM (
    SELECT 1 FROM postbacks_delivery WHERE config_id = config.id AND state = 'held' LIMIT %(limit)s
  ) counted
) held
CROSS JOIN LATERAL (
  SELECT jsonb_object_agg(reason, n) AS without_part, min(first) AS without_part_since FROM (
    SELECT CASE WHEN network IS NULL THEN reason ELSE %(other_network)s END AS reason, count(*) AS n,
      min(fanned_out_at) AS first
    FROM newest
    WHERE newest.game_id = config.game_id AND fanned_out_at >= config.created_at
      AND (network IS NULL OR NOT (network = config.network
        OR config.click_parameters && ARRAY[parameter, %(every_click)s]::varchar[]))
    GROUP BY 1
  ) grouped
) without_part
CROSS JOIN LATERAL (
  SELECT count(*) AS attributed, count(*) FILTER (WHERE fanned_out_at < config.created_at) AS attributed_before
  FROM newest
  WHERE newest.game_id = config.game_id AND (network = config.network
    OR (network IS NOT NULL AND config.click_parameters && ARRAY[parameter, %(every_click)s]::varchar[]))
) taken
WHERE config.id = ANY(%(ids)s)
"""


def count(ids: Sequence[uuid.UUID], *, now: datetime) -> dict[uuid.UUID, HealthCounts]:
    """Return {config id: HealthCounts}; configs of unknown networks are left out."""
    if not ids:
        return {}
    params = _params(ids, now)
    deliveries = {row.pop("id"): row for row in _rows(DELIVERIES, params)}
    return {
        row["id"]: _counts(row, deliveries[row["id"]], now)
        for row in _rows(ATTEMPTS, params)
        if row["network"] in NETWORKS
    }


def _params(ids: Sequence[uuid.UUID], now: datetime) -> dict[str, Any]:
    uncounted = [Reason.TEST_TRAFFIC.value, *(reason.value for reason in UNCOUNTED_REASONS)]
    unattributed = [reason.value for reason in ATTRIBUTION_REASONS]
    return {
        "ids": list(ids),
        "since": now - PERIOD,
        "now": now,
        "limit": SCAN_LIMIT,
        "named_pixels": [kind for kind, network in NETWORKS.items() if network.pixel_is_name],
        "uncounted": uncounted,
        "unattributed": unattributed,
        "unskipped": [*uncounted, *unattributed, Reason.REPEAT_ORDER.value, Reason.OTHER_NETWORK.value],
        "other_network": Reason.OTHER_NETWORK.value,
        "every_click": EVERY_CLICK,
    }


def _rows(query: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _counts(row: dict[str, Any], deliveries: dict[str, Any], now: datetime) -> HealthCounts:
    columns = {name: value for name, value in row.items() if name not in ("id", "network", "failures")}
    for name in ("skipped", "failed_by", "without_part"):
        deliveries[name] = json.loads(deliveries[name]) if deliveries[name] else {}
    deliveries["skipped"] |= deliveries.pop("without_part")
    firsts = (deliveries["first_conversion_at"], deliveries.pop("without_part_since"))
    deliveries["first_conversion_at"] = min(filter(None, firsts), default=None)
    breaker_open = row["failures"] >= breaker.FAILURE_THRESHOLD
    return HealthCounts(kind=NETWORKS[row["network"]], now=now, breaker_open=breaker_open, **columns, **deliveries)
