"""Periodic tasks for credentials: lost checks, suspicions, daily checks, expired credentials.

Failing checks and postbacks are isolated (audience/background/isolation.py).
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Case, CharField, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast
from django.db.models.lookups import In

from audience.background import isolation
from audience.database import clock
from audience.models import FailedWork, Queue
from audience.models.failed_work import not_failed
from postbacks.configs import credential_checks, hold
from postbacks.configs.credentials import run_check
from postbacks.models import (
    CheckState,
    CredentialCheck,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    PostbackConfig,
    Purpose,
)

LOST_AFTER = timedelta(seconds=15)  # a pending check of this age is considered lost
MAX_CHECKS = 20  # run, or created of one kind, in one sweep
MAX_SUSPICION = timedelta(minutes=1)
COULD_NOT_VERIFY = "We could not verify this in time: {}"
# While the network cannot be reached, a suspicion is neither confirmed nor cleared: check again after this pause.
CHECK_AGAIN_AFTER = timedelta(seconds=30)
CHECK_EVERY = timedelta(hours=24)
# The network may have restored a permission of a config on hold.
RECHECK_AFTER = timedelta(hours=1)


def sweep() -> None:
    """Run all steps once; a beat task. Safe to run concurrently."""
    steps = (run_lost_checks, check_suspects, check_daily, reconcile, close_abandoned_attempts)
    each = isolation.process_each(
        Queue.UPKEEP, steps, lambda step: step(), row_of=lambda step: isolation.FailureKey(step.__name__, None)
    )
    list(each)


def close_abandoned_attempts() -> None:
    """Close the attempts of killed workers whose delivery an erasure cancelled meanwhile."""
    attempts = list(DeliveryAttempt.objects.of_finished_deliveries().values_list("pk", flat=True))
    DeliveryAttempt.objects.filter(pk__in=attempts).close_abandoned()


def run_lost_checks() -> None:
    """Run the checks whose task was lost, and close those older than five minutes.

    A check with a test code is closed without a call: only the task had the code.
    """
    isolation.retry(Queue.CHECK, lambda failure: _end(CredentialCheck.objects.filter(pk=failure.row)))
    open_ones = CredentialCheck.objects.filter(not_failed(Queue.CHECK))
    over = list(_expired(open_ones))
    isolation.process_together(
        Queue.CHECK, over, lambda some: _give_up(open_ones.filter(pk__in=[check.pk for check in some])), row_of=_check
    )
    for check in list(_lost(open_ones)[:MAX_CHECKS]):
        isolation.process_alone(Queue.CHECK, _check(check), partial(run_check, check_id=str(check.pk)))


def _check(check: CredentialCheck) -> isolation.FailureKey:
    return isolation.FailureKey(str(check.pk), check.game_id)


def _expired(found: QuerySet[CredentialCheck]) -> QuerySet[CredentialCheck]:
    """Those of these checks that are pending for too long."""
    now, pending = clock.now(), found.filter(state=CheckState.PENDING).defer("credential")
    # Nothing is sent during a suspicion; its worker may have been killed during the call.
    suspicion = Q(purpose=Purpose.SUSPICION, credential="", created_at__lt=now - MAX_SUSPICION)
    return pending.filter(Q(created_at__lt=now - credential_checks.GIVE_UP_AFTER) | suspicion)


def _lost(found: QuerySet[CredentialCheck]) -> QuerySet[CredentialCheck]:
    """Those of these pending checks whose task is considered lost, the oldest first."""
    waiting = found.filter(state=CheckState.PENDING, created_at__lt=clock.now() - LOST_AFTER)
    return waiting.exclude(credential="").defer("credential").order_by("created_at")


def _give_up(found: QuerySet[CredentialCheck]) -> int:
    ended = {"state": CheckState.UNVERIFIED, "credential": {}, "finished_at": clock.now()}
    return found.filter(state=CheckState.PENDING).update(message=_could_not_verify(), **ended)


def _end(one: QuerySet[CredentialCheck]) -> None:
    """Close or run one check that failed before; do nothing if it is finished."""
    if _expired(one).exists():
        _give_up(one)
    for check in _lost(one):
        run_check(check_id=str(check.pk))


def _could_not_verify() -> Case:
    """The sentence of each check by its purpose, as SQL."""
    ends = credential_checks.UNDECIDED.items()
    return Case(*(When(purpose=purpose, then=Value(COULD_NOT_VERIFY.format(end))) for purpose, end in ends))


def check_suspects() -> None:
    """Check suspected configs without a current check."""
    suspects = PostbackConfig.objects.kept().filter(suspected_at__isnull=False, held_at=None)
    _create_checks(_unchecked(suspects, CHECK_AGAIN_AFTER), Purpose.SUSPICION)


def check_daily() -> None:
    """Check every enabled config once a day, and those on hold once an hour."""
    now = clock.now()
    kept = PostbackConfig.objects.kept().filter(enabled=True, suspected_at=None)
    quiet = kept.filter(held_at=None, validated_at__lt=now - CHECK_EVERY).filter(
        Q(checked_at=None) | Q(checked_at__lt=now - CHECK_EVERY)
    )
    _create_checks(_unchecked(quiet, RECHECK_AFTER), Purpose.DAILY)
    held = _unchecked(kept.filter(held_at__isnull=False), RECHECK_AFTER)
    _create_checks([config for config in held if config.kind.has_credential(config.credential)], Purpose.RELEASE)


def _create_checks(configs: Iterable[PostbackConfig], purpose: Purpose) -> None:
    _each("", configs, partial(credential_checks.create, purpose=purpose))


def _each(step: str, configs: Iterable[PostbackConfig], work: Callable[..., object]) -> None:
    """Do `work` for each config in a transaction of its own; failures are noted as `<step> <id>`."""

    @transaction.atomic
    def work_on(config: PostbackConfig) -> None:
        work(config=config)

    def key_of(config: PostbackConfig) -> isolation.FailureKey:
        return isolation.FailureKey(f"{step} {config.pk}".strip(), config.game_id)

    list(isolation.process_each(Queue.UPKEEP, configs, work_on, row_of=key_of))


def _unchecked(configs: QuerySet[PostbackConfig], pause: timedelta) -> list[PostbackConfig]:
    """Configs without a check that is pending or was created within the pause."""
    about = CredentialCheck.objects.filter(config=OuterRef("pk"))
    recent = about.filter(Q(state=CheckState.PENDING) | Q(created_at__gt=clock.now() - pause))
    # Failed ones must not use up the limit.
    blocked = In(Cast("pk", CharField()), FailedWork.objects.not_due(Queue.UPKEEP).values("row"))
    return list(configs.filter(~Exists(recent), ~Q(blocked)).order_by("checked_at")[:MAX_CHECKS])


def reconcile() -> None:
    """Hold deliveries of held configs, fail those past a deadline, release stranded ones, delete old credentials."""
    plain = PostbackConfig.objects.defer("credential", "previous_credential")
    _each("hold", plain.filter(held_at__isnull=False), hold.hold_waiting)
    _each("expire", plain.filter(held_at__isnull=False), hold.expire)
    stranded = Delivery.objects.filter(config=OuterRef("pk"), state=DeliveryState.HELD)
    _each("release", plain.filter(Exists(stranded), held_at=None), hold.release_stranded)
    _each("forget", plain.filter(previous_until__lt=clock.now()), _delete_previous)


def _delete_previous(*, config: PostbackConfig) -> None:
    """Delete the credential before the last rotation."""
    PostbackConfig.objects.filter(pk=config.pk).update(previous_credential={}, previous_until=None)
