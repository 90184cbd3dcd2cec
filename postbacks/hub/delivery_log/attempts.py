"""Reads the attempts of a network for the delivery log, newest first, a page at a time.

The index is read backwards for each postback and the results are merged: one condition over all postbacks would sort
every attempt of the period. Attempts do not store the event name, so a filter by event reads the deliveries of the
newest SCAN_LIMIT attempts; "Older" continues from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from audience.hub.toolkit.paging import cursor_after, parse_cursor
from postbacks.models import DeliveryAttempt

PAGE_SIZE = 25
SCAN_LIMIT = 2_000
# The columns that the log shows.
COLUMNS = (
    *("started_at", "status", "http_status", "latency_ms", "number", "message"),
    *("delivery__trigger", "delivery__state", "delivery__confirmation", "config__pixel_id"),
)
# A cursor after every attempt.
FIRST_PAGE = ("infinity", 0)

NEWEST_ATTEMPTS = """
SELECT newest.id, newest.started_at, newest.delivery_id
FROM unnest(%(configs)s::uuid[]) AS config(id)
CROSS JOIN LATERAL (
  SELECT attempt.id, attempt.started_at, attempt.delivery_id FROM postbacks_deliveryattempt attempt
  WHERE attempt.config_id = config.id AND attempt.started_at >= %(since)s
    AND (%(status)s = '' OR attempt.status = %(status)s)
    AND (attempt.started_at, attempt.id) < (%(moment)s, %(pk)s)
  ORDER BY attempt.started_at DESC, attempt.id DESC LIMIT %(limit)s
) newest
ORDER BY newest.started_at DESC, newest.id DESC LIMIT %(limit)s
"""
# Not a join: for a rare event PostgreSQL would read all deliveries.
NEWEST_OF_EVENT = f"""
WITH scanned AS MATERIALIZED ({NEWEST_ATTEMPTS})
(SELECT id, started_at, true AS matches FROM scanned
 WHERE (SELECT trigger FROM postbacks_delivery delivery WHERE delivery.id = scanned.delivery_id) = %(event)s
 ORDER BY started_at DESC, id DESC LIMIT %(size)s)
UNION ALL
(SELECT id, started_at, false FROM scanned ORDER BY started_at DESC, id DESC OFFSET %(limit)s - 1)
"""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The filters of the log; `status` and `event` are '' for any, `before` is '' for the first page."""

    since: datetime
    status: str = ""
    event: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """`older` is the `before` of the next page or ''. `scanned` is SCAN_LIMIT if reading stopped at it, else 0."""

    rows: list[DeliveryAttempt]
    older: str
    scanned: int = 0


def newest(configs: Sequence[UUID], filters: LogFilter) -> Log:
    """Return the newest attempts of these configs."""
    moment, pk = parse_cursor(filters.before, int) or FIRST_PAGE
    limits = {"size": PAGE_SIZE + 1, "limit": SCAN_LIMIT if filters.event else PAGE_SIZE + 1}
    params = {"configs": list(configs), "since": filters.since, "status": filters.status, "event": filters.event}
    query = NEWEST_OF_EVENT if filters.event else NEWEST_ATTEMPTS
    rows = _fetch(query, {**params, **limits, "moment": moment, "pk": pk})
    if not filters.event:
        return _log([row[:2] for row in rows])
    end = next((row for row in rows if not row[2]), None)
    return _log([row[:2] for row in rows if row[2]], end=end[:2] if end else None)


def _log(rows: list[Any], *, end: Any = None) -> Log:
    """Return the page of (id, started_at) rows. `end` is the last row read, None if all were read."""
    attempts = _read_attempts(rows[:PAGE_SIZE])
    if len(rows) > PAGE_SIZE:
        return Log(attempts, cursor_after(attempts[-1].started_at, attempts[-1].pk))
    return Log(attempts, cursor_after(end[1], end[0]), scanned=SCAN_LIMIT) if end else Log(attempts, "")


def _read_attempts(rows: Sequence[tuple[int, datetime]]) -> list[DeliveryAttempt]:
    """Return the attempts of (id, started_at) rows, newest first."""
    if not rows:
        return []
    # By time too, so that PostgreSQL can skip partitions if the table is partitioned.
    starts = [started_at for _, started_at in rows]
    attempts = DeliveryAttempt.objects.filter(
        pk__in=[pk for pk, _ in rows], started_at__gte=min(starts), started_at__lte=max(starts)
    )
    return list(attempts.select_related("delivery", "config").only(*COLUMNS).order_by("-started_at", "-pk"))


def _fetch(query: str, params: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        rows: list[Any] = cursor.fetchall()
        return rows
