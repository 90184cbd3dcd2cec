"""The list of server troubles, as opposed to those of one game or postback.

The Overview, `/metrics` and the mails to OPERATORS_EMAIL read it, so that each trouble has one definition. All times
are the database's.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from django.db.models import CharField, Count, Exists, Min, OuterRef
from django.db.models.functions import Cast
from django.urls import reverse

from audience.database import clock
from audience.models import Batch, BatchState, Conversion, FailedWork, Queue
from audience.storage import partitions
from postbacks.monitoring.server import processes
from postbacks.monitoring.server.trouble import Trouble, TroubleKind

# Many sweeps of the beat.
WAIT = timedelta(minutes=1)


def find_troubles(*, now: datetime | None = None, without: Collection[TroubleKind] = ()) -> list[Trouble]:
    """Return all troubles except the kinds `without`. Raises DatabaseError if the database is unavailable."""
    now = now or clock.now()
    checks = [check for kind, check in CHECKS.items() if kind not in without]
    return [*processes.troubles(now), *(trouble for check in checks if (trouble := check(now)))]


def digest_behind(now: datetime) -> Trouble | None:
    late = Batch.objects.filter(state=BatchState.PENDING, next_attempt_at__lte=now - WAIT)
    row = late.aggregate(count=Count("pk"), since=Min("next_attempt_at"))
    if not row["count"]:
        return None
    requests = _were(row["count"], "request is", "requests are")
    return Trouble(
        kind=TroubleKind.DIGEST_BEHIND,
        sentence=f"{requests} stored, and should have been digested over a minute ago.",
        next_step="Check that a worker and the beat run. If they do, the digest is slower than what comes in: give"
        " PostgreSQL and the workers more of a machine.",
        count=row["count"],
        since=row["since"],
        **_rows("batch", "state__exact=pending"),
    )


def batches_failing(now: datetime) -> Trouble | None:
    """Pending batches that were put off, which only a failure does."""
    failing = Batch.objects.filter(state=BatchState.PENDING, next_attempt_at__gt=now, attempts__gt=0)
    row = failing.aggregate(count=Count("pk"), since=Min("received_at"))
    if not row["count"]:
        return None
    requests = _were(row["count"], "request", "requests")
    return Trouble(
        kind=TroubleKind.BATCHES_FAILING,
        sentence=f"{requests} could not be digested yet. Nothing is lost: each is tried again for about 40 minutes, and"
        " then set aside.",
        next_step="Read the error of one of them under Batches in the admin, and the worker's log at the same moment.",
        count=row["count"],
        since=row["since"],
        **_rows("batch", "state__exact=pending"),
    )


def batches_set_aside(now: datetime) -> Trouble | None:
    row = Batch.objects.filter(state=BatchState.FAILED).aggregate(count=Count("pk"), since=Min("received_at"))
    if not row["count"]:
        return None
    requests = _were(row["count"], "request", "requests")
    return Trouble(
        kind=TroubleKind.BATCHES_SET_ASIDE,
        sentence=f"{requests} could not be digested and {'was' if row['count'] == 1 else 'were'} set aside. Nothing is"
        " lost.",
        next_step="Read the error under Batches in the admin, remove its cause and have them digested again.",
        count=row["count"],
        since=row["since"],
        **_rows("batch", "state__exact=failed"),
    )


def conversions_undecided(now: datetime) -> Trouble | None:
    """Without those set aside, which are a trouble of their own."""
    aside = FailedWork.objects.of(Queue.FAN_OUT).set_aside().filter(row=Cast(OuterRef("pk"), CharField()))
    late = Conversion.objects.to_fan_out().order_by().filter(~Exists(aside), created_at__lte=now - WAIT)
    row = late.aggregate(count=Count("pk"), since=Min("created_at"))
    if not row["count"]:
        return None
    conversions = _were(row["count"], "conversion has", "conversions have")
    return Trouble(
        kind=TroubleKind.CONVERSIONS_UNDECIDED,
        sentence=f"{conversions} waited over a minute to be given to the postbacks. Nothing is lost, but none of"
        " them is sent.",
        next_step="Check that a worker and the beat run, and look for `fan_out` in the worker's log.",
        count=row["count"],
        since=row["since"],
        **_rows("conversion", "fanned_out_at__isempty=1"),
    )


def work_set_aside(now: datetime) -> Trouble | None:
    row = FailedWork.objects.set_aside().aggregate(count=Count("pk"), since=Min("first_failed_at"))
    if not row["count"]:
        return None
    rows = _were(row["count"], "row of work was", "rows of work were")
    return Trouble(
        kind=TroubleKind.WORK_SET_ASIDE,
        sentence=f"{rows} set aside after failing several times. Nothing is lost; they wait for a person.",
        next_step="Read the error under Failed work in the admin, remove its cause and have them tried again.",
        count=row["count"],
        since=row["since"],
        **_rows("failedwork", "set_aside_at__isempty=0"),
    )


def no_partition_ahead(now: datetime) -> Trouble | None:
    missing = partitions.missing_partitions((now + timedelta(days=1)).date())
    if not missing:
        return None
    return Trouble(
        kind=TroubleKind.NO_PARTITION_AHEAD,
        sentence=f"There is no partition for tomorrow: {', '.join(missing)}. Nothing is lost, but rows of a day without"
        " one are slower to store and to delete.",
        next_step="Run manage.py partitions --ahead 7, and check that a worker and the beat run: they make partitions"
        " every hour.",
        count=len(missing),
    )


# Troubles shown by rows; those of processes are in processes.py.
CHECKS: dict[TroubleKind, Callable[[datetime], Trouble | None]] = {
    TroubleKind.DIGEST_BEHIND: digest_behind,
    TroubleKind.BATCHES_FAILING: batches_failing,
    TroubleKind.BATCHES_SET_ASIDE: batches_set_aside,
    TroubleKind.CONVERSIONS_UNDECIDED: conversions_undecided,
    TroubleKind.WORK_SET_ASIDE: work_set_aside,
    TroubleKind.NO_PARTITION_AHEAD: no_partition_ahead,
}


def _were(count: int, one: str, many: str) -> str:
    """Return `1 request was`, `2,000 requests were`."""
    return f"1 {one}" if count == 1 else f"{count:,} {many}"


def _rows(model: str, query: str) -> dict[str, str]:
    """Return the URL of the rows in the admin, and the permission to see them."""
    return {"href": f"{reverse(f'admin:audience_{model}_changelist')}?{query}", "permission": f"audience.view_{model}"}
