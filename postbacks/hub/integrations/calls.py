"""The chart of a network's calls by hour or day and status, from the rollups (audience/storage/rollups.py)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Sum

from audience.hub.events.counts import column_of
from audience.hub.toolkit.date_range import HOUR, DateRange
from audience.hub.toolkit.range_input import range_parameters
from postbacks.hub.toolkit import charts
from postbacks.models import AttemptCount, AttemptStatus

SERIES = {
    AttemptStatus.SUCCESS: charts.Series(AttemptStatus.SUCCESS.label),
    AttemptStatus.RETRIED: charts.Series(AttemptStatus.RETRIED.label, charts.DOTTED),
    AttemptStatus.FAILED: charts.Series(AttemptStatus.FAILED.label, charts.HATCHED),
}
# A shorter period is shown among the hours around it.
MIN_DRAWN, AROUND = timedelta(hours=4), timedelta(hours=12)


def chart_period(period: DateRange, *, now: datetime) -> DateRange:
    """Return the period of the chart: that of the log, or the 24 hours around it, until now, if it is short.

    Calls are counted by the hour of UTC, so it begins and ends with such an hour.
    """
    since, until = _floor(period.since), _ceiling(period.until)
    if until - since < MIN_DRAWN:
        until = min(since + AROUND, _floor(now) + HOUR)
        since = until - 2 * AROUND
    return replace(period, since=since, until=until)


def chart(configs: Sequence[UUID], period: DateRange, *, log_url: str) -> charts.Chart:
    """Return the chart of a period of `chart_period`. Each column leads to its calls in the log at `log_url`."""
    columns, points = per_column(configs, edges_of(period)), []
    for (start, end), counts in columns.items():
        href = f"{log_url}?{urlencode(range_parameters(start, end, period.zone))}"
        hrefs = [f"{href}&status={status.value}#log" for status in SERIES]
        values = [counts.get(status, 0) for status in SERIES]
        points.append(charts.time_point(period, start, values, href=f"{href}#log", hrefs=hrefs))
    return charts.stacked(points, series=list(SERIES.values()))


def description(drawn: charts.Chart, period: DateRange) -> str:
    """Return the chart as a sentence."""
    totals = ", ".join(f"{total:,} {series.label.lower()}" for series, total in drawn.series)
    return f"Calls to the network per {period.unit.lower()} {period.phrase}: {totals}."


def edges_of(period: DateRange) -> list[datetime]:
    """Return the edges of the columns; of days that begin within an hour of UTC, that hour."""
    return sorted({*(_floor(edge) for edge in period.edges[:-1]), period.until})


def per_column(configs: Sequence[UUID], edges: Sequence[datetime]) -> dict[tuple[datetime, datetime], dict[str, int]]:
    """Return {(start, end): {status: attempts}}, oldest first. Calls without an outcome yet are not counted."""
    found: list[dict[str, int]] = [{} for _ in edges[1:]]
    rows: Any = AttemptCount.objects.filter(config_id__in=configs, starts_at__gte=edges[0], starts_at__lt=edges[-1])
    counts = rows.filter(status__in=SERIES).values_list(column_of(edges), "status")
    for number, status, total in counts.annotate(total=Sum("number")).filter(total__gt=0):
        found[number - 1][status] = total
    return dict(zip(pairwise(edges), found, strict=True))


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _ceiling(moment: datetime) -> datetime:
    return _floor(moment + HOUR - timedelta(microseconds=1))
