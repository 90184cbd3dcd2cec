"""Reading the moments that clients write."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

# ISO 8601. .NET clients write 7 fractional digits; datetime reads 6.
ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d(?::?\d\d)?)?)?")
# Numbers below this are seconds, from it on milliseconds: 2001 in the one is 5138 in the other.
MILLISECONDS = 100_000_000_000


# The longest text that ISO matches.
LONGEST = 35


def iso(text: str, *, offset_required: bool) -> datetime | None:
    """An aware datetime in UTC; None when it is not ISO 8601. Without an offset it is UTC, where that is allowed."""
    text = text.strip()
    return _iso(text, offset_required) if len(text) <= LONGEST else None


# A batch says the same moment often, and a dialect that first judges and then reads a message asks twice.
@lru_cache(maxsize=4096)
def _iso(text: str, offset_required: bool) -> datetime | None:
    match = ISO.fullmatch(text)
    if match is None or (offset_required and not match[4]):
        return None
    day, clock, fraction, offset = match.groups()
    clock = clock or "00:00"
    seconds = clock if clock.count(":") == 2 else f"{clock}:00"
    try:
        # Year 1 or 9999 with an offset falls off the calendar in UTC: OverflowError.
        written = f"{day}T{seconds}.{(fraction or '0')[:6].ljust(6, '0')}{(offset or 'Z').upper()}"
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def moment(value: Any) -> datetime | None:
    """What the lenient dialects take: ISO 8601 with or without offset, or a Unix time in seconds or milliseconds."""
    if isinstance(value, str):
        return iso(value, offset_required=False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
