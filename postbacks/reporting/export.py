"""Conversions as CSV: one row per delivery, or one row for a conversion without deliveries.

Reads a thousand conversions at a time to bound memory.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet

from audience.digest import click_ids, money
from audience.hub.toolkit import spreadsheet
from audience.hub.toolkit.masking import masked
from audience.hub.toolkit.paging import newest_in_pages
from audience.models import Conversion, Game
from postbacks.models import Delivery, DeliveryState

ROWS_PER_QUERY = 1000
COLUMNS = (
    "conversion_id",
    "event",
    "event_time",
    "message_id",
    "person_id",
    "value",
    "currency",
    "value_problem",
    "order_id",
    "repeats_order",
    "click_network",
    "network",
    "pixel",
    "state",
    "reason",
    "delivered_at",
    "attempts",
    "may_have_arrived",
    "confirmation",
    "player",
    "click_id",
    "click_parameter",
    "clicked_at",
    *click_ids.CAMPAIGN,
)


def file_name(game: Game, *, now: datetime) -> str:
    return f"conversions-{game.slug}-{now:%Y-%m-%d}.csv"


def lines(rows: QuerySet[Conversion], *, addresses: bool) -> Iterator[str]:
    """Yield CSV lines with CRLF: the column names, then the rows, the newest conversion first.

    Email addresses, which a sender may put into an id or event name, are masked unless `addresses`.
    """
    return spreadsheet.lines(COLUMNS, _rows(rows, addresses))


def _rows(rows: QuerySet[Conversion], addresses: bool) -> Iterator[list[Any]]:
    deliveries = Delivery.objects.select_related("config").order_by("created_at")
    deliveries = deliveries.only(
        *("conversion", "network", "state", "reason", "finished_at", "attempts_made", "may_have_arrived"),
        "confirmation",
        "config__pixel_id",
    )
    rows = rows.select_related("touch").prefetch_related(Prefetch("deliveries", deliveries))
    rows = rows.defer("properties", "context", "integrations", "touch__page_url", "touch__referrer")
    for conversion in newest_in_pages(rows, by="event_at", size=ROWS_PER_QUERY):
        yield from _rows_of(conversion, addresses)


def _rows_of(conversion: Conversion, addresses: bool) -> Iterator[list[Any]]:
    cells = [
        conversion.pk,
        masked(conversion.trigger, addresses=addresses),
        conversion.event_at.isoformat(),
        masked(conversion.message_id, addresses=addresses),
        conversion.person_id,
        None if conversion.value is None else money.round_to(conversion.value, conversion.currency),
        conversion.currency,
        conversion.value_problem,
        masked(conversion.order_id, addresses=addresses),
        "yes" if conversion.repeats_order else "",
        conversion.touch.network if conversion.touch else "",
    ]
    deliveries, click = conversion.deliveries.all(), _click(conversion, addresses)
    for row in deliveries:
        yield [*cells, row.network, row.config.pixel_id, row.state, row.reason, *_outcome(row), *click]
    if not deliveries:
        yield [*cells, "", "", "", conversion.reason, "", 0, "", "", *click]


def _click(conversion: Conversion, addresses: bool) -> list[Any]:
    """Return the player's own id, and the attributed click with its campaign; blank without one."""
    player, touch = masked(conversion.user_id, addresses=addresses), conversion.touch
    if touch is None:
        return [player, "", "", "", *[""] * len(click_ids.CAMPAIGN)]
    campaign = [masked(touch.campaign.get(name, ""), addresses=addresses) for name in click_ids.CAMPAIGN]
    return [
        player,
        masked(touch.click_id, addresses=addresses),
        touch.parameter,
        touch.clicked_at.isoformat(),
        *campaign,
    ]


def _outcome(row: Delivery) -> list[Any]:
    delivered_at = row.finished_at if row.state == DeliveryState.DELIVERED else None
    return [
        delivered_at.isoformat() if delivered_at else "",
        row.attempts_made,
        "yes" if row.is_unknown else "",
        row.known_confirmation,
    ]
