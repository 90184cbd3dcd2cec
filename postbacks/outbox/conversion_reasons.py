"""The reason of a conversion: why none of its postbacks is sent, or '' if one is."""

import uuid
from collections.abc import Sequence

from audience.models import Conversion, Reason
from audience.models.attribution import ATTRIBUTION_REASONS
from postbacks.models import Delivery, DeliveryState
from postbacks.outbox import gate, reasons

# States in which a postback was or will be tried: the conversion has no reason.
TRIED = (DeliveryState.WAITING, DeliveryState.HELD, DeliveryState.DELIVERED, DeliveryState.FAILED)
# Set by attribution and erasure; the outbox never replaces them.
SETTLED = (Reason.ERASED, Reason.REPEAT_LAUNCH, *ATTRIBUTION_REASONS)


def overall_reason(conversion: Conversion, deliveries: Sequence[Delivery]) -> str:
    """The most specific reason: attribution's, else the latest in the gate's order of the click's own network."""
    # Removing REPEAT_LAUNCH would break the constraint of one counted launch per person.
    if conversion.reason in (Reason.ERASED, Reason.REPEAT_LAUNCH):
        return conversion.reason
    if any(delivery.state in TRIED for delivery in deliveries):
        return ""
    if conversion.reason in SETTLED:
        return conversion.reason
    general = gate.reason_for_any_config(conversion)
    if general is not None or conversion.touch is None:
        return general or Reason.NO_CLICK
    own = [Reason(d.reason) for d in deliveries if d.network == conversion.touch.network and d.reason]
    return max(own, key=reasons.ORDER.index, default=Reason.OTHER_NETWORK)


def set_reason(*, conversion_id: uuid.UUID, reason: Reason) -> None:
    """Set the reason of a conversion whose last open postback was cancelled right before it was sent."""
    if not Delivery.objects.filter(conversion_id=conversion_id, state__in=TRIED).exists():
        Conversion.objects.filter(pk=conversion_id, reason="").update(reason=reason)


def clear_reasons(*, conversion_ids: Sequence[uuid.UUID]) -> None:
    """Remove the reason of conversions whose postback was cancelled during its call, and accepted."""
    Conversion.objects.filter(pk__in=conversion_ids).exclude(reason__in=("", *SETTLED)).update(reason="")
