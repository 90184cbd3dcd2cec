"""The period of a page: the last hours or days, or the days from and to a date in a time zone, in the URL."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from audience.hub.toolkit.filters import Filter, choice
from postbacks.configs.time_zones import find_zone

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Parameters of a period of days in the URL: the first and the last day, and the IANA name of the time zone.
DAY_PARAMETERS = ("from", "to", "zone")
MAX_DAYS = 92


@dataclass(frozen=True, slots=True)
class Period:
    """The last `count` hours or days (UTC), the current one included."""

    key: str
    label: str
    step: timedelta
    count: int

    def starts(self, now: datetime) -> list[datetime]:
        """Return the start of each hour or day, oldest first."""
        last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        last = last if self.step == HOUR else last.replace(hour=0)
        return [last - offset * self.step for offset in reversed(range(self.count))]

    def bounds(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the start of the first and the end of the last hour or day."""
        starts = self.starts(now)
        return starts[0], starts[-1] + self.step


PERIODS = {
    period.key: period
    for period in (
        Period("24h", "24 hours", HOUR, 24),
        Period("7d", "7 days", DAY, 7),
        Period("30d", "30 days", DAY, 30),
    )
}


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `first` to `last`, both included, in a time zone."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def dates(self) -> list[date]:
        return [self.first + number * DAY for number in range((self.last - self.first).days + 1)]

    @property
    def starts(self) -> list[datetime]:
        """The start of each day, and the end of the last one, in UTC. A day may have 23 or 25 hours."""
        return [midnight(day, self.zone) for day in [*self.dates, self.last + DAY]]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of these days in a URL."""
        values = (self.first.isoformat(), self.last.isoformat(), self.zone.key)
        return dict(zip(DAY_PARAMETERS, values, strict=True))

    @property
    def label(self) -> str:
        """Return `Nov 22 to 28, 2026 (Asia/Tokyo)`."""
        first, last = f"{self.first:%b %-d}", f"{self.last:%b %-d}, {self.last:%Y}"
        if self.first == self.last:
            return f"{last} ({self.zone.key})"
        first = first if self.first.year == self.last.year else f"{first}, {self.first:%Y}"
        return f"{first} to {last} ({self.zone.key})"


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the start of a day in a time zone, in UTC. Where midnight is skipped, the first moment after it."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def last_days(count: int, zone: ZoneInfo, *, now: datetime) -> Days:
    """Return the last `count` days in a time zone, today included."""
    today = now.astimezone(zone).date()
    return Days(today - (count - 1) * DAY, today, zone)


def read_days(request: HttpRequest, *, zone: ZoneInfo | None = None) -> Days | None:
    """Return the days of the URL, in `zone` if it names none; None if they are missing, unreadable or too many."""
    chosen = find_zone(request.GET.get("zone", "")) or zone
    try:
        first, last = (date.fromisoformat(request.GET.get(name, "")) for name in ("from", "to"))
    except ValueError:
        return None
    is_valid = chosen is not None and date(2000, 1, 1) <= first <= last <= date(2100, 1, 1)
    if not is_valid or chosen is None or (last - first).days >= MAX_DAYS:
        return None
    return Days(first, last, chosen)


@dataclass(frozen=True, slots=True)
class ChosenPeriod:
    """The period of a page; `filter` links to the others. `label` completes "the last" if `days` is None."""

    filter: Filter
    label: str
    since: datetime
    until: datetime
    days: Days | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters by which another page shows the same period."""
        return self.days.parameters if self.days else {"range": self.filter.chosen}

    @property
    def title(self) -> str:
        return self.label if self.days else f"the last {self.label}"


def read_period(request: HttpRequest, *, now: datetime, default: str) -> ChosenPeriod:
    """Return the period of the URL; unknown values count as `default`."""
    choices = [(period.key, period.label) for period in PERIODS.values()]
    chosen = choice(request, "range", label="Period", choices=choices, default=default, clears=DAY_PARAMETERS)
    if days := read_days(request):
        options = [replace(option, is_chosen=False) for option in chosen.options]
        starts = days.starts
        return ChosenPeriod(replace(chosen, chosen="", options=options), days.label, starts[0], starts[-1], days)
    period = PERIODS[chosen.chosen]
    return ChosenPeriod(chosen, period.label, *period.bounds(now))
