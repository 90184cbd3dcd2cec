"""Reading the moments that clients write, and bounding them by the moment of receipt.

A client's clock is believed as far as it can be true: where `sentAt` shows how far it is off, the difference is taken
off; nothing happens after it was received; and no clock of a player shows a time before 2000 or after 2100.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

# ISO 8601. .NET clients write 7 fractional digits; datetime reads 6.
ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
EPOCH_TEXT = re.compile(r"-?\d{1,16}(\.\d{1,9})?", re.ASCII)
# RFC 2822 begins with a day of the week or of the month and names the month in letters: HTTP's Date, Date#toUTCString.
# Four digits of a year from 1000 on: email.utils takes 0001 for 2001.
RFC_2822 = re.compile(r"([A-Za-z]{3},? +)?\d{1,2} +[A-Za-z]{3} +[1-9]\d{3} .*", re.ASCII)
# Numbers below this are seconds, from it on milliseconds: 2001 in the one is 5138 in the other.
MILLISECONDS = 100_000_000_000
# The longest text that is read, and the longest that ISO matches.
MAX_LENGTH = 64
MAX_ISO_LENGTH = 35

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2101, 1, 1, tzinfo=UTC)
# `Event.day` lies between these, both included.
FIRST_DAY = EARLIEST.date()
LAST_DAY = date(2100, 12, 31)
# Clocks that are set by the network differ by less.
TOLERANCE = timedelta(minutes=1)


class TimeNote(StrEnum):
    """Why an event does not have the time that its sender stated. Stored in the context of the event (rows.py)."""

    UNREADABLE = "unreadable"
    OUT_OF_RANGE = "out_of_range"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Timing:
    """When a message happened.

    `event_at` may still lie after the receipt, as the order of a request's messages is read from it: `bounded` is for
    all of a request. `day` is the UTC date of the stated time, unmodified but for the years 2000 to 2100, since a retry
    repeats that time and nothing else; None when no readable time was stated. `note` is '' or a TimeNote.
    """

    event_at: datetime
    day: date | None
    note: str = ""


def iso(text: str, *, offset_required: bool) -> datetime | None:
    """An aware datetime in UTC; None when it is not ISO 8601. Without an offset it is UTC, where that is allowed."""
    text = text.strip()
    return _iso(text, offset_required) if len(text) <= MAX_ISO_LENGTH else None


# A batch states the same moment often, and a dialect that first judges and then reads a message asks twice.
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
    """What the lenient dialects take, as an aware datetime in UTC; None for anything else.

    ISO 8601 with or without an offset or with a space before it, RFC 2822, and a Unix time in seconds or milliseconds
    as a number or as text.
    """
    if isinstance(value, str):
        text = value.strip()
        return _moment_of_text(text) if len(text) <= MAX_LENGTH else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _moment_of_text(text: str) -> datetime | None:
    found = iso(text, offset_required=False)
    if found is not None:
        return found
    if EPOCH_TEXT.fullmatch(text):
        return moment(float(text))
    if RFC_2822.fullmatch(text):
        return _rfc_2822(text)
    # Ruby's Time#to_s writes a space before the offset, and UTC by its name.
    clock, _, offset = text.rpartition(" ")
    offset = "Z" if offset in {"UTC", "GMT"} else offset
    return iso(clock.rstrip() + offset, offset_required=True) if offset[:1] in set("Zz+-") else None


def _rfc_2822(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        # "-0000" is UTC of an unknown zone, which comes without one.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_stated(value: Any) -> bool:
    """Whether a sender stated a time at all: absent, null and blank are none."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def timed(
    stated: Any, *, received_at: datetime, sent_at: datetime | None = None, both_directions: bool = False
) -> Timing:
    """When a message happened whose sender stated this time, which may be any JSON value or a datetime already read.

    `sent_at` is the sender's clock when it sent the message. A difference to the receipt is taken off where the clock
    was ahead, and with `both_directions` also where it was behind.
    """
    found = stated if isinstance(stated, datetime) else moment(stated)
    if found is None:
        return Timing(received_at, None, TimeNote.UNREADABLE if is_stated(stated) else "")
    day = min(max(found.date(), FIRST_DAY), LAST_DAY)
    event_at = found
    if sent_at is not None and (both_directions or sent_at > received_at):
        event_at = _corrected(found, sent_at, received_at)
    if event_at < EARLIEST:
        return Timing(received_at, day, TimeNote.OUT_OF_RANGE)
    if event_at >= LATEST:
        return Timing(event_at, day, TimeNote.OUT_OF_RANGE)
    return Timing(event_at, day, TimeNote.AHEAD if event_at - received_at > TOLERANCE else "")


def _corrected(stated: datetime, sent_at: datetime, received_at: datetime) -> datetime:
    """The stated time with the clock's error taken off, or as it is where `sent_at` does not show that error.

    A message is sent after it happened. A `sent_at` that says otherwise, or that moves it to before 2000, was not read
    from the clock that stated the time: DateTime.MinValue, 0.
    """
    if stated - sent_at > TOLERANCE:
        return stated
    try:
        corrected = received_at - (sent_at - stated)
    except OverflowError:
        return stated
    return corrected if corrected >= EARLIEST else stated


def bounded(moments: Sequence[datetime], received_at: datetime) -> list[datetime]:
    """The times of a request's messages, in the order of sending, none after the receipt.

    Those at or after the receipt lie a microsecond apart, the last of them at the receipt: in the order of their times,
    and a message at the receipt itself, which stated no usable time, behind the one that was sent before it. Of two
    values at one moment nothing else could tell which came later (digest/traits.py). One that lies in those last
    microseconds makes room.
    """
    if all(at < received_at for at in moments):
        return list(moments)
    latest, ordered = received_at, []
    for place, at in enumerate(moments):
        if at >= received_at:
            latest = latest if at == received_at else at
        ordered.append((latest if at >= received_at else at, place))
    result, bound = list(moments), received_at
    for at, place in sorted(ordered, reverse=True):
        if at < bound:
            break  # and so are all before it
        result[place] = bound
        bound -= timedelta(microseconds=1)
    return result
