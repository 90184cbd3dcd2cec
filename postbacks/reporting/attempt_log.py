"""Reads the attempts of postbacks for the delivery log, newest first, a page at a time.

The index is read backwards for each postback and the results are merged: one condition over all postbacks would sort
every attempt of the period. Attempts do not store the event, nor the state and reason of their delivery, so a filter by
these reads the deliveries of the newest SCAN_LIMIT attempts; "Older" continues from there. A search reads the attempts
of the deliveries that it found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from audience.hub.toolkit.paging import cursor_after, parse_cursor
from audience.models import Game, Reason
from postbacks.models import Delivery, DeliveryAttempt
from postbacks.networks.interface.call import Verdict
from postbacks.reporting.search import find

PAGE_SIZE = 25
SCAN_LIMIT = 2_000
# The columns that the log shows.
COLUMNS = (
    *("started_at", "status", "http_status", "latency_ms", "number", "message"),
    *("delivery__trigger", "delivery__state", "delivery__confirmation", "delivery__event_at", "config__pixel_id"),
    *("delivery__conversion__person", "delivery__conversion__user_id"),
    *("delivery__conversion__value", "delivery__conversion__currency"),
)
# Why an attempt was refused, or why its delivery ended without being accepted.
REASONS = (
    ("", "Any reason"),
    (Verdict.TRANSIENT.value, "No answer, or try again later"),
    (Verdict.CREDENTIAL.value, "Credential refused"),
    (Verdict.PAYLOAD.value, "Event refused"),
    *(
        (reason.value, str(reason.label))
        for reason in (
            *(Reason.TOO_OLD, Reason.CONSENT, Reason.LIMITED_USE),
            *(Reason.CONFIG_DISABLED, Reason.CONFIG_DELETED, Reason.ERASED),
        )
    ),
)
# A cursor after every attempt.
FIRST_PAGE = ("infinity", 0)

OF_PERIOD = """
SELECT newest.id, newest.started_at, newest.delivery_id, newest.verdict
FROM unnest(%(configs)s::uuid[]) AS config(id)
CROSS JOIN LATERAL (
  SELECT attempt.id, attempt.started_at, attempt.delivery_id, attempt.verdict FROM postbacks_deliveryattempt attempt
  WHERE attempt.config_id = config.id AND attempt.started_at >= %(since)s AND attempt.started_at < %(until)s
    AND (%(status)s = '' OR attempt.status = %(status)s)
    AND (attempt.started_at, attempt.id) < (%(moment)s, %(pk)s)
  ORDER BY attempt.started_at DESC, attempt.id DESC LIMIT %(limit)s
) newest
ORDER BY newest.started_at DESC, newest.id DESC LIMIT %(limit)s
"""
# Materialized, so that PostgreSQL does not read the whole log in its order to find these few.
OF_DELIVERIES = """
SELECT found.id, found.started_at, found.delivery_id, found.verdict FROM (
  WITH found AS MATERIALIZED (
    SELECT attempt.* FROM postbacks_deliveryattempt attempt WHERE attempt.delivery_id = ANY(%(deliveries)s::uuid[])
  ) SELECT * FROM found
) found
WHERE found.config_id = ANY(%(configs)s::uuid[]) AND (%(status)s = '' OR found.status = %(status)s)
  AND (found.started_at, found.id) < (%(moment)s, %(pk)s)
ORDER BY found.started_at DESC, found.id DESC LIMIT %(limit)s
"""
# Not a join: for a rare event PostgreSQL would read all deliveries.
MATCHING = """
WITH scanned AS MATERIALIZED ({attempts})
(SELECT id, started_at, true AS matches FROM scanned
 WHERE (SELECT (%(event)s = '' OR delivery.trigger = %(event)s) AND (%(state)s = '' OR delivery.state = %(state)s)
   AND (%(reason)s = '' OR delivery.reason = %(reason)s OR scanned.verdict = %(reason)s)
   FROM postbacks_delivery delivery WHERE delivery.id = scanned.delivery_id)
 ORDER BY started_at DESC, id DESC LIMIT %(size)s)
