"""Handles refused credentials: suspicion, a second check, and the hold, during which deliveries wait.

A delivery refused for its credential makes the config suspected: sending stops, and the credential is checked with a
synthetic event (postbacks/configs/credentials.py). If that is refused too, the config is on hold and its deliveries are
held; if it is accepted, sending continues; if the network cannot be reached, it is checked again later. A valid
credential releases the held deliveries, the oldest event first, unless a deadline has passed.

A user may put a config on hold too (postbacks/configs/lifecycle.py). Only a user ends that hold: no check does.
"""

from datetime import timedelta

import structlog
from auditlog.models import LogEntry
from django.db import transaction
from django.db.models import CharField, F, Q, QuerySet
from django.db.models.functions import Cast, Greatest, Least

from audience.accounts import audit_log
from audience.background.wakeup import wake
from audience.database import clock
from audience.models import FailedWork, Queue, Reason
from postbacks.configs import credential_checks, rules
from postbacks.models import (
    CheckState,
    CredentialCheck,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    PostbackConfig,
    Purpose,
)
from postbacks.networks.interface.call import Verdict
from postbacks.outbox import hook_messages
from postbacks.outbox.fan_out import DELIVER_TASK

logger = structlog.get_logger(__name__)

ALERTS_TASK = "postbacks.tasks.alerts"
# For this long after a passed check, up to MAX_REFUSALS refusals cause no suspicion: a network may refuse a valid
# credential for single events, which are retried.
GRACE_PERIOD = timedelta(minutes=1)
MAX_REFUSALS = 2


@transaction.atomic
def suspect(*, config: PostbackConfig) -> bool:
    """Stop sending after a refusal and check the credential; return False if that was done already."""
    now = clock.now()
    if _is_in_grace_period(config):
        return False
    # Only the version that was refused, not a later one.
    same_version = PostbackConfig.objects.kept().filter(pk=config.pk, version=config.version)
    unsuspected = same_version.filter(suspected_at=None, held_at=None)
    if not unsuspected.update(suspected_at=now):
        return False
    logger.warning("credential_suspected", config_id=str(config.pk), network=config.network)
    row = PostbackConfig.objects.get(pk=config.pk)
    if row.kind.has_credential(row.credential):
        credential_checks.create(config=row, purpose=Purpose.SUSPICION)
    else:
        hold(config=row, access="token", message=rules.UNREADABLE)
    return True


def _is_in_grace_period(config: PostbackConfig) -> bool:
    """Whether a check passed within GRACE_PERIOD, with at most MAX_REFUSALS refusals since."""
    passed_checks = CredentialCheck.objects.filter(config=config, purpose=Purpose.SUSPICION, state=CheckState.PASSED)
    last = passed_checks.filter(finished_at__gt=clock.now() - GRACE_PERIOD).order_by("-finished_at").first()
    if last is None:
        return False
    refusals = DeliveryAttempt.objects.filter(config=config, verdict=Verdict.CREDENTIAL.value)
    return refusals.filter(started_at__gt=last.finished_at).count() <= MAX_REFUSALS


@transaction.atomic
def hold(*, config: PostbackConfig, access: str, message: str) -> None:
    """Put a config on hold; its waiting deliveries become held.

    `access` is an Access of networks/interface or HELD_BY_USER, `message` the text for its page. A second call does not
    change `held_at`. A refused credential does not change a hold by a user.
    """
    row = PostbackConfig.objects.locked().get(pk=config.pk)
    if row.is_held_by_user:
        return
    row.held_at = row.held_at or clock.now()
    row.held_for, row.held_message, row.suspected_at = access, message, None
    row.save(update_fields=["held_at", "held_for", "held_message", "suspected_at"])
    held = _hold_waiting(row) if row.enabled else 0
    wake(ALERTS_TASK)
    logger.warning("config_held", config_id=str(row.pk), network=row.network, access=access, deliveries=held)


@transaction.atomic
def end_suspicion(*, config: PostbackConfig) -> None:
    """End a suspicion, so that waiting deliveries are sent on schedule."""
    if PostbackConfig.objects.filter(pk=config.pk, suspected_at__isnull=False).update(suspected_at=None):
        wake(DELIVER_TASK, config.network)
        logger.info("suspicion_ended", config_id=str(config.pk), network=config.network)


