"""What an erasure means here: nothing of these people goes out any more, and no sent payload stays readable.

Nor what a network answered, since it may repeat what it was sent. Their deliveries stay, without their conversion, as
the only trace that the ledger has of them. A running replay passes over them by that; a preview and an export read
conversions, and hold nothing.
"""

import re
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.db.models import QuerySet

from audience.database import clock
from audience.models import Conversion, FailedWork, Person, Reason
from audience.privacy import echoes
from postbacks.models import Alert, Delivery, DeliveryAttempt, DeliveryState
from postbacks.models.attempts import STOPPED, STOPPED_AND_SENT_AGAIN
from postbacks.monitoring.health import advice
from postbacks.networks.interface import answers

# How advice.quoted sets off a network's words: the rest of a cause is ours.
QUOTE = re.compile("“.*?”", re.DOTALL)
# What an attempt says that no network said.
OUR_WORDS = {*answers.FAILURES.values(), STOPPED, STOPPED_AND_SENT_AGAIN}


@transaction.atomic
def cancel_for_people(person_ids: Iterable[uuid.UUID]) -> int:
    """Cancel every postback of these people that has not gone out; how many. An erasure calls it before it deletes.

    A call that is on the wire at this moment ends as it may; its worker finds the row cancelled and does not repeat it.
    """
    person_ids = list(person_ids)
    conversions = Conversion.objects.filter(person_id__in=person_ids).order_by("pk")
    # The lock makes a fan-out in progress finish first, so that the rows it writes are seen and cancelled too.
    ids = list(conversions.select_for_update().values_list("pk", flat=True))
    # All of them, whatever their state: a worker that comes back late, or a replay, either is done with its row by now
    # or finds it without its player. So no body is written behind the one statement that wipes them.
    theirs = Delivery.objects.filter(conversion_id__in=ids).order_by("pk")
    deliveries = list(theirs.select_for_update(of=("self",)).values_list("pk", flat=True))
    FailedWork.objects.filter(row__in=[str(pk) for pk in deliveries]).delete()
    theirs_sent = DeliveryAttempt.objects.filter(delivery__in=deliveries)
    _forget_quotes(person_ids, theirs_sent)
    # What the network answered may repeat what it was sent.
    theirs_sent.update(payload=None, message="", provider_code="", request_id="")
    open_states = (DeliveryState.WAITING, DeliveryState.HELD)
    return Delivery.objects.filter(pk__in=deliveries, state__in=open_states).update(
        state=DeliveryState.CANCELLED,
        reason=Reason.ERASED,
        next_attempt_at=None,
        leased_until=None,
        finished_at=clock.now(),
    )


def _forget_quotes(person_ids: list[uuid.UUID], theirs_sent: QuerySet[DeliveryAttempt]) -> None:
    """Cut out of the alerts of these people's games what the networks said of them, and what else is known of them."""
    games = set(Person.objects.filter(pk__in=person_ids).values_list("game_id", flat=True))
    said = set(theirs_sent.exclude(message="").values_list("message", flat=True)) - OUR_WORDS
    known = echoes.of_people(person_ids)
    for alert in Alert.objects.filter(game__in=games).exclude(cause="").select_related("config"):
        quotes = [advice.impersonal(message, keep=alert.config.pixel_id).rstrip(" .") for message in said]
        cause = _unquoted(alert.cause, [*filter(None, quotes), *known])
        if cause != alert.cause:
            Alert.objects.filter(pk=alert.pk).update(cause=cause)


def _unquoted(cause: str, values: list[str]) -> str:
    return QUOTE.sub(lambda quote: echoes.without(quote[0], values), cause)
