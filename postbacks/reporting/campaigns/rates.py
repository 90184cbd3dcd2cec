"""Exchange rates as people state them: one per line, or as a CSV file with the columns currency and rate."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from audience.digest import money

MAX_RATES, MAX_LINES, MAX_ERRORS = 200, 1_000, 50
MAX_RATE = Decimal(10) ** 11
SAMPLE = "currency,rate\r\nEUR,1.08\r\nJPY,0.0064\r\n"
COLUMNS = "The first line must name the columns: currency,rate"


@dataclass(frozen=True, slots=True)
class StatedRates:
    """`rates`: {currency: worth in the reporting currency}; `errors`: [(line, problem), ...], line 0 for the file."""

    rates: dict[str, Decimal] = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)


def read_lines(text: str, *, currency: str) -> StatedRates:
    """Read lines such as "EUR 1.08". `currency` is the reporting currency."""
    lines = ((number, _parts(line)) for number, line in enumerate(text.splitlines(), 1))
    return _read(((number, parts) for number, parts in lines if parts), currency)


def read_csv(text: str, *, currency: str) -> StatedRates:
    """Read a CSV file with commas, semicolons or tabs. `currency` is the reporting currency."""
    text = text.lstrip("\ufeff").replace("\0", "")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return StatedRates(errors=[(0, "This is not a CSV file.")])
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if "currency" not in names or "rate" not in names:
        return StatedRates(errors=[(1, f"{COLUMNS}.")])
    if len(rows) > MAX_LINES:
        return StatedRates(errors=[(0, f"The file has more than {MAX_LINES:,} lines.")])
    places = names.index("currency"), names.index("rate")
    filled = ((number, row) for number, row in enumerate(rows[1:], 2) if any(cell.strip() for cell in row))
    cells = ((number, [row[place].strip() if place < len(row) else "" for place in places]) for number, row in filled)
    stated = _read(cells, currency)
    return stated if stated.rates or stated.errors else StatedRates(errors=[(0, "The file has no rates.")])


def read_pairs(pairs: Iterable[tuple[str, str]], *, currency: str) -> StatedRates:
    """Read (currency, rate), numbered from 0. `currency` is the reporting currency."""
    return _read(((number, list(pair)) for number, pair in enumerate(pairs)), currency)


def _parts(line: str) -> list[str]:
    """Split "EUR 1.08", "EUR=1.08", "EUR;1,08" or "EUR,1.08"."""
    comma = " " if line.count(",") == 1 and "." in line else "."
    return line.replace("=", " ").replace(";", " ").replace(",", comma).split()


def _read(lines: Iterator[tuple[int, list[str]]], currency: str) -> StatedRates:
    stated = StatedRates()
    found: set[str] = set()
    for number, parts in lines:
        try:
            code, rate = _rate(parts, currency)
            if code in found:
                raise ValueError(f"A second rate for {code}.")
        except ValueError as problem:
            stated.errors.append((number, str(problem)))
            continue
        found.add(code)
        if code != currency:
            stated.rates[code] = rate
    if len(stated.rates) > MAX_RATES:
        stated.errors.append((0, f"At most {MAX_RATES} rates."))
    return stated


def _rate(parts: list[str], currency: str) -> tuple[str, Decimal]:
    """Return the currency and its rate. Raises ValueError with the problem."""
    code = parts[0].upper()
    text = parts[1].replace(",", ".") if len(parts) == 2 and "." not in parts[1] else "".join(parts[1:2])
    try:
        rate = Decimal(text) if len(parts) == 2 else Decimal(0)
    except InvalidOperation:
        rate = Decimal(0)
    if money.digits_of(code) is None:
        raise ValueError(f"{parts[0][:20] or 'The currency'} is not a currency code such as EUR.")
    if not rate.is_finite() or not 0 < rate < MAX_RATE or round(rate, 8) == 0:
        raise ValueError("write a currency and a number, such as EUR 1.08.")
    if code == currency and rate != 1:
        raise ValueError(f"{code} is the reporting currency, so its rate is 1.")
    return code, round(rate, 8)
