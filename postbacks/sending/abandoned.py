"""Attempts whose worker was killed: nobody else will ever close them."""

from collections.abc import Iterable
from uuid import UUID

from audience import clock
from postbacks.models import AttemptStatus, DeliveryAttempt

STOPPED = "The worker stopped before the answer came"
STOPPED_AND_SENT_AGAIN = f"{STOPPED}; sent again with the same event id."


def close(delivery_ids: Iterable[UUID], *, sent_again: bool = False) -> int:
    """Close what these deliveries' dead workers left open; how many. Only for deliveries whose lease is over."""
    left_open = DeliveryAttempt.objects.filter(delivery__in=list(delivery_ids), status=AttemptStatus.SENDING)
    status, said = (
        (AttemptStatus.RETRIED, STOPPED_AND_SENT_AGAIN) if sent_again else (AttemptStatus.FAILED, f"{STOPPED}.")
    )
    return left_open.update(status=status, finished_at=clock.now(), message=said)
