"""Reads the cells of a file of costs, as ad networks and spreadsheets write them. Each function raises ValueError with
the problem, for the member who uploads the file."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal

from audience.digest import click_ids, money
from postbacks.networks import NETWORKS
from postbacks.reporting.labels import CLICK_LABELS

# Networks of clicks. Those of a custom postback are of the network "other".
COST_NETWORKS = {kind: label for kind, label in CLICK_LABELS.items() if kind not in ("", "custom")}
MAX_SPEND = Decimal(10) ** 13
MAX_COUNT = 10**15
MAX_QUOTED = 60
ISO_DAY = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ].*)?")
# With the day or the month first.
SHORT_DAY = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4}|\d{2})(?: .*)?")
DAY_FORMATS = ("%d.%m.%Y", "%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
EXCEL_NUMBER = re.compile(r"[34567]\d{4}(\.\d+)?")
# A separator that does not part thousands.
DECIMAL_SIGN = re.compile(r"([.,])(?:\d{1,2}|\d{4,})\D*$")
THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")
TOTALS = re.compile(r"(grand )?totals?\b|gesamt|summe\b", re.IGNORECASE)
# A count with thousands separators.
GROUPED = re.compile(r"\d{1,3}(?:[\s,.'’]\d{3})+")
NO_NUMBER = {"", "-", "–", "--"}


def quoted(text: str) -> str:
    """Return a cell as problems quote it."""
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def is_total(day: str, cells: Iterable[str]) -> bool:
    """Whether a line has the sum of others: no day, but the word "total"."""
    return (day in NO_NUMBER or TOTALS.match(day) is not None) and any(TOTALS.match(cell.strip()) for cell in cells)


def is_day_first(days: Iterable[str]) -> bool | None:
    """Return whether a file writes 1/11/2026 for the first of November; None if its days do not say it."""
    found = [match for text in days if (match := SHORT_DAY.fullmatch(text.strip()))]
    has_day_first, has_month_first = (any(int(match[part]) > 12 for match in found) for part in (1, 2))
    return None if has_day_first == has_month_first else has_day_first


def read_day(text: str, day_first: bool | None) -> date:
    """`day_first`: see is_day_first."""
    day = _iso_day(text) or _short_day(text, day_first) or _other_day(text)
    if day is not None and 2000 <= day.year <= 2100:
        return day
    if EXCEL_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is a spreadsheet’s number for a date. Format the column as a date.")
    raise ValueError(f"{quoted(text) or 'The date'} is not a date such as 2026-11-01.")


def _iso_day(text: str) -> date | None:
    match = ISO_DAY.fullmatch(text) or re.fullmatch(r"(\d{4})(\d\d)(\d\d)", text)
    return _date(*match.groups()) if match else None


def _short_day(text: str, day_first: bool | None) -> date | None:
    match = SHORT_DAY.fullmatch(text)
    if match is None:
        return None
    first, second, year = match.groups()
    if day_first is None and first != second:
        raise ValueError(f"{text} can mean two dates. Write it as 2026-11-01.")
    return _date(f"20{year[-2:]}" if len(year) == 2 else year, *((second, first) if day_first else (first, second)))


def _other_day(text: str) -> date | None:
    for form in DAY_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def read_network(text: str) -> str:
    """Return the network by its name in links or pages: "tiktok", "TikTok Ads"."""
    wanted = text.casefold().removesuffix(" ads").strip()
    sources = {source: kind for kind, network in NETWORKS.items() for source in network.utm_sources}
    names = {**click_ids.PAID_SOURCES, **sources}
    for kind, label in COST_NETWORKS.items():
        if wanted and (names.get(wanted) == kind or wanted in {kind, label.casefold().removesuffix(" ads")}):
            return kind
    known = ", ".join(sorted(COST_NETWORKS))
    raise ValueError(f"{quoted(text) or 'The network'} is not a network. Use one of {known}.")


def read_currency(text: str) -> str:
    code = text.upper()
    if money.digits_of(code) is None:
        raise ValueError(f"{quoted(code) or 'The currency'} is not a currency code such as USD.")
    return code


def decimal_sign(amounts: Iterable[str]) -> str:
    """Return the decimal separator of a file's amounts: "." or ","; "" if they do not say it, or differ."""
    signs = {match[1] for text in amounts if (match := DECIMAL_SIGN.search(text))}
    return signs.pop() if len(signs) == 1 else ""


def read_spend(text: str, currency: str, sign: str) -> Decimal:
    """`sign`: see decimal_sign."""
    if not sign and THOUSANDS.fullmatch(text):
        raise ValueError(f"{text} can mean two amounts. Write it without a thousands separator.")
    stated = money.read_amount(_with_point(text, sign))
    if stated is None:
        raise ValueError(f"{quoted(text) or 'The spend'} is not an amount such as 120.50.")
    spend, mark = stated
    if spend < 0 or spend > MAX_SPEND:
        raise ValueError(
            f"{quoted(text)} is {'negative' if spend < 0 else 'too large'}, so it cannot be the cost of a day."
        )
    beside = money.SIGNS.get(mark.upper(), mark.upper())
    if mark and mark not in money.SHARED_SIGNS and beside != currency:
        raise ValueError(f"{quoted(text)} is not in {currency}.")
    return round(spend, 6)


def _with_point(text: str, sign: str) -> str:
    """Return the amount with a decimal point, if it has one kind of separator and `sign` says which."""
    other = "." if sign == "," else ","
    if not sign or (sign in text and other in text):
        return text
    return text.replace(other, "").replace(sign, ".")


def read_count(text: str, name: str) -> int | None:
    """Return a number of clicks or impressions; None without one."""
    if text in NO_NUMBER:
        return None
    whole = text.removesuffix(".0")
    digits = re.sub(r"\D", "", whole) if GROUPED.fullmatch(whole) else whole
    if not (digits.isascii() and digits.isdigit()) or int(digits[:20]) > MAX_COUNT:
        raise ValueError(f"{quoted(text)} is not a number of {name}.")
    return int(digits)
