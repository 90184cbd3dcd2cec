"""Sending what is due: claim a row, call the network with no transaction open, close the attempt.

Any number of workers may drain at once; a row is in one worker's hands at a time (postbacks/sending/claims.py). Each
network has lanes of its own, so that one that hangs in time-outs does not hold up the other.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from audience.wakeup import wake
from postbacks import http
from postbacks.deciding import facts, gate, outbox
from postbacks.models import Delivery, DeliveryState
from postbacks.networks import NETWORKS
from postbacks.networks.base import Outcome, Request, Response, Target, Verdict
from postbacks.sending import attempts, retry
from postbacks.sending.claims import Claim, claim
from postbacks.setup import rules

logger = structlog.get_logger(__name__)

TIMEOUT = 10.0  # seconds, for one call; claims.LEASE must stay longer
LANES = 4  # calls at a time, per network and drain


def drain(*, limit: int = 1000, seconds: float = 5.0, lanes: int = LANES) -> bool:
    """Send until nothing is due, `limit` calls were made or the time is up; whether something is left.

    With a single row due (or `lanes=0`) it runs in the calling thread, else in threads with connections of their own.
    """
    wanted = [network for network in NETWORKS for _ in range(_due(network, lanes))]
    tickets, until = iter(range(limit)), time.monotonic() + seconds
    if len(wanted) == 1 or not lanes:
        for network in wanted or NETWORKS:
            _lane(network, tickets, until)
    elif wanted:
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="deliver") as pool:
            for finished in [pool.submit(_own_connection, network, tickets, until) for network in wanted]:
                finished.result()
    return Delivery.objects.due().exists()


def _due(network: str, most: int) -> int:
    return len(Delivery.objects.due().filter(network=network).values_list("pk")[:most]) if most else 0


def _own_connection(network: str, tickets: Iterator[int], until: float) -> None:
    with closing(connection):
        _lane(network, tickets, until)


def _lane(network: str, tickets: Iterator[int], until: float) -> None:
    while time.monotonic() < until and next(tickets, None) is not None:
        taken = claim(network=network)
        if taken is None:
            return
        send(taken)


def send(taken: Claim) -> None:
    """One call to the network for a claimed delivery, with no transaction open, and its attempt closed."""
    delivery = taken.delivery
    response, outcome = _call(taken)
    attempts.close(taken, outcome, response)
    logger.info(
        "delivery_attempted",
        delivery_id=str(delivery.pk),
        config_id=str(delivery.config_id),
        network=delivery.network,
        attempt=taken.attempt.number,
        verdict=outcome.verdict.value,
        code=outcome.code,
        http_status=response.status if response else None,
        latency_ms=response.latency_ms if response else None,
    )


def _call(taken: Claim) -> tuple[Response | None, Outcome]:
    network = taken.delivery.config.kind
    if not taken.token:
        logger.error("credential_unreadable", config_id=str(taken.delivery.config_id))
        return None, Outcome(Verdict.CREDENTIAL, None, rules.UNREADABLE)
    try:
        request = _request(taken)
    except facts.BAD_DATA as error:
        logger.exception("delivery_unbuildable", delivery_id=str(taken.delivery.pk))
        problem = (
            f"This event cannot be turned into a {network.label} event ({type(error).__name__}). Nothing was sent."
        )
        return None, Outcome(Verdict.PAYLOAD, None, problem)
    response = http.post(request, timeout=TIMEOUT)
    return response, network.classify(response)


def _request(taken: Claim) -> Request:
    delivery, config = taken.delivery, taken.delivery.config
    if delivery.conversion is None:
        raise ValueError("a claimed delivery has a conversion")
    base_url = settings.NETWORK_URLS[config.kind.url_setting]
    target = Target(pixel_id=config.pixel_id, credential=taken.token, base_url=base_url)
    known = facts.of(delivery.conversion, event_id=delivery.event_id, level=taken.level)
    return config.kind.build(target, known)


class NotSendable(Exception):
    """Why a delivery cannot be sent again, as a sentence for the person who asked."""


@transaction.atomic
def send_again(delivery: Delivery) -> None:
    """Put a failed delivery back in the queue, under the same event id. Raises NotSendable with the reason."""
    current = Delivery.objects.select_for_update(of=("self",)).select_related("conversion", "config")
    row = current.get(pk=delivery.pk)
    _refuse_unsendable(row)
    row.state, row.reason, row.finished_at, row.leased_until = DeliveryState.WAITING, "", None, None
    row.next_attempt_at = timezone.now()
    row.save(update_fields=["state", "reason", "finished_at", "leased_until", "next_attempt_at"])
    wake(outbox.DELIVER_TASK)
    logger.info("delivery_sent_again", delivery_id=str(row.pk))


def _refuse_unsendable(row: Delivery) -> None:
    now = timezone.now()
    if row.state != DeliveryState.FAILED:
        raise NotSendable(f"Only a failed delivery can be sent again; this one is {row.get_state_display().lower()}.")
    if row.conversion is None:
        raise NotSendable("The player's data was erased.")
    if not gate.is_on(row.config, row.trigger):
        raise NotSendable("Its postback is switched off for this event, or deleted.")
    if retry.closed(first_attempt_at=row.first_attempt_at, now=now):
        raise NotSendable("Its first attempt is more than 47 hours ago: the network would count it twice.")
    if gate.is_too_old(row.config, row.event_at, now):
        raise NotSendable("The event is too old for the network to accept.")
