"""Durations in words."""

from datetime import timedelta


def duration(length: timedelta) -> str:
    """Return a duration in its largest unit: `3 hours`, `2 days`, `40 seconds`."""
    seconds = int(length.total_seconds())
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        count = seconds // size
        if count:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "the same second"


def short_duration(length: timedelta) -> str:
    """Return `12 s`, `3 min`, `2 h 5 min`, `4 d`."""
    seconds = max(int(length.total_seconds()), 0)
    minutes, hours = seconds // 60, seconds // 3600
    if hours >= 48:
        return f"{hours // 24} d"
    if hours:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{minutes} min" if minutes else f"{seconds} s"
