"""The part of an erasure in this app: cancels waiting deliveries and clears sent bodies and answers of networks.

Deliveries are kept without their conversion, since totals count them. A running replay skips them; preview and export
read conversions and store nothing.
"""

import re
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q, QuerySet

from audience.database import clock
from audience.models import Conversion, FailedWork, Person, Reason
from audience.privacy import redaction
from postbacks.models import Alert, Delivery, DeliveryAttempt, DeliveryState
from postbacks.models.attempts import STOPPED, STOPPED_AND_SENT_AGAIN
from postbacks.monitoring.health import advice
from postbacks.networks.interface import answers
from postbacks.outbox import hook_messages

# A network's message in an alert, as advice.quote writes it.
QUOTE = re.compile("“.*?”", re.DOTALL)
# Messages of attempts that are not the network's.
OWN_MESSAGES = {*answers.FAILURES.values(), STOPPED, STOPPED_AND_SENT_AGAIN}


@transaction.atomic
def erase_deliveries(person_ids: Iterable[uuid.UUID], conversion_ids: Iterable[uuid.UUID] = ()) -> int:
    """Cancel all waiting deliveries of these people, and of these conversions, and return their number.

    Called by an erasure before it deletes. A call in progress is not interrupted; its worker finds the row canceled
    and does not repeat it.
    """
    person_ids = list(person_ids)
    erased = Q(person_id__in=person_ids) | Q(pk__in=list(conversion_ids))
    conversions = Conversion.objects.filter(erased).order_by("pk")
    # The lock waits for a fan-out in progress, so that its rows are canceled too.
    ids = list(conversions.select_for_update().values_list("pk", flat=True))
    # Deliveries of every state, so that a late worker or a replay finds the row without its player and writes no body
    # after they are cleared.
    affected = Delivery.objects.filter(conversion_id__in=ids).order_by("pk")
    deliveries = list(affected.select_for_update(of=("self",)).values_list("pk", flat=True))
    FailedWork.objects.filter(row__in=[str(pk) for pk in deliveries]).delete()
    attempts = DeliveryAttempt.objects.filter(delivery__in=deliveries)
    games = set(Conversion.objects.filter(pk__in=ids).values_list("game_id", flat=True))
    games |= set(Person.objects.filter(pk__in=person_ids).values_list("game_id", flat=True))
    _redact_alerts(games, person_ids, attempts)
    Delivery.objects.filter(pk__in=deliveries).update(event_id="")  # the client's own id of the event
    # An answer may repeat what was sent.
    attempts.update(payload=None, message="", provider_code="", request_id="")
    still_open = Delivery.objects.filter(pk__in=deliveries, state__in=(DeliveryState.WAITING, DeliveryState.HELD))
    cancelled = Delivery.objects.filter(pk__in=list(still_open.values_list("pk", flat=True)))
    number = cancelled.update(
        state=DeliveryState.CANCELLED,
        reason=Reason.ERASED,
        next_attempt_at=None,
        leased_until=None,
        finished_at=clock.now(),
    )
    hook_messages.add_for_deliveries(cancelled)
    return number


def _redact_alerts(games: set[int], person_ids: list[uuid.UUID], attempts: QuerySet[DeliveryAttempt]) -> None:
    """Remove the messages of these attempts, and the data of these people, from the alerts of the games."""
    messages = set(attempts.exclude(message="").values_list("message", flat=True)) - OWN_MESSAGES
    personal = redaction.personal_values(person_ids)
    for alert in Alert.objects.filter(game__in=games).exclude(cause="").select_related("config"):
        quotes = [
            advice.without_personal_data(message, keep=alert.config.pixel_id).rstrip(" .") for message in messages
        ]
        cause = _redacted(alert.cause, [*filter(None, quotes), *personal])
        if cause != alert.cause:
            Alert.objects.filter(pk=alert.pk).update(cause=cause)


def _redacted(cause: str, values: list[str]) -> str:
    return QUOTE.sub(lambda quote: redaction.redact(quote[0], values), cause)
