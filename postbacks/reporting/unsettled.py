"""Conversions that no network accepted, or not on every postback, by network of the click and status.

Found by the indexes of such deliveries, which are few: counting every conversion of a period takes seconds for a busy
game.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import RawSQL

from audience.models import Conversion
from audience.models.attribution import COUNTED
from postbacks.models import OUTCOME_UNKNOWN, Delivery, DeliveryState
from postbacks.reporting.conversion_status import ConversionFilter, selected, with_status
from postbacks.reporting.statuses import Acknowledged

# Of more of them all conversions are counted.
MAX_CONVERSIONS = 100_000
OF_IDS = "SELECT unnest(%s::uuid[])"


def count(filters: ConversionFilter, configs: Sequence[UUID]) -> Counter[tuple[str, str]]:
    """Return {(network of the click, Status or Acknowledged.UNMATCHED): conversions} of attributed conversions.
    `configs`: all of the game, deleted ones included. Statuses without such a delivery are not complete."""
    ids = _with_such_deliveries(filters, configs)
    if not ids:
        return Counter()
    counts = _by_network(_among(with_status(filters), ids), "status")
    unmatched = _among(selected(filters, Acknowledged.UNMATCHED), ids)
    for network, number in unmatched.order_by().values_list("touch__network").annotate(Count("pk")):
        counts[(network, Acknowledged.UNMATCHED.value)] = number
    return counts


def _with_such_deliveries(filters: ConversionFilter, configs: Sequence[UUID]) -> list[UUID]:
    rows = Delivery.objects.filter(config__in=configs, conversion__isnull=False, event_at__gte=filters.since)
    ended = Q(finished_at__gte=filters.since) | Q(finished_at=None)
    kinds = (
        rows.filter(state=DeliveryState.WAITING),
        rows.filter(state=DeliveryState.HELD),
        rows.filter(ended, state=DeliveryState.FAILED),
        Delivery.objects.filter(OUTCOME_UNKNOWN, game=filters.game, conversion__isnull=False),
    )
    # An index each, in one query.
    first, *others = (kind.order_by().values_list("conversion_id", flat=True)[: MAX_CONVERSIONS + 1] for kind in kinds)
    return [pk for pk in first.union(*others) if pk]


def _among(rows: QuerySet[Conversion], ids: list[UUID]) -> QuerySet[Conversion]:
    return rows if len(ids) > MAX_CONVERSIONS else rows.filter(pk__in=RawSQL(OF_IDS, [ids]))


def _by_network(rows: QuerySet[Conversion], column: str) -> Counter[tuple[str, str]]:
    counted = rows.filter(COUNTED, touch__isnull=False).order_by().values_list("touch__network", column)
    return Counter({(network, value): number for network, value, number in counted.annotate(Count("pk"))})
