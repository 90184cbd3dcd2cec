"""The list of server troubles, as opposed to those of one game or postback.

The Overview, `/metrics` and the mails to OPERATORS_EMAIL read it, so that each trouble has one definition. All times
are the database's.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, Count, Exists, Min, OuterRef, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from audience.database import clock
from audience.models import Batch, BatchState, Conversion, FailedWork, Queue
from audience.storage import partitions
from postbacks.monitoring.server import processes
from postbacks.monitoring.server.trouble import Trouble, TroubleKind

# Much longer than the two seconds between sweeps of the beat.
LATE_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCheck:
    """Rows whose presence is a trouble that began at the earliest `since`, a column. `query` filters them in the admin.

    The sentence begins with their number and one of `nouns`, singular or plural: `2,000 requests are ...`.
    """

    rows: Callable[[datetime], QuerySet[Any]]
    since: str
    nouns: tuple[str, str]
    sentence: str
    next_step: str
    query: str


def find_troubles(*, now: datetime | None = None, excluded: Collection[TroubleKind] = ()) -> list[Trouble]:
    """Return all troubles except those of CHECKS in `excluded`. Raises DatabaseError if the database is unavailable."""
    now = now or clock.now()
    return [*processes.find_troubles(now), *_row_troubles(now, excluded), *_partition_troubles(now)]


def _row_troubles(now: datetime, excluded: Collection[TroubleKind]) -> Iterator[Trouble]:
    for kind, check in CHECKS.items():
        if kind in excluded:
            continue
        rows = check.rows(now)
        row = rows.aggregate(count=Count("pk"), since=Min(check.since))
        model = rows.model._meta.model_name
        if row["count"]:
            yield Trouble(
                kind=kind,
                sentence=f"{row['count']:,} {check.nouns[row['count'] > 1]} {check.sentence}",
                next_step=check.next_step,
                href=f"{reverse(f'admin:audience_{model}_changelist')}?{check.query}",
                permission=f"audience.view_{model}",
                **row,
            )


def _partition_troubles(now: datetime) -> Iterator[Trouble]:
    if missing := partitions.missing_partitions((now + timedelta(days=1)).date()):
        yield Trouble(
            kind=TroubleKind.NO_PARTITION_AHEAD,
            sentence=f"There is no partition for tomorrow: {', '.join(missing)}. Nothing is lost, but rows of a day"
            " without one are slower to store and to delete.",
            next_step="Run manage.py partitions --ahead 7, and check that a worker and the beat run: they make"
            " partitions every hour.",
            count=len(missing),
        )


def _undecided(now: datetime) -> QuerySet[Conversion]:
    """Return conversions whose fan-out is late, without those set aside, which have their own check."""
    set_aside = FailedWork.objects.of(Queue.FAN_OUT).set_aside().filter(row=Cast(OuterRef("pk"), CharField()))
    return Conversion.objects.to_fan_out().order_by().filter(~Exists(set_aside), created_at__lte=now - LATE_AFTER)


CHECKS = {
    TroubleKind.DIGEST_BEHIND: RowCheck(
        rows=lambda now: Batch.objects.filter(state=BatchState.PENDING, next_attempt_at__lte=now - LATE_AFTER),
        since="next_attempt_at",
        nouns=("request is", "requests are"),
        sentence="stored and should have been processed over a minute ago.",
        next_step="Check that a worker and the beat run. If they do, processing is slower than intake: give"
        " PostgreSQL and the workers more resources.",
        query="state__exact=pending",
    ),
    # Only a failure postpones a batch.
    TroubleKind.BATCHES_FAILING: RowCheck(
        rows=lambda now: Batch.objects.filter(state=BatchState.PENDING, next_attempt_at__gt=now, attempts__gt=0),
        since="received_at",
        nouns=("request", "requests"),
        sentence="could not be processed yet. Nothing is lost: each request is retried for about 40 minutes"
        " and then set aside.",
        next_step="Read the error of one of them under Batches in the admin site, and the worker's log at the same "
        "time.",
        query="state__exact=pending",
    ),
    TroubleKind.BATCHES_SET_ASIDE: RowCheck(
        rows=lambda now: Batch.objects.filter(state=BatchState.FAILED),
        since="received_at",
        nouns=("request could not be processed and was", "requests could not be processed and were"),
        sentence="set aside. Nothing is lost.",
        next_step="Read the error under Batches in the admin site, fix its cause and process them again.",
        query="state__exact=failed",
    ),
    TroubleKind.CONVERSIONS_UNDECIDED: RowCheck(
        rows=_undecided,
        since="created_at",
        nouns=("conversion has", "conversions have"),
        sentence="waited over a minute to be assigned to postbacks. Nothing is lost, but none of them is sent.",
        next_step="Check that a worker and the beat run, and look for `fan_out` in the worker's log.",
        query="fanned_out_at__isempty=1",
    ),
    TroubleKind.WORK_SET_ASIDE: RowCheck(
        rows=lambda now: FailedWork.objects.set_aside(),
        since="first_failed_at",
        nouns=("row of work was", "rows of work were"),
        sentence="set aside after failing several times. Nothing is lost, but someone has to act.",
        next_step="Read the error under Failed work in the admin site, fix its cause and try again.",
        query="set_aside_at__isempty=0",
    ),
}
