"""The figures of the pages: one definition each, whose docstring is the text behind the "i" beside the figure.

A figure of conversions is a function that returns its rows, one of the deliveries of postbacks (`postback_...`) returns
the condition of its rows. The link of a figure leads to a list of exactly these rows. Those of events are in
postbacks/reporting/event_figures.py.
"""

from django.db.models import Q, QuerySet

from audience.models import Conversion, Reason, ValueProblem
from audience.models.attribution import ATTRIBUTION_REASONS, UNCOUNTED_REASONS
from postbacks.models import OUTCOME_UNKNOWN, Confirmation, DeliveryState
from postbacks.networks.interface.call import Verdict
from postbacks.reporting.conversion_status import ConversionFilter, selected
from postbacks.reporting.figure_registry import figure
from postbacks.reporting.statuses import ATTRIBUTED, CONVERSIONS, ELIGIBLE, UNCOUNTED, Acknowledged, Status

# Reasons of deliveries that were never due: the conversion does not count, or its click is another network's.
NOT_DUE = (*ATTRIBUTION_REASONS, Reason.OTHER_NETWORK, Reason.TEST_TRAFFIC, Reason.REPEAT_LAUNCH, Reason.REPEAT_ORDER)
# Of the conversions of deliveries: those that no total counts (audience.models.attribution.COUNTED).
UNCOUNTED_CONVERSION = (
    Q(conversion__test=True) | Q(conversion__repeats_order=True) | Q(conversion__reason__in=UNCOUNTED_REASONS)
)
REFUSALS = (Verdict.PAYLOAD.value, Verdict.CREDENTIAL.value)


