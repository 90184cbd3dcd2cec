"""The period of a page: a preset such as the last 7 days or last night, or dates with optional hours, in the URL.

Days begin in the time zone of the page, or in that of the URL. `hub/parts/date_range.html` is its control.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from audience.hub.toolkit.filters import Filter, choice
from audience.hub.toolkit.range_input import (
    RANGE_PARAMETERS,
    EnteredRange,
    RangeError,
    has_range,
    range_parameters,
    read_entered,
    read_zone,
)
from audience.wording import dates, time_zones
from audience.wording.days import DAY, Days, last_days, midnight

HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
MAX_DAYS = 366
# Longer periods are drawn by the day, and still longer ones by the week.
MAX_HOURLY, MAX_DAILY = timedelta(hours=49), timedelta(days=94)
NIGHT_BEGINS, NIGHT_ENDS = time(22), time(6)
ALL, NIGHT, LAST_HOUR = "all", "night", "1h"
# {key in the URL: (label, days)}
DAY_PRESETS = {"7d": ("7 days", 7), "30d": ("30 days", 30), "90d": ("90 days", 90)}
LABELS = {
    LAST_HOUR: "Last hour",
    "24h": "24 hours",
    NIGHT: "Last night",
    **{key: label for key, (label, _) in DAY_PRESETS.items()},
    ALL: "All",
}
PRESETS = ("24h", NIGHT, *DAY_PRESETS)
BEGINNING, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DateRange:
    """[`since`, `until`) of a page. `filter` links to the presets; `error` says what is wrong with the dates of the
    URL, instead of which the default is shown; `kept` are the other parameters of the page, for the form of dates."""

    filter: Filter
    since: datetime
    until: datetime
    zone: ZoneInfo
    entered: EnteredRange | None = None
    error: str = ""
    kept: Sequence[tuple[str, str]] = ()

    @property
    def days(self) -> Days | None:
        """The whole days that were entered; None for a preset or hours."""
        return self.entered.days if self.entered else None

    @property
    def is_all(self) -> bool:
        return not self.entered and self.filter.chosen == ALL

    @property
    def key(self) -> str:
        """The key of the preset, '' for dates."""
        return "" if self.entered else self.filter.chosen

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters by which another page shows the same period."""
        if self.entered:
            return self.entered.parameters
        zone = {} if self.zone == time_zones.current() else {"zone": self.zone.key}
        return {"range": self.filter.chosen, **zone}

    @property
    def query(self) -> str:
        return urlencode(self.parameters)

    @property
    def label(self) -> str:
        """Return `7 days`, `Nov 22 to Nov 28, 2026 (Asia/Tokyo)` or `Nov 28, 22:00 – Nov 29, 06:00 JST`."""
        if self.days:
            return self.days.label
        return dates.between(self.since, self.until) if self.entered else LABELS[self.filter.chosen]

    @property
    def title(self) -> str:
        """Return the label for a sentence: `the last 7 days`, `last night`."""
        if self.entered or self.is_all:
            return self.label if self.entered else "all times"
        label = LABELS[self.filter.chosen].lower()
        return label if self.key == NIGHT else f"the last {label.removeprefix('last ')}"

    @property
    def phrase(self) -> str:
        """Return `in the last 7 days`, `last night`, `on Nov 22, 2026 (Asia/Tokyo)`."""
        if self.key == NIGHT:
            return self.title
        is_one_day = self.days is not None and self.days.first == self.days.last
        return f"{'on' if is_one_day else 'from' if self.entered else 'in'} {self.title}"

    @property
    def step(self) -> timedelta:
        """The width of a column of a chart."""
        length = self.until - self.since
        return HOUR if length <= MAX_HOURLY else DAY if length <= MAX_DAILY else WEEK

    @property
    def unit(self) -> str:
        return {HOUR: "Hour", DAY: "Day", WEEK: "Week"}[self.step]

    @property
    def edges(self) -> list[datetime]:
        """The beginnings of the columns of a chart, and the end of the last one."""
        if self.step == HOUR:
            return [*_steps(self.since, self.until), self.until]
        first = self.since.astimezone(self.zone).date()
        count = (self.until.astimezone(self.zone).date() - first).days + 1
        middle = [midnight(first + number * DAY, self.zone) for number in range(0, count, self.step.days)]
        return [self.since, *(start for start in middle if self.since < start < self.until), self.until]

    @property
    def columns(self) -> list[tuple[datetime, datetime]]:
        return list(pairwise(self.edges))

    @property
    def inputs(self) -> dict[str, str]:
        """The values of the form of dates."""
        if self.is_all:
            return {}
        if self.entered is None and self.key in DAY_PRESETS:
            last = (self.until - HOUR).astimezone(self.zone).date()
            return {"from": self.since.astimezone(self.zone).date().isoformat(), "to": last.isoformat()}
        return self.parameters if self.entered else range_parameters(self.since, self.until, self.zone)


def read_range(
    request: HttpRequest,
    *,
    now: datetime,
    default: str,
    presets: Sequence[str] = PRESETS,
    max_days: int = MAX_DAYS,
    label: str = "Period",
) -> DateRange:
    """Return the period of the URL; unknown presets count as `default`."""
    choices = [(key, LABELS[key]) for key in presets]
    chosen = choice(request, "range", label=label, choices=choices, default=default, clears=RANGE_PARAMETERS)
    zone, entered, error = time_zones.current(), None, ""
    try:
        zone = read_zone(request.GET, zone)
        if has_range(request.GET):
            entered = read_entered(request.GET, zone=zone, now=now, max_days=max_days)
    except RangeError as problem:
        error = str(problem)
    kept = [
        (name, str(value)) for name, value in request.GET.items() if name not in ("range", "before", *RANGE_PARAMETERS)
    ]
    kept += [("zone", zone.key)] if zone != time_zones.current() else []
    if entered:
        chosen = replace(chosen, options=[replace(option, is_chosen=False) for option in chosen.options])
        return DateRange(chosen, entered.since, entered.until, entered.zone, entered, kept=kept)
    since, until = preset_bounds(chosen.chosen, zone, now=now)
    return DateRange(chosen, since, until, zone, error=error, kept=kept)


def preset_bounds(key: str, zone: ZoneInfo, *, now: datetime) -> tuple[datetime, datetime]:
    """Return the bounds of a preset. The last day or hour is the present one, and ends with it."""
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if key == ALL:
        return BEGINNING, END
    if key in DAY_PRESETS:
        starts = last_days(DAY_PRESETS[key][1], zone, now=now).starts
        return starts[0], starts[-1]
    if key == NIGHT:
        today = now.astimezone(zone).date()
        bounds = (datetime.combine(today - DAY, NIGHT_BEGINS, zone), datetime.combine(today, NIGHT_ENDS, zone))
        return bounds[0].astimezone(UTC), bounds[1].astimezone(UTC)
    return (now - HOUR if key == LAST_HOUR else this_hour - 23 * HOUR), this_hour + HOUR


def _steps(since: datetime, until: datetime) -> list[datetime]:
    """Return full hours of UTC within a period, after its beginning: every time zone has quarter hours in common."""
    first = since.replace(minute=0, second=0, microsecond=0) + HOUR
    count = max(0, -(-(until - first) // HOUR))
    return [since, *(first + number * HOUR for number in range(count))]