@transaction.atomic
def release(*, config: PostbackConfig) -> int:
    """End a hold or a suspicion and release the held deliveries, the oldest event first; return how many.

    Those past a deadline fail as `too_old`.
    """
    rows = PostbackConfig.objects.filter(pk=config.pk)
    held_since = rows.values_list("held_at", flat=True).first()
    rows.update(held_at=None, held_for="", held_message="", suspected_at=None)
    if held_since:
        changes = {"held_at": (str(held_since), "None")}
        audit_log.record(game=config.game, subject=config, action=LogEntry.Action.UPDATE, changes=changes)
    expire(config=config)
    released = _release(config)
    refused = Delivery.objects.filter(config=config, state=DeliveryState.WAITING, verdict=Verdict.CREDENTIAL.value)
    unleased = _locked(refused.filter(leased_until=None))
    unleased.update(next_attempt_at=Least(F("next_attempt_at"), clock.now()), attempts_counted=0)
    wake(DELIVER_TASK, config.network)
    wake(ALERTS_TASK)
    logger.info("config_released", config_id=str(config.pk), network=config.network, deliveries=released)
    return released


@transaction.atomic
def expire(*, config: PostbackConfig) -> None:
    """Fail the held deliveries past a deadline."""
    now = clock.now()
    held = Delivery.objects.filter(config=config, state=DeliveryState.HELD)
    expired = _locked(held.filter(Q(dead_after__lt=now) | Q(safe_until__lt=now)))
    DeliveryAttempt.objects.filter(delivery__in=list(expired.values_list("pk", flat=True))).close_abandoned()
    expired.filter(verdict="").exclude(safe_until=None).update(verdict=Verdict.TRANSIENT.value)  # its worker was killed
    failed = {"state": DeliveryState.FAILED, "finished_at": now, "leased_until": None}
    expired.filter(dead_after__lt=now).update(reason=Reason.TOO_OLD, **failed)
    expired.filter(state=DeliveryState.HELD).update(**failed)
    hook_messages.add_for_deliveries(expired)


@transaction.atomic
def hold_waiting(*, config: PostbackConfig) -> None:
    """Hold deliveries that became waiting while the config was put on hold, or cancel them if it is disabled."""
    row = PostbackConfig.objects.locked().get(pk=config.pk)
    if not row.enabled:
        _make_open_due(row)
    elif row.held_at:
        _hold_waiting(row)


@transaction.atomic
def make_open_due(*, config: PostbackConfig) -> None:
    """Make the waiting and held deliveries of a disabled or deleted postback due, so that they are canceled.

    The next claim cancels them with the reason (postbacks/delivery/claims.py). Leased ones end with their call.
    Failed work of these deliveries is tried again, also when it was set aside, so that they end too.
    """
    rows = _open(config).annotate(text=Cast("pk", CharField())).values("text")
    queues = (Queue.SENDING, Queue.CLOSING)
    FailedWork.objects.filter(game=config.game_id, queue__in=queues, row__in=rows).make_due()
    _make_open_due(config)


def _make_open_due(config: PostbackConfig) -> None:
    unleased = _locked(_open(config).filter(Q(leased_until=None) | Q(leased_until__lt=clock.now())))
    if unleased.update(state=DeliveryState.WAITING, next_attempt_at=clock.now()):
        wake(DELIVER_TASK, config.network)


def _open(config: PostbackConfig) -> QuerySet[Delivery]:
    return Delivery.objects.filter(config=config, state__in=(DeliveryState.WAITING, DeliveryState.HELD))


@transaction.atomic
def release_wrongly_held(*, config: PostbackConfig) -> None:
    """Release deliveries that are held although the config is not on hold."""
    row = PostbackConfig.objects.locked().get(pk=config.pk)
    if row.held_at is None and _release(row):
        wake(DELIVER_TASK, row.network)


def _release(config: PostbackConfig) -> int:
    # The queue is ordered by next_attempt_at. The attempts before the hold do not count.
    held = _locked(Delivery.objects.filter(config=config, state=DeliveryState.HELD))
    due_at = Greatest(Least(F("event_at"), clock.now()), F("not_before"))  # GREATEST ignores NULL
    return held.update(state=DeliveryState.WAITING, next_attempt_at=due_at, attempts_counted=0)


def _hold_waiting(row: PostbackConfig) -> int:
    """Hold the waiting deliveries without a lease; the next reconcile holds the others."""
    waiting = Delivery.objects.filter(config=row, state=DeliveryState.WAITING)
    unleased = _locked(waiting.filter(Q(leased_until=None) | Q(leased_until__lt=clock.now())))
    # An expired lease stays: by it the next claim detects the open attempt of a killed worker.
    return unleased.update(state=DeliveryState.HELD, next_attempt_at=None)


def _locked(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """The same rows, locked in the order in which an erasure locks them, to avoid deadlocks."""
    ids = list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    return Delivery.objects.filter(pk__in=ids)
