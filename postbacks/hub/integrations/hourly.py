"""The chart of a network's calls by hour and outcome, from counts (audience/storage/rollups.py)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from postbacks.hub.toolkit import charts
from postbacks.models import AttemptStatus

HOURS = 24
HOUR = timedelta(hours=1)
SERIES = {
    AttemptStatus.SUCCESS: charts.Series(AttemptStatus.SUCCESS.label),
    AttemptStatus.RETRIED: charts.Series(AttemptStatus.RETRIED.label, charts.DOTTED),
    AttemptStatus.FAILED: charts.Series(AttemptStatus.FAILED.label, charts.HATCHED),
}
CountsByStatus = dict[str, int]  # by status
# The hours are those of UTC, whatever the time zone of the session.
PER_HOUR = """
SELECT date_trunc('hour', starts_at, 'UTC'), status, sum(number)
FROM postbacks_attemptcount
WHERE config_id = ANY(%(configs)s) AND starts_at >= %(since)s AND starts_at < %(until)s AND status = ANY(%(statuses)s)
GROUP BY 1, 2 HAVING sum(number) > 0
"""


def chart(configs: Sequence[UUID], *, now: datetime) -> charts.Chart:
    """Return a column for each of the last 24 hours (UTC), the current one included."""
    hours = per_hour(configs, now=now)
    points = [
        charts.Point(f"{at:%H:%M}", f"{at:%a %-d %b, %H:%M}", [counts.get(status, 0) for status in SERIES])
        for at, counts in hours.items()
    ]
    return charts.stacked(points, series=list(SERIES.values()))


def description(found: charts.Chart) -> str:
    """Return the chart as a sentence."""
    totals = ", ".join(f"{total:,} {series.label.lower()}" for series, total in found.series)
    return f"Calls to the network per hour in the last 24 hours: {totals}."


def per_hour(configs: Sequence[UUID], *, now: datetime) -> dict[datetime, CountsByStatus]:
    """Return the outcomes of attempts per hour, oldest first, without open attempts."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - back * HOUR for back in reversed(range(HOURS))]
    params: dict[str, Any] = {
        "configs": list(configs),
        "since": hours[0],
        "until": last + HOUR,
        "statuses": list(SERIES),
    }
    found: dict[datetime, CountsByStatus] = {hour: {} for hour in hours}
    with connection.cursor() as cursor:
        cursor.execute(PER_HOUR, params)
        for hour, status, total in cursor:
            found[hour][status] = total
    return found
