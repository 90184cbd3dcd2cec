"""Reads the amount and the currency of an event, once: pages, sums, exports and postbacks use what is read here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from iso4217 import Currency

from audience.ids.values import is_placeholder
from audience.models import ValueProblem

# The properties that hold the amount, the usual name first. Without one it is the price times the quantity.
AMOUNT = ("value", "revenue", "total")
CURRENCY = ("currency", "currencyCode", "currency_code")
# Conversion.value has 14 digits before the point and 6 after it.
MAX_AMOUNT = Decimal(10) ** 14
# Signs of one currency only, and of several.
# fmt: off
SIGNS = {
    "€": "EUR", "£": "GBP", "₩": "KRW", "₽": "RUB", "₴": "UAH", "₺": "TRY", "₹": "INR", "₫": "VND", "₪": "ILS",
    "US$": "USD", "CA$": "CAD", "C$": "CAD", "AU$": "AUD", "A$": "AUD", "NZ$": "NZD", "HK$": "HKD", "R$": "BRL",
    "MX$": "MXN", "S$": "SGD", "SG$": "SGD", "NT$": "TWD",
}
# fmt: on
SHARED_SIGNS = ("$", "¥")
MAX_TEXT = 64
PLAIN = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
MARK = r"[A-Z]{1,3}\$|[A-Z]{3}|[$€£¥₩₽₴₺₹₫₪]"
FORMATTED = re.compile(rf"(-?)({MARK})? ?(-?)([0-9][0-9.,' ]*?) ?({MARK})?", re.IGNORECASE | re.ASCII)
# Number formats of the world's languages, each with its decimal separator.
FORMATS = (
    (re.compile(r"\d{1,3}(,\d{3})+\.\d+|\d{1,3}(,\d{3}){2,}"), "."),
    (re.compile(r"\d{1,2}(,\d{2})+,\d{3}(\.\d+)?"), "."),
    (re.compile(r"\d{1,3}(\.\d{3})+,\d+|\d{1,3}(\.\d{3}){2,}"), ","),
    (re.compile(r"\d{1,3}([ ']\d{3})+(\.\d+)?"), "."),
    (re.compile(r"\d{1,3}( \d{3})+,\d+"), ","),
    # "1,234" matches none: it is a thousand in one country and one in another.
    (re.compile(r"\d+,(\d{1,2}|\d{4,})|0,\d{3}|\d{4,},\d{3}"), ","),
    (re.compile(r"\d+(\.(\d{1,2}|\d{4,}))?|0\.\d{3}|\d{4,}\.\d{3}"), "."),
)


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` has the digits of the `currency` (ISO 4217 letters); None and '' if they cannot be summed or sent.

    `problem` says why an amount that the event states cannot; '' if it can, or if the event states none.
    """

    amount: Decimal | None = None
    currency: str = ""
    problem: str = ""


def read(properties: Any) -> Money:
    """Return the amount and currency of an event's properties, whatever JSON they are."""
    fields = properties if isinstance(properties, Mapping) else {}
    stated = _stated(fields)
    if stated is None:
        return Money()
    amount, mark = stated
    code = _code(fields, mark)
    if amount is not None and amount < 0:
        return Money(problem=ValueProblem.NEGATIVE)
    if amount is None or code is None or amount >= MAX_AMOUNT - 1:
        return Money(problem=ValueProblem.UNREADABLE)
    if not code:
        return Money(problem=ValueProblem.NO_CURRENCY)
    if digits_of(code) is None:
        return Money(problem=ValueProblem.UNKNOWN_CURRENCY)
    rounded = abs(round_to(amount, code))  # -0 is 0
    # Networks decode numbers as 64-bit floats, which would be told another amount: 99999999999998.99 is ….98.
    is_exact = Decimal(repr(float(rounded))) == rounded
    return Money(rounded, code) if is_exact else Money(problem=ValueProblem.UNREADABLE)


def read_price(raw: Any, currency: str) -> Decimal | None:
    """Return the price of an item of an event in that currency, '' if unknown; None if it cannot be sent."""
    stated = read_amount(raw)
    if stated is None or not 0 <= stated[0] < MAX_AMOUNT - 1 or _currency_of(stated[1]) not in ("", currency):
        return None
    return round_to(stated[0], currency)