@figure("Conversions")
def conversions(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Launches, purchases and goals that count, by the time of the event. Test traffic, repeated launches, further
    events of an order, refunds and erased players are not counted."""
    return selected(filters, CONVERSIONS)


@figure("Not counted")
def uncounted(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Test traffic, repeated launches, further events of an order, refunds, and conversions of erased players."""
    return selected(filters, UNCOUNTED)


@figure("Attributed to a click")
def attributed(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions with a paid click of the player within the attribution window. The last click before the event
    counts, across all networks."""
    return selected(filters, ATTRIBUTED)


@figure("Eligible for a postback")
def eligible(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Attributed conversions for which the game had a postback of the click's network, whether or not they were
    sent."""
    return selected(filters, ELIGIBLE)


@figure("Delivered")
def delivered(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions that the network accepted, on every postback that sends them. A conversion that one postback
    delivered and another did not is listed as delivered to some postbacks."""
    return selected(filters, Status.DELIVERED)


@figure("Delivered to some postbacks")
def partly_delivered(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions that at least one postback delivered, while another failed, is on hold or still has to send them."""
    return selected(filters, Status.PARTLY_DELIVERED)


@figure("Waiting to be sent")
def waiting(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions that no postback has delivered yet and that are sent without further action."""
    return selected(filters, Status.WAITING)


@figure("On hold")
def held(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions that wait until the credential of their postback is accepted, or a user releases the postback."""
    return selected(filters, Status.HELD)


@figure("Failed")
def failed(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions that no postback delivered: the network refused them or did not accept them in time."""
    return selected(filters, Status.FAILED)


@figure("May have arrived")
def may_have_arrived(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Conversions that were stopped after a call without an answer, so the network may have counted them."""
    return selected(filters, Status.MAY_HAVE_ARRIVED)


@figure("Confirmed")
def confirmed(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Delivered conversions that the network also reported as counted."""
    return selected(filters, Acknowledged.CONFIRMED)


@figure("Accepted, not confirmed")
def accepted(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Delivered conversions that the network has not reported as counted, or not yet."""
    return selected(filters, Acknowledged.ACCEPTED)


@figure("Failed: unmatched")
def unmatched(filters: ConversionFilter) -> QuerySet[Conversion]:
    """Failed conversions whose click the network does not know. The success rate does not include them."""
    return selected(filters, Acknowledged.UNMATCHED)


@figure("Success rate")
def success_rate(delivered: int, ended: int) -> str:
    """Delivered conversions divided by those that were delivered, delivered to some postbacks, or failed. Conversions
    whose click the network does not know are not included. Rounded down, so 100% means that none are missing."""
    return f"{delivered * 1000 // ended / 10:g}%" if ended else ""


@figure("Success rate of a postback")
def success_rate_of_postback(delivered: int, ended: int) -> str:
    """Deliveries of this postback that the network accepted, divided by those that were accepted or failed. Only
    deliveries created in the last 24 hours, at most the newest 1,000. Rounded down."""
    return success_rate(delivered, ended)


@figure("Eligible")
def postback_eligible() -> Q:
    """Conversions of the network’s ad clicks that this postback had to send or left out, by the day of the event.
    Test traffic, repeated launches, further events of an order and refunds are not counted."""
    is_skipped = Q(state=DeliveryState.SKIPPED)
    return ~(is_skipped & Q(reason__in=NOT_DUE)) & ~(is_skipped & UNCOUNTED_CONVERSION)


@figure("Sent")
def postback_sent() -> Q:
    """Conversions for which at least one call was made to the network, whatever its response."""
    return postback_eligible() & Q(attempts_made__gt=0)


@figure("Accepted")
def postback_accepted() -> Q:
    """Conversions that the network accepted. Compare this number with the network's report."""
    return Q(state=DeliveryState.DELIVERED)


@figure("Missing")
def postback_missing() -> Q:
    """Eligible conversions that the network did not accept."""
    return postback_eligible() & ~postback_accepted()


@figure("Confirmed")
def postback_confirmed() -> Q:
    """Accepted conversions that the network also reported as counted. Only some networks report this."""
    return postback_accepted() & Q(confirmation=Confirmation.CONFIRMED)


@figure("Refused")
def postback_refused() -> Q:
    """Conversions that the network permanently refused, because of the event, the credential or, later, the click."""
    return Q(state=DeliveryState.FAILED, verdict__in=REFUSALS)


@figure("Not accepted in time")
def postback_expired() -> Q:
    """Conversions that failed without a refusal: the network could not be reached, or they were too old for it."""
    return Q(state=DeliveryState.FAILED) & ~Q(verdict__in=REFUSALS)


@figure("Waiting to be sent")
def postback_waiting() -> Q:
    """Conversions that are sent without further action."""
    return Q(state=DeliveryState.WAITING)


@figure("On hold")
def postback_held() -> Q:
    """Conversions that wait until the credential is accepted, or a user releases the postback."""
    return Q(state=DeliveryState.HELD)


@figure("May have arrived")
def postback_unknown() -> Q:
    """Conversions that were stopped after a call without an answer, so the network may have counted them."""
    return postback_eligible() & OUTCOME_UNKNOWN


@figure("Canceled")
def postback_canceled() -> Q:
    """Conversions of players who were erased before they were sent."""
    return Q(state=DeliveryState.CANCELLED, may_have_arrived=False)


@figure("Not sent")
def postback_skipped(reason: str = "") -> Q:
    """Conversions that the postback left out, each for one reason."""
    skipped = postback_eligible() & Q(state=DeliveryState.SKIPPED, may_have_arrived=False)
    return skipped & Q(reason=reason) if reason else skipped


@figure("Accepted, not confirmed")
def postback_unconfirmed() -> Q:
    """Accepted conversions that the network has not reported as counted, or not yet."""
    return postback_accepted() & Q(confirmation__in=(Confirmation.AWAITED, Confirmation.UNKNOWN))


@figure("Value sent")
def postback_valued() -> Q:
    """The sum of the values of accepted conversions, by currency, as they were sent."""
    return postback_accepted() & Q(conversion__value__isnull=False) & ~Q(conversion__currency="")


@figure("Sent without a value")
def postback_without_value(problem: ValueProblem) -> Q:
    """Accepted conversions whose event stated an amount that could not be sent."""
    return postback_accepted() & Q(conversion__value__isnull=True, conversion__value_problem=problem)
