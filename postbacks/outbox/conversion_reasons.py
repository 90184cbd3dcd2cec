"""The reason of a conversion: why none of its postbacks is sent, or '' if one is."""

import uuid
from collections.abc import Sequence

from django.db import transaction

from audience.digest import orders
from audience.models import Conversion, Reason
from audience.models.attribution import ATTRIBUTION_REASONS
from postbacks.models import Delivery, DeliveryState
from postbacks.outbox import gate, reasons

# States of a delivery that was or will be tried: its conversion has no reason.
TRIED = (DeliveryState.WAITING, DeliveryState.HELD, DeliveryState.DELIVERED, DeliveryState.FAILED)
# Set by attribution and erasure; the outbox never replaces them.
FINAL = (Reason.ERASED, Reason.REPEAT_LAUNCH, Reason.REFUND, *ATTRIBUTION_REASONS)


def overall_reason(conversion: Conversion, deliveries: Sequence[Delivery]) -> str:
    """The reason of attribution; else the last one, in the gate's order, of the deliveries whose postback takes the
    click."""
    # Removing REPEAT_LAUNCH would break the constraint of one counted launch per person.
    if conversion.reason in (Reason.ERASED, Reason.REPEAT_LAUNCH, Reason.REFUND):
        return conversion.reason
    if any(delivery.state in TRIED for delivery in deliveries):
        return ""
    if conversion.reason in FINAL:
        return conversion.reason
    reason = gate.reason_for_any_config(conversion)
    if reason is not None or conversion.touch is None:
        return reason or Reason.NO_CLICK
    of_click = [Reason(d.reason) for d in deliveries if d.reason and d.config.takes_click(conversion.touch)]
    return max(of_click, key=reasons.ORDER.index, default=Reason.OTHER_NETWORK)


@transaction.atomic
def set_reason(*, conversion_id: uuid.UUID, reason: Reason) -> None:
    """Set the reason of a conversion whose last open postback was canceled right before it was sent.

    Totals then count a purchase of its order that was sent instead.
    """
    if not Delivery.objects.filter(conversion_id=conversion_id, state__in=TRIED).exists():
        Conversion.objects.filter(pk=conversion_id, reason="").update(reason=reason)
        purchases = Conversion.objects.filter(pk=conversion_id).exclude(order_id="")
        for purchase in purchases.only("person_id", "moved_to_id", "order_id"):
            orders.choose_purchases(
                person_ids=[orders.owner_of(purchase)], order_ids=[purchase.order_id], skip_locked=True
            )


def clear_reasons(*, conversion_ids: Sequence[uuid.UUID]) -> None:
    """Clear the reasons of conversions whose postback was accepted, after it was canceled during its call."""
    Conversion.objects.filter(pk__in=conversion_ids).exclude(reason__in=("", *FINAL)).update(reason="")