UNION ALL
(SELECT id, started_at, false FROM scanned ORDER BY started_at DESC, id DESC OFFSET %(limit)s - 1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """The filters of the log; '' for any, `before` is '' for the first page. `reason` is a Reason of the delivery or
    the Verdict of the attempt. `deliveries` are those that a search found, at all times; None without one."""

    since: datetime
    until: datetime
    status: str = ""
    event: str = ""
    state: str = ""
    reason: str = ""
    before: str = ""
    deliveries: Sequence[UUID] | None = None

    @property
    def needs_scan(self) -> bool:
        return bool(self.event or self.state or self.reason)


@dataclass(frozen=True, slots=True)
class Log:
    """`older` is the `before` of the next page or ''. `scanned` is SCAN_LIMIT if reading stopped at it, else 0."""

    rows: list[DeliveryAttempt]
    older: str
    scanned: int = 0


def newest(
    configs: Sequence[UUID], filters: LogFilter, *, size: int = 0, rows: QuerySet[DeliveryAttempt] | None = None
) -> Log:
    """Return the newest `size` attempts, PAGE_SIZE by default, with the columns of the log or of `rows`."""
    size = size or PAGE_SIZE
    moment, pk = parse_cursor(filters.before, int) or FIRST_PAGE
    query = OF_PERIOD if filters.deliveries is None else OF_DELIVERIES
    names = ("since", "until", "status", "event", "state", "reason")
    params = {name: getattr(filters, name) for name in names} | {"configs": list(configs), "moment": moment, "pk": pk}
    params |= {"deliveries": list(filters.deliveries or ()), "size": size + 1}
    params["limit"] = SCAN_LIMIT if filters.needs_scan else size + 1
    found = _fetch(MATCHING.format(attempts=query) if filters.needs_scan else query, params)
    rows = shown_rows() if rows is None else rows
    if not filters.needs_scan:
        return _log([row[:2] for row in found], size, rows)
    end = next((row for row in found if not row[2]), None)
    return _log([row[:2] for row in found if row[2]], size, rows, end=end[:2] if end else None)


def deliveries_found(game: Game, configs: Sequence[UUID], query: str) -> list[UUID]:
    """Return the deliveries of the conversions that a search finds."""
    conversions = list(find(game, query).rows.values_list("pk", flat=True))
    return list(Delivery.objects.filter(conversion__in=conversions, config__in=configs).values_list("pk", flat=True))


def shown_rows() -> QuerySet[DeliveryAttempt]:
    return DeliveryAttempt.objects.select_related("delivery__conversion", "config").only(*COLUMNS)


def full_rows() -> QuerySet[DeliveryAttempt]:
    """Attempts with everything but bodies and credentials."""
    return DeliveryAttempt.objects.select_related("delivery__conversion", "delivery__config").defer(
        *("payload", "unusable", "delivery__config__credential", "delivery__config__previous_credential"),
        *("delivery__conversion__properties", "delivery__conversion__context", "delivery__conversion__integrations"),
    )


def in_pages(
    configs: Sequence[UUID], filters: LogFilter, *, size: int, rows: QuerySet[DeliveryAttempt]
) -> Iterator[DeliveryAttempt]:
    """Yield all attempts in the order of `newest`, read `size` at a time to bound memory."""
    log = newest(configs, filters, size=size, rows=rows)
    yield from log.rows
    while log.older:
        log = newest(configs, replace(filters, before=log.older), size=size, rows=rows)
        yield from log.rows


def _log(found: list[Any], size: int, rows: QuerySet[DeliveryAttempt], *, end: Any = None) -> Log:
    """Return the page of (id, started_at) rows. `end` is the last row read, None if all were read."""
    attempts = _read_attempts(found[:size], rows)
    if len(found) > size:
        return Log(attempts, cursor_after(found[size - 1][1], found[size - 1][0]))
    return Log(attempts, cursor_after(end[1], end[0]), scanned=SCAN_LIMIT) if end else Log(attempts, "")


def _read_attempts(found: Sequence[tuple[int, datetime]], rows: QuerySet[DeliveryAttempt]) -> list[DeliveryAttempt]:
    """Return the attempts of (id, started_at) rows, newest first."""
    if not found:
        return []
    # By time too, so that PostgreSQL can skip partitions if the table is partitioned.
    starts = [started_at for _, started_at in found]
    attempts = rows.filter(pk__in=[pk for pk, _ in found], started_at__gte=min(starts), started_at__lte=max(starts))
    return list(attempts.order_by("-started_at", "-pk"))


def _fetch(query: str, params: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        rows: list[Any] = cursor.fetchall()
        return rows
