"""The definitions of the first figures of the Overview, as in postbacks/reporting/figures.py."""

from django.db.models import Q, QuerySet

from audience.models import Conversion
from postbacks.models import DeliveryState
from postbacks.reporting.conversion_status import ConversionFilter, has_delivery
from postbacks.reporting.figure_registry import figure
from postbacks.reporting.figures import attributed


@figure("Revenue attributed")
def revenue(filters: ConversionFilter) -> QuerySet[Conversion]:
    """The sum of the values of attributed conversions, in the reporting currency of the game. Currencies without an
    exchange rate are not included. The change is compared with the previous period of the same length. Updated
    within 15 seconds."""
    return attributed(filters).filter(value__isnull=False)


@figure("Conversions sent")
def sent(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Attributed conversions for which at least one call was made to a network, whatever its response. The change is
    compared with the previous period of the same length. Updated within 15 seconds."""
    return attributed(filters).filter(has_delivery(filters, Q(attempts_made__gt=0)))


@figure("Accepted by a network")
def network_accepted(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Attributed conversions that a network accepted on at least one postback. Updated within 15 seconds."""
    return attributed(filters).filter(has_delivery(filters, Q(state=DeliveryState.DELIVERED)))
