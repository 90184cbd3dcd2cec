"""The chart of a network's calls by hour and status, from the rollups (audience/storage/rollups.py)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import TruncHour

from audience.wording import dates
from postbacks.hub.toolkit import charts
from postbacks.models import AttemptCount, AttemptStatus

HOURS = 24
HOUR = timedelta(hours=1)
SERIES = {
    AttemptStatus.SUCCESS: charts.Series(AttemptStatus.SUCCESS.label),
    AttemptStatus.RETRIED: charts.Series(AttemptStatus.RETRIED.label, charts.DOTTED),
    AttemptStatus.FAILED: charts.Series(AttemptStatus.FAILED.label, charts.HATCHED),
}


def chart(configs: Sequence[UUID], *, now: datetime) -> charts.Chart:
    """Return the chart with a column for each of the last 24 hours (UTC), the current one included."""
    hours = per_hour(configs, now=now)
    points = [
        charts.Point(
            f"{start:%H:%M}", f"{dates.weekday(start)}, {start:%H:%M}", [counts.get(status, 0) for status in SERIES]
        )
        for start, counts in hours.items()
    ]
    return charts.stacked(points, series=list(SERIES.values()))


def description(drawn: charts.Chart) -> str:
    """Return the chart as a sentence."""
    totals = ", ".join(f"{total:,} {series.label.lower()}" for series, total in drawn.series)
    return f"Calls to the network per hour in the last 24 hours: {totals}."


def per_hour(configs: Sequence[UUID], *, now: datetime) -> dict[datetime, dict[str, int]]:
    """Return {start of the hour: {status: attempts}}, oldest first. Calls without an outcome yet are not counted."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - offset * HOUR for offset in reversed(range(HOURS))]
    by_hour: dict[datetime, dict[str, int]] = {hour: {} for hour in hours}
    rows: Any = AttemptCount.objects.filter(config_id__in=configs, starts_at__gte=hours[0], starts_at__lt=last + HOUR)
    counts = rows.filter(status__in=SERIES).values_list(TruncHour("starts_at", tzinfo=UTC), "status")
    for hour, status, total in counts.annotate(total=Sum("number")).filter(total__gt=0):
        by_hour[hour][status] = total
    return by_hour
