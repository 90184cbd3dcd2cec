"""Conversions as CSV, a thousand rows at a time: neither this process nor the database ever holds them all."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.masking import masked
from audience.hub.toolkit.paging import newest
from audience.models import Conversion
from postbacks.models import Delivery, DeliveryState
from postbacks.networks import NETWORKS

CHUNK = 1000
COLUMNS = (
    "conversion_id",
    "event",
    "event_time",
    "message_id",
    "person_id",
    "value",
    "currency",
    "click_network",
    *(f"{network}_state" for network in NETWORKS),
    "reason",
    "delivered_at",
    "attempts",
    "may_have_arrived",
)


def lines(rows: QuerySet[Conversion], *, addresses: bool) -> Iterator[str]:
    """Lines of CSV with CRLF, the first one the names of the columns; newest first.

    `addresses`: whether the reader may see e-mail addresses, which a sender may have put into an id or an event name.
    """
    return spreadsheet.lines(COLUMNS, _rows(rows, addresses))


def _rows(rows: QuerySet[Conversion], addresses: bool) -> Iterator[list[Any]]:
    wanted = Delivery.objects.only(
        "conversion", "network", "state", "reason", "finished_at", "attempts_made", "config", "may_have_arrived"
    ).order_by("created_at")
    rows = rows.select_related("touch").prefetch_related(Prefetch("deliveries", wanted))
    rows = rows.defer("properties", "context", "integrations", "touch__campaign", "touch__page_url", "touch__referrer")
    before = ""
    while True:
        page = newest(rows, by="event_at", before=before, key=UUID, size=CHUNK)
        for conversion in page.rows:
            yield _row(conversion, addresses)
        before = page.older
        if not before:
            return


def _row(conversion: Conversion, addresses: bool) -> list[Any]:
    deliveries = list(conversion.deliveries.all())
    delivered = [row.finished_at for row in deliveries if row.state == DeliveryState.DELIVERED and row.finished_at]
    reasons = [conversion.reason, *(row.reason for row in deliveries if row.state != DeliveryState.SKIPPED)]
    return [
        conversion.pk,
        masked(conversion.trigger, addresses=addresses),
        conversion.event_at.isoformat(),
        masked(conversion.message_id, addresses=addresses),
        conversion.person_id,
        conversion.value,
        conversion.currency,
        conversion.touch.network if conversion.touch else "",
        *(" ".join(row.state for row in deliveries if row.network == network) for network in NETWORKS),
        " ".join(dict.fromkeys(reason for reason in reasons if reason)),
        min(delivered).isoformat() if delivered else "",
        sum(row.attempts_made for row in deliveries),
        " ".join(row.network for row in deliveries if row.is_unknown),
    ]
