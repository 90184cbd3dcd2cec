"""Values in the forms that networks share."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from postbacks.networks.interface import contacts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def without_blanks(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without None, blank text, empty lists and empty objects."""
    return {name: value for name, value in fields.items() if not _absent(value)}


def _absent(value: Any) -> bool:
    return value is None or value == [] or value == {} or (isinstance(value, str) and not value.strip())


def text(value: object) -> str | None:
    """`value` as trimmed text; None for blank text."""
    return None if value is None else str(value).strip() or None


def sha256(value: str | None) -> str | None:
    """SHA-256 of normalized text as 64 lower-case hex digits; a value that is a hash already is lower-cased."""
    if not value:
        return None
    if is_hashed(value):
        return value.lower()
    return hashlib.sha256(value.encode()).hexdigest()


def is_hashed(value: str) -> bool:
    return contacts.SHA256_HEX.fullmatch(value.lower()) is not None


def email(value: str | None) -> str | None:
    """A whole address in lower case, with dots and +tags. Networks that remove them have a function of their own."""
    address = contacts.read_email(value or "")
    return address.lower() if address else None


def phone(value: str | None) -> str | None:
    """E.164: `+` and the digits with the country code; None for anything else, and for a national number."""
    return contacts.read_phone(value or "")


def ip(value: str | None) -> str | None:
    """An IPv4 or IPv6 address of the internet as text, None for anything else."""
    return contacts.read_public_address(value or "")


def web_url(value: str | None) -> str | None:
    """An absolute http(s) address, None for anything else (an app's own scheme, a bare path)."""
    url = text(value)
    return url if url and re.match(r"https?://[^/\s]", url, re.IGNORECASE) else None


def number(value: Decimal | None) -> float | None:
    """`value` as a JSON number of at most six decimals (9.99, never 9.990000000000001); None when it is not finite."""
    if value is None or not value.is_finite():
        return None
    rounded = round(float(value), 6)
    return rounded if math.isfinite(rounded) else None


def money(value: Decimal | None, currency: str | None) -> tuple[float, str] | None:
    """(value, ISO 4217 letters); None unless both are usable, since networks count them only as a pair."""
    amount, letters = number(value), (currency or "").strip().upper()
    if amount is None or not re.fullmatch(r"[A-Z]{3}", letters):
        return None
    return amount, letters


def count(value: int | None) -> int | None:
    """A quantity of zero or more, None for anything else."""
    return int(value) if value is not None and value >= 0 else None


def price(value: Decimal | None) -> float | None:
    """A unit price of zero or more, None for anything else."""
    amount = number(value)
    return amount if amount is not None and amount >= 0 else None


def unix_seconds(moment: datetime) -> int:
    """Whole seconds since 1970, always ten digits. ValueError outside 2001 to 2286."""
    return _ranged(_since_epoch(moment) // timedelta(seconds=1), 10**9)


def unix_milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, always thirteen digits. ValueError outside 2001 to 2286."""
    return _ranged(_since_epoch(moment) // timedelta(milliseconds=1), 10**12)


def _since_epoch(moment: datetime) -> timedelta:
    if moment.utcoffset() is None:
        raise ValueError("event_at has no UTC offset")
    return moment - EPOCH


def _ranged(value: int, low: int) -> int:
    if not low <= value < low * 10:
        raise ValueError(f"event_at is outside 2001 to 2286: {value}")
    return value


def json_body(payload: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON. ValueError for NaN and infinity."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
