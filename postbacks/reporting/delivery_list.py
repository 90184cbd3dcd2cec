"""Reads the deliveries of a game, those of the newest events first, a page at a time.

The index by the time of the event has none of the other columns, so a filter by them reads the newest SCAN_LIMIT
deliveries. "Next" continues from there, so that a page may have few rows, or none, although there are more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from audience.hub.toolkit.paging import cursor_after, newest, parse_cursor
from audience.models import Game
from postbacks.models import Delivery
from postbacks.reporting.search import find

SCAN_LIMIT = 2_000
# A cursor after every delivery.
FIRST_PAGE = ("infinity", UUID(int=0))

OF_PERIOD = """
SELECT id, event_at, config_id, network, state, reason, verdict, trigger FROM postbacks_delivery
WHERE game_id = %(game)s AND event_at >= %(since)s AND event_at < %(until)s
  AND (event_at, id) < (%(moment)s, %(pk)s::uuid)
ORDER BY event_at DESC, id DESC LIMIT %(limit)s
"""
MATCHING = f"""
WITH scanned AS MATERIALIZED ({OF_PERIOD})
(SELECT id, event_at, true AS matches FROM scanned
 WHERE (%(postback)s::uuid IS NULL OR config_id = %(postback)s::uuid)
   AND (%(network)s = '' OR network = %(network)s) AND (%(state)s = '' OR state = %(state)s)
   AND (%(reason)s = '' OR reason = %(reason)s OR verdict = %(reason)s)
   AND (%(event)s = '' OR trigger = %(event)s)
 ORDER BY event_at DESC, id DESC LIMIT %(size)s)
UNION ALL
(SELECT id, event_at, false FROM scanned ORDER BY event_at DESC, id DESC OFFSET %(limit)s - 1)
"""  # noqa: S608  constants only


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Filters of the list; '' or None for any. `since` and `until` are times of events. `reason` is a Reason or the
    Verdict of the last answer."""

    since: datetime
    until: datetime
    postback: UUID | None = None
    network: str = ""
    state: str = ""
    reason: str = ""
    event: str = ""

    @property
    def needs_scan(self) -> bool:
        return bool(self.postback or self.network or self.state or self.reason or self.event)

    @property
    def condition(self) -> Q:
        """The filters of columns as a condition."""
        found = Q(event_at__gte=self.since, event_at__lt=self.until)
        found &= Q(config=self.postback) if self.postback else Q()
        found &= Q(network=self.network) if self.network else Q()
        found &= Q(state=self.state) if self.state else Q()
        found &= Q(reason=self.reason) | Q(verdict=self.reason) if self.reason else Q()
        return found & Q(trigger=self.event) if self.event else found


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """`older` is the `before` of the next page, '' on the last."""

    rows: list[Delivery]
    older: str


def listed(game: Game, filters: DeliveryFilter, *, before: str, size: int) -> DeliveryPage:
    """Return the deliveries of a page. Raises nothing: an unreadable `before` means the first page."""
    moment, pk = parse_cursor(before, UUID) or FIRST_PAGE
    params: dict[str, Any] = {name: getattr(filters, name) for name in DeliveryFilter.__dataclass_fields__}
    params |= {"game": game.pk, "moment": moment, "pk": pk, "size": size + 1}
    params["limit"] = SCAN_LIMIT if filters.needs_scan else size + 1
    found = _fetch(MATCHING if filters.needs_scan else OF_PERIOD, params)
    matching = [row for row in found if not filters.needs_scan or row[2]]
    rows = _read([row[0] for row in matching[:size]])
    if len(matching) > size:
        last = matching[size - 1]
    else:
        last = next((row for row in found if filters.needs_scan and not row[2]), None)
    return DeliveryPage(rows, cursor_after(last[1], last[0]) if last else "")


def of_conversions(
    game: Game, conversions: Collection[UUID], filters: DeliveryFilter, *, before: str, size: int
) -> DeliveryPage:
    """Return a page of the deliveries of these conversions."""
    rows = shown_rows().filter(filters.condition, game=game, conversion__in=conversions)
    page = newest(rows, by="event_at", before=before, size=size)
    return DeliveryPage(page.rows, page.older)


def conversions_found(game: Game, query: str) -> list[UUID]:
    """Return the conversions that a search finds."""
    return list(find(game, query).rows.values_list("pk", flat=True))


def shown_rows() -> QuerySet[Delivery]:
    return Delivery.objects.select_related("conversion", "config").defer(
        *("config__credential", "config__previous_credential"),
        *("conversion__properties", "conversion__context", "conversion__integrations"),
    )


def _read(ids: Sequence[UUID]) -> list[Delivery]:
    return list(shown_rows().filter(pk__in=ids).order_by("-event_at", "-pk")) if ids else []


def _fetch(query: str, params: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        rows: list[Any] = cursor.fetchall()
        return rows