def digits_of(currency: str) -> int | None:
    """Return the digits after the point of a currency (JPY 0, USD 2, KWD 3); None for letters that are no currency."""
    try:
        exponent: int | None = Currency(currency).exponent
    except ValueError:
        return None
    return exponent


def currencies() -> list[tuple[str, str]]:
    """Return [(code, name), ...] of the currencies that have digits; metals, for example, have none."""
    return sorted((one.code, one.currency_name) for one in Currency if one.exponent is not None)


def round_to(amount: Decimal, currency: str) -> Decimal:
    """Return the amount rounded half to even to the digits of its currency, six for letters that are none."""
    digits = digits_of(currency)
    return amount.quantize(Decimal(1).scaleb(-(6 if digits is None else digits)), ROUND_HALF_EVEN)


def read_amount(raw: Any) -> tuple[Decimal, str] | None:
    """Return (amount, currency sign or letters beside it) of a number or text; None if it is not clearly one amount."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return _decimal(raw if isinstance(raw, int) else repr(raw))
    if not isinstance(raw, str) or len(raw) > MAX_TEXT:
        return None
    text = re.sub(r"\s+", " ", raw.strip()).replace("\u2212", "-").replace("\u2019", "'")
    if text.startswith("(") and text.endswith(")"):
        text = "-" + text[1:-1]  # as accounts write negative amounts
    if PLAIN.fullmatch(text):
        return _decimal(text)
    formatted = FORMATTED.fullmatch(text)
    if formatted is None:
        return None
    sign, before, minus, number, after = formatted.groups("")
    point = next((point for pattern, point in FORMATS if pattern.fullmatch(number)), None)
    if point is None or (sign and minus) or (before and after):
        return None
    digits = "".join("." if char == point else char for char in number if char.isdigit() or char == point)
    return _decimal(sign + minus + digits, before or after)


def _decimal(number: int | str, mark: str = "") -> tuple[Decimal, str] | None:
    amount = Decimal(number)
    return (amount, mark) if amount.is_finite() else None


def _stated(fields: Mapping[str, Any]) -> tuple[Decimal | None, str] | None:
    """Return (amount, mark) of the first usable property; the amount is None if none is; None if nothing is stated."""
    raw_amounts = [fields[name] for name in AMOUNT if not _is_blank(fields.get(name))]
    for raw in raw_amounts:
        if amount := read_amount(raw):
            return amount
    raw_price = fields.get("price")
    if price := read_amount(raw_price):
        quantity = read_amount(1 if _is_blank(fields.get("quantity")) else fields["quantity"])
        if quantity is not None and not quantity[1]:
            return _product(price, quantity[0])
    return (None, "") if raw_amounts or not _is_blank(raw_price) else None


def _product(price: tuple[Decimal, str], quantity: Decimal) -> tuple[Decimal | None, str]:
    """Return price times quantity; negative if either is, since both state a refund."""
    try:
        product = abs(price[0] * quantity)
    except ArithmeticError:
        return None, ""
    return -product if price[0] < 0 or quantity < 0 else product, price[1]


def _code(fields: Mapping[str, Any], mark: str) -> str | None:
    """Return the stated currency in capitals, else that of the mark beside the amount, else ''; None if they differ."""
    stated, beside = _stated_currency(fields), _currency_of(mark)
    if stated and beside and stated != beside:
        return None
    return stated or beside


def _currency_of(mark: str) -> str:
    """Return the letters of a sign, other letters in capitals; '' for none and for signs of several currencies."""
    return "" if mark in SHARED_SIGNS else SIGNS.get(mark.upper(), mark.upper())


def _stated_currency(fields: Mapping[str, Any]) -> str:
    """Return the first stated currency in capitals, '' for none, "?" for one that is not text."""
    for raw in map(fields.get, CURRENCY):
        if isinstance(raw, str) and raw.strip() and not is_placeholder(raw.strip()):
            return _currency_of(raw.strip())
        if raw is not None and not isinstance(raw, str):
            return "?"
    return ""


def _is_blank(raw: Any) -> bool:
    return raw is None or (isinstance(raw, str) and not raw.strip())
