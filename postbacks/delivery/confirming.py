"""Later confirmation: queries a network for the final result of an event that it has acknowledged.

Some networks acknowledge an event and process it within hours. A refusal fails the delivery, with an attempt in the log
that has the network's message. An event that the network did not process for a passing reason is sent again later
(later_refusals.py). Without a result the delivery stays delivered.
"""

import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from audience.models.failed_work import not_failed
from postbacks import http
from postbacks.delivery import later_refusals, pace
from postbacks.models import AttemptStatus, Confirmation, Delivery, DeliveryAttempt, DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Request, Target, Verdict
from postbacks.outbox import hook_messages

logger = structlog.get_logger(__name__)

BATCH = 20  # deliveries that are read at a time
LEASE = timedelta(minutes=5)  # longer than a token exchange and a call that time out
MIN_PAUSE = timedelta(minutes=1)
# Since the delivery was accepted. The last query is at the end of CONFIRMATION_PERIOD: without a result the
# confirmation is unknown then. After EXPIRY it becomes unknown without a query, also if all queries raised errors.
CONFIRMATION_PERIOD = timedelta(hours=24)
EXPIRY = timedelta(days=7)

_call_spacing = pace.CallSpacing()


def confirm_due(*, seconds: float = 10.0) -> None:
    """Query the due deliveries until none remains or `seconds` have passed, a config's at the rate of its network."""
    until = time.monotonic() + seconds
    isolation.retry(Queue.CONFIRMATION, lambda failure: _confirm_again(failure, until))
    configs = _configs_due()
    random.shuffle(configs)  # one with many deliveries must not always come first
    for config in configs:
        _expire(config)
        count = 1
        while count and time.monotonic() < until:
            count = sum(_confirm_alone(config, pk) for pk in _ids_due(config) if _wait_for_slot(config, until))


def _wait_for_slot(config: PostbackConfig, until: float) -> bool:
    """Sleep until the next query of the config may start; False if that is after `until`."""
    _call_spacing.wait(config.network, config.flow_pixel, 0.0)
    return time.monotonic() < until


def _expire(config: PostbackConfig) -> None:
    """Make the confirmations past EXPIRY unknown, also of deliveries that were set aside after failed queries."""
    failures = FailedWork.objects.of(Queue.CONFIRMATION).set_aside().filter(game=config.game_id)
    expired = _due(config).filter(finished_at__lt=clock.now() - EXPIRY)
    set_aside = [UUID(row) for row in failures.values_list("row", flat=True)]

    @transaction.atomic
    def expire(ids: Sequence[UUID]) -> int:
        failures.filter(row__in=[str(pk) for pk in ids]).delete()
        return expired.filter(pk__in=ids).update(confirmation=Confirmation.UNKNOWN, confirm_after=None)

    rows = expired.filter(not_failed(Queue.CONFIRMATION) | Q(pk__in=set_aside)).values_list("pk", flat=True)
    counts = isolation.process_together(
        Queue.CONFIRMATION, list(rows), expire, failure_key=lambda pk: isolation.FailureKey(str(pk), config.game_id)
    )
    if any(counts):
        logger.warning("deliveries_not_confirmed", config_id=str(config.pk), deliveries=sum(counts))


def _confirm_again(failure: FailedWork, until: float) -> None:
    if time.monotonic() > until:
        raise isolation.RetryLater
    _confirm(Delivery.objects.filter(pk=failure.row))


def _configs_due() -> list[PostbackConfig]:
    due = Delivery.objects.filter(config=OuterRef("pk"), confirm_after__lte=clock.now())
    return list(PostbackConfig.objects.filter(Exists(due), network__in=NETWORKS).order_by("pk"))


def _due(config: PostbackConfig) -> QuerySet[Delivery]:
    return Delivery.objects.filter(config=config, confirm_after__lte=clock.now())


