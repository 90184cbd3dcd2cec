"""Periodic tasks for credentials: lost checks, suspicions, daily checks, expired credentials; and open attempts.

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
    HELD_BY_USER,
    CheckState,
    CredentialCheck,
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    PostbackConfig,
    Purpose,
)
from postbacks.networks import NETWORKS

LOST_AFTER = timedelta(seconds=15)  # a pending check of this age is considered lost
MAX_CHECKS = 20  # run, or created of one kind, in one sweep
MAX_SUSPICION = timedelta(minutes=1)
COULD_NOT_VERIFY = "The credential could not be verified in time: {}"
# While the network cannot be reached, a suspicion is neither confirmed nor cleared: check again after this pause.
CHECK_AGAIN_AFTER = timedelta(seconds=30)
CHECK_EVERY = timedelta(hours=24)
# The network may have restored a permission of a config on hold.
RECHECK_AFTER = timedelta(hours=1)


def sweep() -> None:
    """Run all steps once; a beat task. Safe to run concurrently."""
    steps = (run_lost_checks, check_suspects, check_daily, reconcile, close_attempts_of_finished_deliveries)
    results = isolation.process_each(
        Queue.UPKEEP, steps, lambda step: step(), failure_key=lambda step: isolation.FailureKey(step.__name__, None)
    )
    list(results)


def close_attempts_of_finished_deliveries() -> None:
    """Close the attempts of killed workers whose delivery an erasure canceled meanwhile."""
    attempts = list(DeliveryAttempt.objects.of_finished_deliveries().values_list("pk", flat=True))
    DeliveryAttempt.objects.filter(pk__in=attempts).close_abandoned()


def run_lost_checks() -> None:
    """Run the checks whose task was lost, and close those older than five minutes.

    A check with a test code is closed without a call: only the task had the code.
    """
    isolation.retry(Queue.CHECK, lambda failure: _close_or_run(CredentialCheck.objects.filter(pk=failure.row)))
    checks = CredentialCheck.objects.filter(not_failed(Queue.CHECK))
    expired = list(_expired(checks))
    isolation.process_together(
        Queue.CHECK,
        expired,
        lambda part: _close(checks.filter(pk__in=[check.pk for check in part])),
        failure_key=_failure_key,
    )
    for check in list(_lost(checks)[:MAX_CHECKS]):
        isolation.process_alone(Queue.CHECK, _failure_key(check), partial(run_check, check_id=str(check.pk)))


def _failure_key(check: CredentialCheck) -> isolation.FailureKey:
    return isolation.FailureKey(str(check.pk), check.game_id)


def _expired(checks: QuerySet[CredentialCheck]) -> QuerySet[CredentialCheck]:
    """The checks that are pending for too long."""
    now, pending = clock.now(), checks.filter(state=CheckState.PENDING).defer("credential")
    # A suspicion stops sending, so its check expires sooner if a worker took the credential and may have been killed.
    suspicion = Q(purpose=Purpose.SUSPICION, credential="", created_at__lt=now - MAX_SUSPICION)
    return pending.filter(Q(created_at__lt=now - credential_checks.MAX_PENDING) | suspicion)


def _lost(checks: QuerySet[CredentialCheck]) -> QuerySet[CredentialCheck]:
    """The pending checks whose task is considered lost, oldest first."""
    waiting = checks.filter(state=CheckState.PENDING, created_at__lt=clock.now() - LOST_AFTER)
    return waiting.exclude(credential="").defer("credential").order_by("created_at")


def _close(checks: QuerySet[CredentialCheck]) -> int:
    result = {"state": CheckState.UNVERIFIED, "credential": {}, "finished_at": clock.now()}
    return checks.filter(state=CheckState.PENDING).update(message=_could_not_verify(), **result)


def _close_or_run(checks: QuerySet[CredentialCheck]) -> None:
    """Close or run the check, which failed before; do nothing if it is finished."""
    if _expired(checks).exists():
        _close(checks)
    for check in _lost(checks):
        run_check(check_id=str(check.pk))


def _could_not_verify() -> Case:
    """The message of each check by its purpose, as SQL."""
    texts = credential_checks.NO_RESULT_TEXTS.items()
    return Case(*(When(purpose=purpose, then=Value(COULD_NOT_VERIFY.format(text))) for purpose, text in texts))


def check_suspects() -> None:
    """Check suspected configs without a current check."""
    suspects = PostbackConfig.objects.kept().filter(suspected_at__isnull=False, held_at=None)
    _create_checks(_unchecked(suspects, CHECK_AGAIN_AFTER), Purpose.SUSPICION)


def check_daily() -> None:
    """Check every enabled config once a day, unless its network shows each check, and those on hold once an hour.

    Not those that a user put on hold: no check releases them.
    """
    now = clock.now()
    configs = PostbackConfig.objects.kept().filter(enabled=True, suspected_at=None)
    checked_daily = configs.filter(network__in=[kind for kind, network in NETWORKS.items() if network.daily_check])
    due = checked_daily.filter(held_at=None, validated_at__lt=now - CHECK_EVERY).filter(
        Q(checked_at=None) | Q(checked_at__lt=now - CHECK_EVERY)
    )
    _create_checks(_unchecked(due, RECHECK_AFTER), Purpose.DAILY)
    held = _unchecked(configs.filter(held_at__isnull=False).exclude(held_for=HELD_BY_USER), RECHECK_AFTER)
    _create_checks([config for config in held if config.kind.has_credential(config.credential)], Purpose.RELEASE)


def _create_checks(configs: Iterable[PostbackConfig], purpose: Purpose) -> None:
    _for_each("", configs, partial(credential_checks.create, purpose=purpose))


def _for_each(step: str, configs: Iterable[PostbackConfig], work: Callable[..., object]) -> None:
    """Call `work` for each config in a separate transaction; failures are recorded as `<step> <id>`."""

    @transaction.atomic
    def work_on(config: PostbackConfig) -> None:
        work(config=config)

    def failure_key(config: PostbackConfig) -> isolation.FailureKey:
        return isolation.FailureKey(f"{step} {config.pk}".strip(), config.game_id)

    list(isolation.process_each(Queue.UPKEEP, configs, work_on, failure_key=failure_key))


def _unchecked(configs: QuerySet[PostbackConfig], pause: timedelta) -> list[PostbackConfig]:
    """Configs without a check that is pending or was created within the pause."""
    checks = CredentialCheck.objects.filter(config=OuterRef("pk"))
    recent = checks.filter(Q(state=CheckState.PENDING) | Q(created_at__gt=clock.now() - pause))
    # Configs that failed must not use up the limit.
    blocked = In(Cast("pk", CharField()), FailedWork.objects.not_due(Queue.UPKEEP).values("row"))
    return list(configs.filter(~Exists(recent), ~Q(blocked)).order_by("checked_at")[:MAX_CHECKS])


def reconcile() -> None:
    """Hold deliveries of held configs, fail those past a deadline, release wrongly held, delete old credentials."""
    plain = PostbackConfig.objects.defer("credential", "previous_credential")
    _for_each("hold", plain.filter(held_at__isnull=False), hold.hold_waiting)
    _for_each("expire", plain.filter(held_at__isnull=False), hold.expire)
    held = Delivery.objects.filter(config=OuterRef("pk"), state=DeliveryState.HELD)
    _for_each("release", plain.filter(Exists(held), held_at=None), hold.release_wrongly_held)
    _for_each("forget", plain.filter(previous_until__lt=clock.now()), _delete_previous)


def _delete_previous(*, config: PostbackConfig) -> None:
    """Delete the credential before the last rotation."""
    PostbackConfig.objects.filter(pk=config.pk).update(previous_credential={}, previous_until=None)
