"""Reads the dates of a period from a URL: `?from=2026-11-28&from_time=22:00&to=2026-11-29&to_time=06:00&zone=UTC`.

Times and the time zone are optional: without times the period has whole days, without a zone it is in that of the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from audience.wording.days import DAY, Days, midnight
from audience.wording.time_zones import find_zone

RANGE_PARAMETERS = ("from", "from_time", "to", "to_time", "zone")
# Counts are kept by the quarter hour (audience/storage/rollups.py).
QUARTER = timedelta(minutes=15)
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 1, 1)


class RangeError(ValueError):
    """What is wrong with the dates of a URL, as a sentence for its user."""


@dataclass(frozen=True, slots=True)
class EnteredRange:
    """[`since`, `until`) in UTC; `days` if it consists of whole days."""

    since: datetime
    until: datetime
    zone: ZoneInfo
    days: Days | None = None

    @property
    def parameters(self) -> dict[str, str]:
        return self.days.parameters if self.days else range_parameters(self.since, self.until, self.zone)


def has_range(query: Mapping[str, str]) -> bool:
    return bool(query.get("from") or query.get("to"))


def read_zone(query: Mapping[str, str], default: ZoneInfo) -> ZoneInfo:
    """Return the time zone of the URL, else `default`. Raises RangeError for an unknown one."""
    name = query.get("zone", "").strip()
    zone = find_zone(name) if name else default
    if zone is None:
        raise RangeError(f"“{name[:64]}” is not a time zone. Use a name such as Europe/Berlin.")
    return zone


def read_entered(query: Mapping[str, str], *, zone: ZoneInfo, now: datetime, max_days: int) -> EnteredRange:
    """Return the period of the URL; its last day is today, and its first one the last, unless it has them. Raises
    RangeError.

    Times are rounded to quarter hours, so that no moment between them is lost.
    """
    zone = read_zone(query, zone)
    last = _date(query.get("to", "")) or now.astimezone(zone).date()
    first = _date(query.get("from", "")) or last
    if not (first >= FIRST_DAY and last <= LAST_DAY):
        raise RangeError("Enter days from 2000 to 2100.")
    begins, ends = _time(query.get("from_time", "")), _time(query.get("to_time", ""))
    if first > last:
        raise RangeError("The first day is after the last day.")
    if (last - first).days >= max_days:
        raise RangeError(f"A report covers at most {max_days} days.")
    if begins is None and ends is None:
        days = Days(first, last, zone)
        return EnteredRange(midnight(first, zone), midnight(last + DAY, zone), zone, days)
    since = _floor(datetime.combine(first, begins or time.min, zone).astimezone(UTC))
    until = midnight(last + DAY, zone) if ends is None else datetime.combine(last, ends, zone).astimezone(UTC)
    until = _floor(until + QUARTER - timedelta(microseconds=1))
    if since >= until:
        raise RangeError("The end is not after the beginning.")
    return EnteredRange(since, until, zone)


def range_parameters(since: datetime, until: datetime, zone: ZoneInfo) -> dict[str, str]:
    """Return the parameters of [since, until) in a URL; in UTC where the hour is one of two of that name."""
    if not all(_is_unique(moment, zone) for moment in (since, until)):
        zone = ZoneInfo("UTC")
    first, last = since.astimezone(zone), until.astimezone(zone)
    return {
        "from": f"{first:%Y-%m-%d}",
        "from_time": f"{first:%H:%M}",
        "to": f"{last:%Y-%m-%d}",
        "to_time": f"{last:%H:%M}",
        "zone": zone.key,
    }


def _is_unique(moment: datetime, zone: ZoneInfo) -> bool:
    written = moment.astimezone(zone)
    return written.replace(fold=0).astimezone(UTC) == written.replace(fold=1).astimezone(UTC) == moment


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=moment.minute - moment.minute % 15, second=0, microsecond=0)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if text.strip() else None
    except ValueError as error:
        raise RangeError("Enter both dates as year, month and day, such as 2026-11-01.") from error


def _time(text: str) -> time | None:
    try:
        entered = time.fromisoformat(text.strip()) if text.strip() else None
    except ValueError as error:
        raise RangeError("Enter times as hours and minutes, such as 22:00.") from error
    if entered is not None and entered.tzinfo is not None:
        raise RangeError("Enter times as hours and minutes, such as 22:00.")
    return entered
