"""What an erasure means here: nothing of these people goes out any more, and no sent payload stays readable."""

import uuid
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from audience.models import Conversion, Reason
from postbacks.models import Delivery, DeliveryAttempt, DeliveryState


@transaction.atomic
def cancel_for_people(person_ids: Iterable[uuid.UUID]) -> int:
    """Cancel every postback of these people that has not gone out; how many. An erasure calls it before it deletes.

    A call that is on the wire at this moment ends as it may; its worker finds the row cancelled and does not repeat it.
    """
    conversions = Conversion.objects.filter(person_id__in=list(person_ids)).order_by("pk")
    # The lock makes a fan-out in progress finish first, so that the rows it writes are seen and cancelled too.
    ids = list(conversions.select_for_update().values_list("pk", flat=True))
    DeliveryAttempt.objects.filter(delivery__conversion_id__in=ids).update(payload=None)
    open_states = (DeliveryState.WAITING, DeliveryState.HELD)
    waiting = Delivery.objects.filter(conversion_id__in=ids, state__in=open_states)
    return waiting.update(
        state=DeliveryState.CANCELLED,
        reason=Reason.ERASED,
        next_attempt_at=None,
        leased_until=None,
        finished_at=timezone.now(),
    )
