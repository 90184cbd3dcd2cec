"""The statuses of conversions, and the steps of the funnel that a conversion with each of them reached."""

from django.db import models

from audience.models import Reason

CONVERSIONS, ATTRIBUTED, ELIGIBLE = "conversions", "attributed", "eligible"
# What no total counts: not a step, since only some of the events before it become one.
UNCOUNTED = "uncounted"
ALL = "all"
# The conversions behind the first figures of the Overview.
HEADLINES = {
    "revenue": "Conversions with attributed revenue",
    "sent": "Conversions sent",
    "network_accepted": "Accepted by a network",
}


class Status(models.TextChoices):
    """The statuses besides Reason: the status of a conversion that has a reason is the reason."""

    OTHER_CLICK = "other_click", "Attributed to another network"
    UNDECIDED = "undecided", "Being processed"
    MAY_HAVE_ARRIVED = "may_have_arrived", "May have arrived"
    CANCELLED = "cancelled", "Canceled"
    FAILED = "failed", "Failed"
    HELD = "held", "On hold"
    WAITING = "waiting", "Waiting to be sent"
    PARTLY_DELIVERED = "partly_delivered", "Delivered to some postbacks"
    ORDER_SENT = "order_sent", "Order already sent"
    DELIVERED = "delivered", "Delivered"


class Acknowledged(models.TextChoices):
    """Parts of the conversions that a network acknowledged first: two of the delivered ones, and one of the failed."""

    CONFIRMED = "confirmed", "Confirmed"
    ACCEPTED = "accepted", "Accepted, not confirmed"
    UNMATCHED = "unmatched", "Failed: unmatched"


# The statuses of what no total counts; Reason.REPEAT_ORDER is that of a row that repeats an order.
UNCOUNTED_STATUSES: tuple[str, ...] = (
    Reason.REPEAT_LAUNCH,
    Reason.REPEAT_ORDER,
    Reason.REFUND,
    Reason.TEST_TRAFFIC,
    Reason.ERASED,
)
# The statuses (Status or Reason) of conversions that reached a step and not the next one.
LOST: dict[str, tuple[str, ...]] = {
    CONVERSIONS: (Reason.NO_CLICK, Reason.OUTSIDE_WINDOW, Reason.SHARED_ID, Status.OTHER_CLICK),
    ATTRIBUTED: (Reason.OTHER_NETWORK, Status.UNDECIDED),
    ELIGIBLE: (
        Status.PARTLY_DELIVERED,
        Status.FAILED,
        Status.HELD,
        Status.WAITING,
        Status.MAY_HAVE_ARRIVED,
        Reason.CONSENT,
        Reason.LIMITED_USE,
        Reason.CONFIG_DISABLED,
        Reason.CONFIG_DELETED,
        Reason.FILTERED,
        Reason.NOT_FROM_SERVER,
        Reason.NOT_MAPPED,
        Reason.REPEAT,
        Reason.NO_MATCH_KEY,
        Reason.NO_VALUE,
        Reason.TOO_OLD,
        Status.ORDER_SENT,
        Status.CANCELLED,
    ),
    Status.DELIVERED: (),
}
STEPS = tuple(LOST)
STATUSES = [*Status, *Reason]


def statuses_reaching(step: str) -> list[str]:
    """Return the statuses whose conversions reached `step`."""
    return [Status.DELIVERED, *(status for later in STEPS[STEPS.index(step) :] for status in LOST[later])]
