"""Attempts whose worker was killed: nobody else will ever close them."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from audience.database import clock
from postbacks.models import AttemptStatus, Delivery, DeliveryAttempt, DeliveryState

STOPPED = "The worker stopped before the answer came"
STOPPED_AND_SENT_AGAIN = f"{STOPPED}; sent again with the same event id."
# Longer than any lease (claims.LEASE).
FORGOTTEN_AFTER = timedelta(minutes=2)
OPEN = (DeliveryState.WAITING, DeliveryState.HELD)


def close(delivery_ids: Iterable[UUID], *, sent_again: bool = False) -> int:
    """Close what these deliveries' dead workers left open; how many. Only for deliveries whose lease is over.

    Whether the call went out nobody knows: each delivery says from then on that it may have arrived.
    """
    left_open = DeliveryAttempt.objects.filter(delivery__in=list(delivery_ids), status=AttemptStatus.SENDING)
    sent = list(left_open.values_list("delivery", flat=True))
    Delivery.objects.filter(pk__in=sent).exclude(state=DeliveryState.DELIVERED).update(may_have_arrived=True)
    status, said = (
        (AttemptStatus.RETRIED, STOPPED_AND_SENT_AGAIN) if sent_again else (AttemptStatus.FAILED, f"{STOPPED}.")
    )
    return left_open.update(status=status, finished_at=clock.now(), message=said)


def close_forgotten() -> int:
    """Close the attempts of dead workers whose delivery was called off meanwhile, by an erasure; how many.

    No claim comes by them any more.
    """
    unfinished = DeliveryAttempt.objects.filter(finished_at=None, started_at__lt=clock.now() - FORGOTTEN_AFTER)
    return close(list(unfinished.exclude(delivery__state__in=OPEN).values_list("delivery", flat=True)))
