"""The bodies of a network that replaces an event's data by those of a repeat (Network.freezes_body).

What was sent first is sent again, whatever has changed since. The body is stored with the attempt before the call, so
that it is known even if the worker dies during it.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from postbacks.delivery.cancellation import SendableDelivery
from postbacks.models import Delivery, DeliveryAttempt, PostbackConfig
from postbacks.networks.interface.call import Verdict
from postbacks.outbox import conversion_facts

# The network did not take what it refused.
REFUSED = (Verdict.PAYLOAD.value, Verdict.CREDENTIAL.value)


def bodies(config: PostbackConfig, items: Sequence[SendableDelivery]) -> dict[UUID, Any]:
    """Return the body of each leased delivery, by its id; {} for a network that freezes none.

    A delivery whose request cannot be built is left out: sending it fails it with a message.
    """
    if not config.kind.freezes_body:
        return {}
    target, first = config.target(), _first_bodies([item.delivery for item in items])
    found = {}
    for item in items:
        if item.facts is None:
            continue
        try:
            rebuilt = json.loads(config.kind.build(target, item.facts).body)
        except conversion_facts.BAD_DATA:
            continue
        pk = item.delivery.pk
        found[pk] = config.kind.repeated_body(first[pk], rebuilt) if pk in first else rebuilt
    return found


def _first_bodies(rows: Sequence[Delivery]) -> dict[UUID, Any]:
    """Return the body of the first attempt that the network may have taken, by delivery."""
    sent = DeliveryAttempt.objects.filter(delivery__in=[row.pk for row in rows if row.attempts_made > 1])
    sent = sent.exclude(payload=None).exclude(verdict__in=REFUSED).order_by("delivery", "number")
    return dict(sent.distinct("delivery").values_list("delivery", "payload"))
