"""Dates and times as texts, in the time zone of the page: one format for all pages, mails and messages."""

from datetime import date, datetime, timedelta
from typing import TypeVar

from audience.wording import time_zones

Day = TypeVar("Day", bound=date)


def day(value: date) -> str:
    """Return "Nov 21, 2026"; of a datetime, its day in the time zone of the page."""
    value = local(value)
    return f"{short_day(value)}, {value.year}"


def short_day(value: date) -> str:
    """Return "Nov 21", for a chart whose year is known."""
    value = local(value)
    return f"{value:%b} {value.day}"


def weekday(value: date) -> str:
    """Return "Sat, Nov 21, 2026"."""
    return f"{local(value):%a}, {day(value)}"


def hour(value: datetime) -> str:
    """Return "14:05"."""
    return f"{local(value):%H:%M}"


def moment(value: datetime) -> str:
    """Return "Nov 21, 2026, 14:05 UTC"."""
    return f"{day(value)}, {hour(value)} {zone_label(value)}"


def exact(value: datetime) -> str:
    """Return "Nov 21, 2026, 14:05:09 UTC"."""
    return f"{day(value)}, {local(value):%H:%M:%S} {zone_label(value)}"


def machine(value: datetime) -> str:
    """Return "2026-11-21T14:05:09+00:00", for programs."""
    return local(value).isoformat(timespec="seconds")


def zone_label(value: datetime) -> str:
    """Return the abbreviation of the time zone of the page at a moment, "CET"; "UTC+5:45" where there is none."""
    value = local(value)
    name = f"{value:%Z}"
    if name.isalpha():
        return name
    minutes = int((value.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


def between(start: datetime, end: datetime) -> str:
    """Return "Nov 21, 22:10 – Nov 22, 01:40 CET"; the end without its day if that is the same, with years if not."""
    first, last = local(start), local(end)
    with_year = first.year != last.year
    begin = f"{day(start) if with_year else short_day(start)}, {hour(start)}"
    if zone_label(start) != zone_label(end):
        begin += f" {zone_label(start)}"
    ending = f"{day(end) if with_year else short_day(end)}, " if first.date() != last.date() else ""
    return f"{begin} – {ending}{hour(end)} {zone_label(end)}"


def local(value: Day) -> Day:
    """Return a datetime in the time zone of the page; a date as it is."""
    return value.astimezone(time_zones.current()) if isinstance(value, datetime) and value.tzinfo else value
