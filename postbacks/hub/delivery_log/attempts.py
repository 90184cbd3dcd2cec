"""The attempts of a network for the delivery log: newest first, a page at a time, from millions.

The index of each postback is read backwards and the results are merged: one condition over all postbacks would sort
every attempt of the period. Attempts do not have the event, so a filter by event reads the deliveries of the newest
SCAN_LIMIT attempts; "Older" continues from there.
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
    *("delivery__trigger", "config__pixel_id"),
)
# A moment that is later than every attempt's.
AFTER_ALL = ("infinity", 0)

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
# Not a join: for a rare event PostgreSQL would read every delivery there is to find its few.
NEWEST_OF_EVENT = f"""
WITH walked AS MATERIALIZED ({NEWEST_ATTEMPTS})
(SELECT id, started_at, true AS is_found FROM walked
 WHERE (SELECT trigger FROM postbacks_delivery delivery WHERE delivery.id = walked.delivery_id) = %(event)s
 ORDER BY started_at DESC, id DESC LIMIT %(size)s)
UNION ALL
(SELECT id, started_at, false FROM walked ORDER BY started_at DESC, id DESC OFFSET %(limit)s - 1)
"""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What the log is filtered by; `status` and `event` are blank for any, `before` for the first page."""

    since: datetime
    status: str = ""
    event: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """`older` is the `before` of the next page, blank on the last; `scanned` is how many were read if reading stopped
    there.
    """

    rows: list[DeliveryAttempt]
    older: str
    scanned: int = 0


def newest(configs: Sequence[UUID], wanted: LogFilter) -> Log:
    """Return the newest attempts of these configs."""
    moment, pk = parse_cursor(wanted.before, int) or AFTER_ALL
    limits = {"size": PAGE_SIZE + 1, "limit": SCAN_LIMIT if wanted.event else PAGE_SIZE + 1}
    where = {"configs": list(configs), "since": wanted.since, "status": wanted.status, "event": wanted.event}
    found = _run(NEWEST_OF_EVENT if wanted.event else NEWEST_ATTEMPTS, {**where, **limits, "moment": moment, "pk": pk})
    if not wanted.event:
        return _log([row[:2] for row in found])
    end = next((row for row in found if not row[2]), None)
    return _log([row[:2] for row in found if row[2]], end=end[:2] if end else None)


def _log(found: list[Any], *, end: Any = None) -> Log:
    """`end` is where reading stopped, None if everything was read."""
    rows = _read_rows(found[:PAGE_SIZE])
    if len(found) > PAGE_SIZE:
        return Log(rows, cursor_after(rows[-1].started_at, rows[-1].pk))
    return Log(rows, cursor_after(end[1], end[0]), scanned=SCAN_LIMIT) if end else Log(rows, "")


def _read_rows(rows: Sequence[tuple[int, datetime]]) -> list[DeliveryAttempt]:
    """Return rows with these ids and start times, newest first."""
    if not rows:
        return []
    # By time too, so that of a table in parts only those are looked into that hold some.
    starts = [started_at for _, started_at in rows]
    found = DeliveryAttempt.objects.filter(
        pk__in=[pk for pk, _ in rows], started_at__gte=min(starts), started_at__lte=max(starts)
    )
    return list(found.select_related("delivery", "config").only(*COLUMNS).order_by("-started_at", "-pk"))


def _run(query: str, wanted: dict[str, Any]) -> list[Any]:
    with connection.cursor() as run:
        run.execute(query, wanted)
        found: list[Any] = run.fetchall()
        return found
