"""Which conversions a list has for its filters, and which of them the funnel beside it counts."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import QuerySet

from audience.hub.toolkit.paging import Page, cursor_before, newest, scan_floor
from audience.models import Conversion
from postbacks.reporting import figure_rows, funnel, statuses
from postbacks.reporting.conversion_rows import with_outcomes
from postbacks.reporting.conversion_status import NO_PAID_CLICK, ConversionFilter
from postbacks.reporting.labels import CLICK_LABELS

# A click id may be longer than any other id.
MAX_QUERY_LENGTH = 2048
CURRENCY_LENGTH = 3
# The conversions that a page of a filtered list reads: the index by time has none of the columns of the filters.
SCAN_LIMIT = 10_000
# What is listed of the whole period. Finding the rows of the others in a long one takes too long: of them, those are
# listed that the funnel counts.
UNCAPPED = {statuses.ALL, statuses.UNCOUNTED, statuses.CONVERSIONS, statuses.ATTRIBUTED, *statuses.HEADLINES}
# The keys of lists: steps of the funnel, statuses, and figures of the Overview.
KEYS: tuple[str, ...] = (
    *(statuses.ALL, statuses.UNCOUNTED, *statuses.STEPS, *statuses.STATUSES),
    *(*statuses.Acknowledged, *statuses.HEADLINES),
)
# {the network of the click in a filter: its label}
CLICKS: dict[str, str] = {kind or NO_PAID_CLICK: label for kind, label in CLICK_LABELS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionList:
    """`scope` is what is listed, of the key `key`; `counted` is what the funnel counts.

    `is_capped`: `counted` begins later than the period, which begins at `since`."""

    key: str
    since: datetime
    scope: ConversionFilter
    counted: ConversionFilter
    is_capped: bool

    @property
    def rows(self) -> QuerySet[Conversion]:
        return figure_rows.conversions_of(self.key, self.scope)


def listed_key(only: str, network: str) -> str:
    """Return the key of a list: `only` or, if that is '', what is attributed to the network, else all conversions."""
    return only or (statuses.ATTRIBUTED if network else statuses.CONVERSIONS)


def conversion_list(filters: ConversionFilter, *, only: str = "", counted_only: bool = False) -> ConversionList:
    """Return the list of `filters` for one of KEYS or ''.

    `counted_only`: of the whole period, only what the funnel counts.
    """
    start, is_capped = funnel.counting_start(filters.game, filters.since, filters.until)
    key, counted = listed_key(only, filters.network), replace(filters, since=start)
    is_whole = key in UNCAPPED and not counted_only
    scope = filters if is_whole else counted
    return ConversionList(key=key, since=filters.since, scope=scope, counted=counted, is_capped=is_capped)


def listed_page(key: str, scope: ConversionFilter, *, before: str, size: int) -> Page[Conversion]:
    """Return a page of the conversions of a key, with what conversion_row reads.

    Unless it lists all, it is of the newest SCAN_LIMIT conversions, and others of the same time as the last of them.
    "Older" continues from there, so that a page may have few rows, or none, although there are more.
    """
    every = Conversion.objects.filter(game=scope.game, event_at__gte=scope.since)
    every = every.filter(event_at__lt=scope.until) if scope.until else every
    floor = scan_floor(every, by="event_at", before=before, limit=SCAN_LIMIT) if _leaves_out(key, scope) else None
    rows = figure_rows.conversions_of(key, replace(scope, since=floor) if floor else scope)
    found = newest(with_outcomes(rows), by="event_at", before=before, size=size)
    return found if found.older or floor is None else Page(found.rows, cursor_before(floor, Conversion))


def _leaves_out(key: str, scope: ConversionFilter) -> bool:
    """Whether a list leaves out conversions of the period. CONVERSIONS does: of test traffic, all of them."""
    return key != statuses.ALL or any((scope.trigger, scope.network, scope.click, scope.currency, scope.problem))
