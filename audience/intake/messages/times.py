"""Reads the times that clients state, and limits them to the time of receipt.

A client's clock may be wrong: where `sentAt` shows by how much, the difference is subtracted; no event happens after
its receipt; and a time before 2000 or after 2100 is not used.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

# ISO 8601 with its offset, narrower than datetime.fromisoformat. .NET clients write 7 fractional digits.
ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?([Zz]|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII)
EPOCH_TEXT = re.compile(r"-?\d{1,16}(\.\d{1,9})?", re.ASCII)
# RFC 2822, as in HTTP's Date header and JavaScript's toUTCString. Years from 1000: email.utils reads 0001 as 2001.
RFC_2822 = re.compile(r"([A-Za-z]{3},? +)?\d{1,2} +[A-Za-z]{3} +[1-9]\d{3} .*", re.ASCII)
# Smaller Unix times are in seconds, others in milliseconds. As seconds this is the year 5138.
MIN_MILLISECONDS = 100_000_000_000
# The maximum length of a text that is read, and of one that ISO matches.
MAX_TEXT_LENGTH = 64
MAX_ISO_LENGTH = 35

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2101, 1, 1, tzinfo=UTC)
# The range of `Event.day`, both included.
FIRST_DAY = EARLIEST.date()
LAST_DAY = date(2100, 12, 31)
# Synchronized clocks differ by less.
CLOCK_TOLERANCE = timedelta(minutes=1)


class TimeNote(StrEnum):
    """Why the time of an event is not the one that its client stated. Stored in the event's context."""

    UNREADABLE = "unreadable"
    OUT_OF_RANGE = "out_of_range"
    AHEAD = "ahead"


AT_RECEIPT = "so the time of receipt is used as the event time."
TIME_NOTES: dict[str, str] = {
    TimeNote.UNREADABLE: f"The time in the message could not be read, {AT_RECEIPT}",
    TimeNote.OUT_OF_RANGE: f"The time in the message is before 2000 or after 2100, {AT_RECEIPT}",
    TimeNote.AHEAD: f"The time in the message is after its receipt because the client’s clock is ahead, {AT_RECEIPT}",
}


@dataclass(frozen=True, slots=True)
class Timing:
    """When a message happened.

    `event_at` may be after the receipt: the order of a request's messages is read from it before `limit_to_receipt`.
    `day` is the UTC date of the stated time, limited to the years 2000 to 2100 and otherwise unmodified, since a retry
    repeats that time and nothing else; None when no readable time was stated. `note` is '' or a TimeNote.
    """

    event_at: datetime
    day: date | None
    note: str = ""


def parse_iso(text: str, *, offset_required: bool) -> datetime | None:
    """An aware datetime in UTC; None when it is not ISO 8601. Without a required offset it is read as UTC."""
    text = text.strip()
    return _parse_iso(text, offset_required) if len(text) <= MAX_ISO_LENGTH else None


# The messages of a batch often have the same time, and some dialects validate and parse a time separately.
@lru_cache(maxsize=4096)
def _parse_iso(text: str, offset_required: bool) -> datetime | None:
    match = ISO.fullmatch(text)
    if match is None or (offset_required and not match[1]):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        # Year 1 or 9999 with an offset may be out of range in UTC: OverflowError.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def parse_time(value: Any) -> datetime | None:
    """An aware datetime in UTC; None for a value that is not a time.

    Reads ISO 8601 with or without an offset or with a space before it, RFC 2822, and a Unix time in seconds or
    milliseconds as a number or as text.
    """
    if isinstance(value, str):
        text = value.strip()
        return _parse_text(text) if len(text) <= MAX_TEXT_LENGTH else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / 1000 if abs(value) >= MIN_MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _parse_text(text: str) -> datetime | None:
    moment = parse_iso(text, offset_required=False)
    if moment is not None:
        return moment
    if EPOCH_TEXT.fullmatch(text):
        return parse_time(float(text))
    if RFC_2822.fullmatch(text):
        return _parse_rfc_2822(text)
    # Ruby's Time#to_s writes a space before the offset, and UTC as "UTC".
    date_and_time, _, offset = text.rpartition(" ")
    offset = "Z" if offset in {"UTC", "GMT"} else offset
    return parse_iso(date_and_time.rstrip() + offset, offset_required=True) if offset[:1] in set("Zz+-") else None


def _parse_rfc_2822(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        # For "-0000" it returns a naive datetime in UTC.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_blank(value: Any) -> bool:
    """Whether the value is missing, null, or a text of spaces."""
    return value is None or (isinstance(value, str) and not value.strip())


def read_timing(
    stated: Any, *, received_at: datetime, sent_at: datetime | None = None, both_directions: bool = False
) -> Timing:
    """The Timing of a message. `stated` is its time: any JSON value, or a datetime.

    `sent_at` is the client's clock when it sent the message. Its difference to the receipt is subtracted if the clock
    was ahead, and with `both_directions` also if it was behind.
    """
    event_at = stated if isinstance(stated, datetime) else parse_time(stated)
    if event_at is None:
        return Timing(received_at, None, "" if is_blank(stated) else TimeNote.UNREADABLE)
    day = min(max(event_at.date(), FIRST_DAY), LAST_DAY)
    if sent_at is not None and (both_directions or sent_at > received_at):
        event_at = _correct_clock(event_at, sent_at, received_at)
    if event_at < EARLIEST:
        return Timing(received_at, day, TimeNote.OUT_OF_RANGE)
    if event_at >= LATEST:
        return Timing(event_at, day, TimeNote.OUT_OF_RANGE)
    return Timing(event_at, day, TimeNote.AHEAD if event_at - received_at > CLOCK_TOLERANCE else "")


def _correct_clock(stated: datetime, sent_at: datetime, received_at: datetime) -> datetime:
    """The stated time without the error of the clock; unchanged when `sent_at` does not show that error.

    A message is sent after it happened. A `sent_at` before that, or one that would move the time to before 2000, was
    not read from the same clock: it is a default such as DateTime.MinValue or 0.
    """
    if stated - sent_at > CLOCK_TOLERANCE:
        return stated
    try:
        corrected = received_at - (sent_at - stated)
    except OverflowError:
        return stated
    return corrected if corrected >= EARLIEST else stated


def limit_to_receipt(moments: Sequence[datetime], received_at: datetime) -> list[datetime]:
    """The times of a request's messages, in the order of sending, none after the receipt.

    Times at or after the receipt are set a microsecond apart, the last to the receipt, so that their order is kept (the
    digest uses the later of two values: digest/traits.py). They are ordered by time; a message at the receipt itself,
    which has no usable time, follows the message that was sent before it. An earlier time within those last
    microseconds is moved back too.
    """
    if all(moment < received_at for moment in moments):
        return list(moments)
    latest, ordered = received_at, []
    for index, moment in enumerate(moments):
        if moment >= received_at:
            latest = latest if moment == received_at else moment
        ordered.append((latest if moment >= received_at else moment, index))
    result, bound = list(moments), received_at
    for moment, index in sorted(ordered, reverse=True):
        if moment < bound:
            break  # so are all earlier ones
        result[index] = bound
        bound -= timedelta(microseconds=1)
    return result