def _ids_due(config: PostbackConfig) -> list[UUID]:
    due = _due(config).filter(not_failed(Queue.CONFIRMATION)).order_by("confirm_after")
    return list(due.values_list("pk", flat=True)[:BATCH])


def _confirm_alone(config: PostbackConfig, pk: UUID) -> bool:
    """Query one delivery; False if that failed, or another worker has reserved it."""
    row = isolation.FailureKey(str(pk), config.game_id)
    return any(isolation.process_alone(Queue.CONFIRMATION, row, lambda: _confirm(_due(config).filter(pk=pk))))


def _confirm(rows: QuerySet[Delivery]) -> bool:
    """Query the delivery of `rows`, one at most; False if there is none, or another worker has reserved it."""
    delivery = _reserve(rows)
    if delivery is None:
        return False
    config = delivery.config
    accepted = DeliveryAttempt.objects.filter(delivery=delivery, status=AttemptStatus.SUCCESS).order_by("-number")
    number, request_id = accepted.values_list("number", "request_id").first() or (0, "")
    queried_at = clock.now()
    if not request_id or not config.kind.has_credential(config.credential):
        _record(delivery, None, queried_at)
        return True

    def build(target: Target) -> Request:
        return config.kind.confirm_request(target, request_id)

    classify = partial(config.kind.classify_confirmation, repeated=_is_repeated(delivery, number))
    call = http.call(config.kind, config.target(), build, classify=classify)
    _record(delivery, call, queried_at)
    return True


def _is_repeated(delivery: Delivery, number: int) -> bool:
    """Whether the network may have had the event before this attempt. What came before its last refusal was not
    counted; an attempt without an answer may have arrived."""
    earlier = DeliveryAttempt.objects.filter(delivery=delivery, number__lt=number).order_by("-number")
    since_refusal = takewhile(lambda verdict: verdict != Verdict.PAYLOAD, earlier.values_list("verdict", flat=True))
    return any(verdict != Verdict.CREDENTIAL for verdict in since_refusal)


@transaction.atomic
def _reserve(rows: QuerySet[Delivery]) -> Delivery | None:
    """Reserve the delivery for this worker until the lease ends."""
    awaited = rows.filter(confirmation=Confirmation.AWAITED).select_related("config")
    delivery = awaited.select_for_update(skip_locked=True, of=("self",)).first()
    if delivery is not None:
        rows.filter(pk=delivery.pk).update(confirm_after=clock.now() + LEASE)
    return delivery


@transaction.atomic
def _record(delivery: Delivery, call: http.NetworkCall | None, queried_at: datetime) -> None:
    """Store the result, if any, unless the delivery was sent again meanwhile. Ignored if the player was erased."""
    now = clock.now()
    delivered = Delivery.objects.filter(config=delivery.config_id, pk=delivery.pk, state=DeliveryState.DELIVERED)
    row = delivered.filter(confirmation=Confirmation.AWAITED).select_for_update(of=("self",)).first()
    if row is None:
        return
    if row.conversion_id is None:
        call = None  # the answer may quote what was erased
    accepted_at = row.finished_at or row.created_at
    pause = max(now - accepted_at, MIN_PAUSE)  # each pause is twice the one before
    if call is not None and call.outcome.verdict == Verdict.SUCCESS:
        row.confirmation, row.confirm_after = Confirmation.CONFIRMED, None
    elif call is not None and call.outcome.verdict == Verdict.PAYLOAD:
        later_refusals.apply(row, call, queried_at, now)
    elif call is None or now >= accepted_at + CONFIRMATION_PERIOD:
        row.confirmation, row.confirm_after = Confirmation.UNKNOWN, None
    else:
        row.confirm_after = min(now + pause, accepted_at + CONFIRMATION_PERIOD)
    row.save()
    if row.confirmation == Confirmation.CONFIRMED or row.state == DeliveryState.FAILED:
        hook_messages.add_for_deliveries([row])
    logger.info("confirmation_stored", delivery_id=str(row.pk), network=row.network, confirmation=row.confirmation)
