"""What an erasure means here: nothing of these people goes out any more, and no sent payload stays readable.

Their deliveries stay, without their conversion, as the only trace that the ledger has of them. A running replay passes
over them by that; a preview and an export read conversions, and hold nothing.
"""

import uuid
from collections.abc import Iterable

from django.db import transaction

from audience import clock
from audience.models import Conversion, FailedWork, Reason
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState


@transaction.atomic
def cancel_for_people(person_ids: Iterable[uuid.UUID]) -> int:
    """Cancel every postback of these people that has not gone out; how many. An erasure calls it before it deletes.

    A call that is on the wire at this moment ends as it may; its worker finds the row cancelled and does not repeat it.
    """
    conversions = Conversion.objects.filter(person_id__in=list(person_ids)).order_by("pk")
    # The lock makes a fan-out in progress finish first, so that the rows it writes are seen and cancelled too.
    ids = list(conversions.select_for_update().values_list("pk", flat=True))
    # All of them, whatever their state: a worker that comes back late, or a replay, either is done with its row by now
    # or finds it without its player. So no body is written behind the one statement that wipes them.
    theirs = Delivery.objects.filter(conversion_id__in=ids).order_by("pk")
    deliveries = list(theirs.select_for_update(of=("self",)).values_list("pk", flat=True))
    DeliveryAttempt.objects.filter(delivery__in=deliveries, payload__isnull=False).update(payload=None)
    FailedWork.objects.filter(row__in=[str(pk) for pk in deliveries]).delete()
    open_states = (DeliveryState.WAITING, DeliveryState.HELD)
    return Delivery.objects.filter(pk__in=deliveries, state__in=open_states).update(
        state=DeliveryState.CANCELLED,
        reason=Reason.ERASED,
        next_attempt_at=None,
        leased_until=None,
        finished_at=clock.now(),
    )
