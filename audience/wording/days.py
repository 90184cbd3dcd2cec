"""Days: whole days in a time zone, and the moments at which they begin."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from audience.wording.dates import day as written

DAY = timedelta(days=1)


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
        return {"from": self.first.isoformat(), "to": self.last.isoformat(), "zone": self.zone.key}

    @property
    def label(self) -> str:
        """Return `Nov 22 to Nov 28, 2026 (Asia/Tokyo)`."""
        if self.first == self.last:
            return f"{written(self.last)} ({self.zone.key})"
        first = written(self.first)
        first = first.rpartition(",")[0] if self.first.year == self.last.year else first
        return f"{first} to {written(self.last)} ({self.zone.key})"


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the start of a day in a time zone, in UTC. Where midnight is skipped, the first moment after it."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def last_days(count: int, zone: ZoneInfo, *, now: datetime) -> Days:
    """Return the last `count` days in a time zone, today included."""
    today = now.astimezone(zone).date()
    return Days(today - (count - 1) * DAY, today, zone)
