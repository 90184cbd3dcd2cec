"""How a network's calls ended, hour by hour: the chart of the integration page.

Hours that are over are counted once and kept in the process while they are shown, since a busy pixel makes a million
attempts a day and the page refreshes itself.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count
from django.db.models.functions import TruncHour

from postbacks.hub import charts
from postbacks.models import AttemptStatus, DeliveryAttempt

HOURS = 24
HOUR = timedelta(hours=1)
# An attempt whose worker died is closed by the next worker within minutes; then its hour stands.
SETTLED = timedelta(minutes=5)
SERIES = {
    AttemptStatus.SUCCESS: charts.Series(AttemptStatus.SUCCESS.label),
    AttemptStatus.RETRIED: charts.Series(AttemptStatus.RETRIED.label, charts.DOTTED),
    AttemptStatus.FAILED: charts.Series(AttemptStatus.FAILED.label, charts.HATCHED),
}
Ended = dict[str, int]  # by status


def chart(configs: Sequence[UUID], *, now: datetime) -> charts.Chart:
    """A column for each of the last 24 hours (UTC), the one that has begun included."""
    hours = per_hour(configs, now=now)
    points = [
        charts.Point(f"{at:%H:%M}", f"{at:%a %-d %b, %H:%M}", [ended.get(status, 0) for status in SERIES])
        for at, ended in hours.items()
    ]
    return charts.stacked(points, series=list(SERIES.values()))


def described(found: charts.Chart) -> str:
    """What the chart shows, as a sentence."""
    said = ", ".join(f"{total:,} {series.label.lower()}" for series, total in found.series)
    return f"Calls to the network per hour in the last 24 hours: {said}."


def per_hour(configs: Sequence[UUID], *, now: datetime) -> dict[datetime, Ended]:
    """What the attempts of each hour ended with, oldest hour first; those still open are not counted."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - back * HOUR for back in reversed(range(HOURS))]
    name = f"attempts-per-hour:{sha256(b''.join(sorted(config.bytes for config in configs))).hexdigest()}"
    kept: dict[datetime, Ended] = cache.get(name, {})
    missing = next((hour for hour in hours if hour not in kept), last)
    counted = _counted(configs, missing)
    found = {hour: kept[hour] if hour < missing else counted.get(hour, {}) for hour in hours}
    cache.set(name, {hour: ended for hour, ended in found.items() if hour + HOUR + SETTLED < now})
    return found


def _counted(configs: Sequence[UUID], since: datetime) -> dict[datetime, Ended]:
    ended = DeliveryAttempt.objects.filter(config__in=configs, status__in=list(SERIES), started_at__gte=since)
    # Count("*") and not of a column: then the index (config, status, -started_at) alone answers.
    rows = ended.order_by().values_list(TruncHour("started_at", tzinfo=UTC), "status").annotate(count=Count("*"))
    found: dict[datetime, Ended] = {}
    for hour, status, count in rows:
        found.setdefault(hour, {})[status] = count
    return found
