"""Reads a CSV file of what campaigns cost, as ad networks export it or a person writes it."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from audience.digest import money
from audience.models import Game
from postbacks.models import AdCost
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.networks import NETWORKS

REQUIRED = ("date", "network", "campaign", "spend", "currency")
OPTIONAL = ("clicks", "impressions")
COLUMNS = (*REQUIRED, *OPTIONAL)
# How exports of ad networks and spreadsheets name the columns, in lower case.
ALIASES = {
    "date": ("date", "day", "stat_time_day", "by day", "reporting starts", "start date"),
    "network": ("network", "source", "platform", "media source", "channel", "publisher"),
    "campaign": ("campaign", "campaign name", "campaign_name", "utm_campaign"),
    "spend": ("spend", "cost", "amount spent", "total cost", "amount"),
    "currency": ("currency", "currency code", "currency_code", "account currency"),
    "clicks": ("clicks", "link clicks", "clicks (destination)", "clicks (all)"),
    "impressions": ("impressions", "impr.", "imps"),
}
MAX_ROWS, MAX_ERRORS = 20_000, 50
DAY_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S")
MAX_SPEND = Decimal(10) ** 13
MAX_COUNT = 10**15
SAMPLE = (
    "date,network,campaign,spend,currency,clicks,impressions\r\n"
    "2026-11-01,tiktok,autumn,120.50,USD,310,20400\r\n2026-11-01,reddit,autumn,80,USD,,\r\n"
)

Mapped = Mapping[str, int]


class CostsRefused(Exception):
    """The file cannot be read at all; the text says why."""


@dataclass(frozen=True, slots=True)
class CostFile:
    """`header` are the names of the columns, `lines` the others with the number of their line in the file."""

    header: list[str]
    lines: list[tuple[int, list[str]]]


@dataclass(frozen=True, slots=True)
class ReadCosts:
    """The rows of a file, and (line, problem) of the lines that cannot be read."""

    rows: list[AdCost]
    errors: list[tuple[int, str]]


def read_file(text: str) -> CostFile:
    """Read a CSV file with commas, semicolons or tabs. Raises CostsRefused."""
    first = text.lstrip("\ufeff").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=delimiter))
    except csv.Error as error:
        raise CostsRefused("This is not a CSV file.") from error
    lines = [(number, row) for number, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    if len(lines) < 2:
        raise CostsRefused("The file needs a line with the names of the columns, and a line per day and campaign.")
    if len(lines) > MAX_ROWS + 1:
        raise CostsRefused(f"The file has more than {MAX_ROWS:,} lines. Split it, by month for example.")
    return CostFile([cell.strip() for cell in lines[0][1]], lines[1:])


def guess_columns(header: Sequence[str]) -> dict[str, int]:
    """Return {column: its position in the file} of the columns that are found by their names."""
    names = [name.lower() for name in header]
    found = {
        column: next((names.index(alias) for alias in ALIASES[column] if alias in names), -1) for column in COLUMNS
    }
    return {column: position for column, position in found.items() if position >= 0}


def read_rows(game: Game, file: CostFile, mapped: Mapped, *, defaults: Mapping[str, str]) -> ReadCosts:
    """Read the lines. `defaults`: the network and currency of files that have no such column."""
    rows: dict[tuple[date, str, str], AdCost] = {}
    errors: list[tuple[int, str]] = []
    for number, cells in file.lines:
        stated = {column: cells[place].strip() if place < len(cells) else "" for column, place in mapped.items()}
        try:
            row = _row(game, {**defaults, **stated})
        except ValueError as problem:
            errors.append((number, str(problem)))
            continue
        key = (row.day, row.network, row.campaign)
        if key in rows:
            errors.append((number, f"A second line for {row.campaign} on {row.day}."))
        rows[key] = row
    return ReadCosts(list(rows.values()), errors)


def _row(game: Game, stated: Mapping[str, str]) -> AdCost:
    """Return the row of a line. Raises ValueError with the problem."""
    campaign = stated.get("campaign", "")
    if not campaign or len(campaign) > MAX_NAME_LENGTH:
        raise ValueError("The campaign is missing." if not campaign else "The campaign’s name is too long.")
    currency = stated.get("currency", "").upper()
    if money.digits_of(currency) is None:
        raise ValueError(f"{currency or 'The currency'} is not a currency code such as USD.")
    return AdCost(
        game=game,
        day=_day(stated.get("date", "")),
        network=_network(stated.get("network", "")),
        campaign=campaign,
        spend=_spend(stated.get("spend", "")),
        currency=currency,
        clicks=_count(stated.get("clicks", ""), "clicks"),
        impressions=_count(stated.get("impressions", ""), "impressions"),
    )


def _day(text: str) -> date:
    for form in DAY_FORMATS:
        try:
            day = datetime.strptime(text, form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
        if 2000 <= day.year <= 2100:
            return day
    raise ValueError(f"{text or 'The date'} is not a date such as 2026-11-01.")


def _network(text: str) -> str:
    """Return the network by its name in links or pages: "tiktok", "TikTok Ads"."""
    wanted = text.lower().removesuffix(" ads").strip()
    for kind, network in NETWORKS.items():
        if wanted and wanted in {kind, network.label.lower().removesuffix(" ads"), *network.utm_sources}:
            return kind
    known = ", ".join(sorted(NETWORKS))
    raise ValueError(f"{text or 'The network'} is not a network: it is one of {known}.")


def _spend(text: str) -> Decimal:
    try:
        spend = Decimal(text.replace(" ", "").replace(",", "")) if "," in text and "." in text else Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text or 'The spend'} is not an amount such as 120.50.") from None
    if not spend.is_finite() or spend < 0 or spend > MAX_SPEND:
        raise ValueError(f"{text} is not an amount such as 120.50.")
    return spend


def _count(text: str, name: str) -> int | None:
    digits = text.replace(",", "").replace(" ", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()) or int(digits[:20]) > MAX_COUNT:
        raise ValueError(f"{text} is not a number of {name}.")
    return int(digits)
