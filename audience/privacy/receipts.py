"""Receipts of erasures with their state: a request that failed too often waits until it is retried."""

from django.db import models
from django.db.models import CharField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast, JSONObject

from audience.background import set_aside
from audience.models import Erasure, ErasureState, FailedWork, Queue
from audience.models.failed_work import FailedWorkQuerySet


class ReceiptState(models.TextChoices):
    PENDING = "pending", "Pending"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


def with_failures(rows: QuerySet[Erasure]) -> QuerySet[Erasure]:
    """Return `rows` with the annotation that `state_of` and `problem_of` read."""
    failures = _failures().filter(game=OuterRef("game"), row=Cast(OuterRef("pk"), CharField()))
    failure = JSONObject(error="error", set_aside_at="set_aside_at")
    return rows.annotate(failure=Subquery(failures.values(failure=failure)[:1]))


def in_state(rows: QuerySet[Erasure], state: str) -> QuerySet[Erasure]:
    """Return those rows of `with_failures` that are in a ReceiptState."""
    is_failed = Q(failure__isnull=False) & ~Q(failure__set_aside_at=None)
    if state == ReceiptState.DONE:
        return rows.filter(state=ErasureState.DONE)
    pending = rows.filter(state=ErasureState.PENDING)
    return pending.filter(is_failed) if state == ReceiptState.FAILED else pending.exclude(is_failed)


def state_of(erasure: Erasure) -> ReceiptState:
    """Return the state of an erasure of `with_failures`."""
    if erasure.state == ErasureState.DONE:
        return ReceiptState.DONE
    failure = getattr(erasure, "failure", None)
    return ReceiptState.FAILED if failure and failure["set_aside_at"] else ReceiptState.PENDING


def problem_of(erasure: Erasure) -> str:
    """Return the error of the last attempt of an erasure of `with_failures`; '' without one."""
    failure = getattr(erasure, "failure", None)
    return failure["error"] if failure and erasure.state == ErasureState.PENDING else ""


def retry(*, erasure: Erasure) -> bool:
    """Try a failed erasure again at once; False if it has not failed too often."""
    failed = _failures().filter(game=erasure.game_id, row=str(erasure.pk)).set_aside()
    return set_aside.retry_set_aside(failed) > 0


def _failures() -> FailedWorkQuerySet:
    return FailedWork.objects.of(Queue.ERASURE)
