"""The delivery log as CSV: one row per attempt. Reads a few hundred at a time to bound memory."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from audience.digest import click_ids, money
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.masking import masked
from audience.models import Conversion
from postbacks.models import DeliveryAttempt
from postbacks.reporting import attempt_log

ROWS_PER_QUERY = 500
COLUMNS = (
    *("attempt_id", "sent_at", "answered_at", "network", "pixel", "event", "event_time", "event_id"),
    *("status", "http_status", "latency_ms", "attempt", "provider_code", "answer", "request_id"),
    *("state", "reason", "verdict", "confirmation"),
    *("conversion_id", "message_id", "person_id", "player", "erased", "value", "currency", "order_id"),
    *("click_network", "click_id", "click_parameter", "clicked_at"),
    *click_ids.CAMPAIGN,
)
CLICK_COLUMNS = 4 + len(click_ids.CAMPAIGN)


def lines(configs: Sequence[UUID], filters: attempt_log.LogFilter, *, addresses: bool) -> Iterator[str]:
    """Yield CSV lines with CRLF: the column names, then all rows of the filter, the newest first.

    Email addresses in texts are masked unless `addresses`.
    """
    rows = DeliveryAttempt.objects.select_related("delivery__conversion__touch", "config").defer(
        *("payload", "unusable", "config__credential", "config__previous_credential"),
        *("delivery__conversion__properties", "delivery__conversion__context", "delivery__conversion__integrations"),
        *("delivery__conversion__touch__page_url", "delivery__conversion__touch__referrer"),
    )
    found = attempt_log.in_pages(configs, filters, size=ROWS_PER_QUERY, rows=rows)
    return spreadsheet.lines(COLUMNS, (_cells(attempt, addresses) for attempt in found))


def _cells(attempt: DeliveryAttempt, addresses: bool) -> list[Any]:
    delivery = attempt.delivery
    texts = (attempt.provider_code, attempt.message, attempt.request_id)
    return [
        attempt.pk,
        _time(attempt.started_at),
        _time(attempt.finished_at),
        delivery.network,
        attempt.config.pixel_id,
        masked(delivery.trigger, addresses=addresses),
        _time(delivery.event_at),
        masked(delivery.event_id, addresses=addresses),
        attempt.status,
        "" if attempt.http_status is None else attempt.http_status,
        "" if attempt.latency_ms is None else attempt.latency_ms,
        attempt.number,
        *(masked(text, addresses=addresses) for text in texts),
        delivery.state,
        delivery.reason,
        attempt.verdict,
        delivery.known_confirmation,
        *_conversion(delivery.conversion, addresses),
    ]


def _conversion(conversion: Conversion | None, addresses: bool) -> list[Any]:
    """Return the player, value and click; blank for a player who was erased."""
    if conversion is None:
        return ["", "", "", "", "yes", "", "", "", *[""] * CLICK_COLUMNS]
    value = "" if conversion.value is None else money.round_to(conversion.value, conversion.currency)
    cells = [
        conversion.pk,
        masked(conversion.message_id, addresses=addresses),
        conversion.person_id,
        masked(conversion.user_id, addresses=addresses),
        "",
        value,
        conversion.currency,
        masked(conversion.order_id, addresses=addresses),
    ]
    touch = conversion.touch
    if touch is None:
        return [*cells, *[""] * CLICK_COLUMNS]
    campaign = [masked(touch.campaign.get(name, ""), addresses=addresses) for name in click_ids.CAMPAIGN]
    click = [touch.network, masked(touch.click_id, addresses=addresses), touch.parameter, _time(touch.clicked_at)]
    return [*cells, *click, *campaign]


def _time(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
