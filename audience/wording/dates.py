"""Dates and times as texts: one format for all pages, mails and messages."""

from datetime import UTC, date, datetime


def day(value: date) -> str:
    """Return "Nov 21, 2026"; of a datetime, its day in UTC."""
    value = _utc(value)
    return f"{short_day(value)}, {value.year}"


def short_day(value: date) -> str:
    """Return "Nov 21", for a chart whose year is known."""
    value = _utc(value)
    return f"{value:%b} {value.day}"


def weekday(value: date) -> str:
    """Return "Sat, Nov 21, 2026"."""
    return f"{_utc(value):%a}, {day(value)}"


def moment(value: datetime) -> str:
    """Return "Nov 21, 2026, 14:05 UTC"."""
    return f"{day(value)}, {_utc(value):%H:%M} UTC"


def exact(value: datetime) -> str:
    """Return "Nov 21, 2026, 14:05:09 UTC"."""
    return f"{day(value)}, {_utc(value):%H:%M:%S} UTC"


def _utc(value: date) -> date:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value
