"""Reads a CSV file of what campaigns cost, as ad networks export it or a person writes it."""

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audience.models import Game
from postbacks.models import AdCost
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.reporting.campaigns import cost_cells
from postbacks.reporting.campaigns.cost_matching import cost_key

REQUIRED = ("date", "network", "campaign", "spend", "currency")
OPTIONAL = ("clicks", "impressions", "campaign_id")
COLUMNS = (*REQUIRED, *OPTIONAL)
# How exports of ad networks and spreadsheets name the columns, in lower case.
ALIASES = {
    "date": ("date", "day", "stat time day", "by day", "reporting starts", "start date"),
    "network": ("network", "source", "platform", "media source", "channel", "publisher"),
    "campaign": ("campaign", "campaign name", "utm campaign"),
    "spend": ("spend", "cost", "amount spent", "total cost", "amount"),
    "currency": ("currency", "currency code", "account currency"),
    "clicks": ("clicks", "link clicks", "clicks (destination)", "clicks (all)"),
    "impressions": ("impressions", "impr.", "imps"),
    "campaign_id": ("campaign id", "campaignid"),
}
MAX_ROWS, MAX_ERRORS = 20_000, 50
SAMPLE = (
    "date,network,campaign,spend,currency,clicks,impressions\r\n"
    "2026-11-01,tiktok,autumn,120.50,USD,310,20400\r\n2026-11-01,reddit,autumn,80,USD,,\r\n"
)
# Excel writes the delimiter before the columns, or reads it there.
DELIMITER_LINE = re.compile(r"\s*sep=(.)\n")
DELIMITERS = ",;\t"

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
    """The rows of a file, (line, problem) of the lines that cannot be read, and how many lines of totals are left
    out."""

    rows: list[AdCost]
    errors: list[tuple[int, str]]
    totals: int


@dataclass(frozen=True, slots=True)
class _Style:
    """How a file writes days and amounts (cost_cells.py)."""

    day_first: bool | None
    decimal_sign: str


def decoded(content: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 as Google Ads and Excel write it. Raises CostsRefused."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig").replace("\0", "")
    except UnicodeDecodeError:
        raise CostsRefused("The file is not in UTF-8. Save it as “CSV UTF-8”.") from None


def with_newlines(text: str) -> str:
    """Return the text with line feeds. Excel for Mac can end lines with a carriage return alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_file(text: str, *, delimiter: str = "") -> CostFile:
    """Read a CSV file with commas, semicolons or tabs, by default those of its first line. Raises CostsRefused."""
    text = with_newlines(text.lstrip("\ufeff"))
    stated = DELIMITER_LINE.match(text)
    first = text.partition("\n")[0]
    delimiter = stated[1] if stated else delimiter or max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (csv.Error, ValueError) as error:
        raise CostsRefused("This is not a CSV file.") from error
    lines = lines[1:] if stated else lines
    if len(lines) < 2:
        raise CostsRefused("The file needs a line with the column names, and one line per day and campaign.")
    if len(lines) > MAX_ROWS + 1:
        raise CostsRefused(f"The file has more than {MAX_ROWS:,} lines. Split it, by month for example.")
    return CostFile([cell.strip() for cell in lines[0][1]], lines[1:])


def guess_columns(header: Sequence[str]) -> dict[str, int]:
    """Return {column: its position in the file} of the columns that are found by their names."""
    names = [re.sub(r"[\s_]+", " ", name.lower()).strip() for name in header]
    found = {
        column: next((names.index(alias) for alias in ALIASES[column] if alias in names), -1) for column in COLUMNS
    }
    return {column: position for column, position in found.items() if position >= 0}


def read_rows(game: Game, file: CostFile, mapped: Mapped, *, defaults: Mapping[str, str]) -> ReadCosts:
    """Read the lines. `defaults`: the network and currency of files that have no such column."""
    lines = [(number, _stated(cells, mapped, defaults), cells) for number, cells in file.lines]
    style = _Style(
        cost_cells.is_day_first(stated["date"] for _, stated, _ in lines),
        cost_cells.decimal_sign(stated["spend"] for _, stated, _ in lines),
    )
    rows: dict[tuple[object, ...], AdCost] = {}
    errors: list[tuple[int, str]] = []
    totals = 0
    for number, stated, cells in lines:
        if cost_cells.is_total(stated["date"], cells):
            totals += 1
            continue
        try:
            row = _row(game, stated, style)
        except ValueError as problem:
            errors.append((number, str(problem)))
            continue
        key = (*cost_key(row.day, row.network, row.campaign), row.campaign_id)
        if key in rows:
            errors.append((number, f"A second line for {row.campaign} on {row.day}."))
        rows[key] = row
    return ReadCosts(list(rows.values()), errors, totals)


def _stated(cells: Sequence[str], mapped: Mapped, defaults: Mapping[str, str]) -> dict[str, str]:
    """Return {column: text} of a line, with the defaults for blank cells."""
    stated = {column: cells[place].strip() if place < len(cells) else "" for column, place in mapped.items()}
    return {column: stated.get(column) or defaults.get(column, "") for column in COLUMNS}


def _row(game: Game, stated: Mapping[str, str], style: _Style) -> AdCost:
    """Return the row of a line. Raises ValueError with the problem."""
    campaign, campaign_id = stated["campaign"], stated["campaign_id"]
    if not campaign or max(len(campaign), len(campaign_id)) > MAX_NAME_LENGTH:
        raise ValueError("The campaign is missing." if not campaign else "The campaign’s name is too long.")
    currency = cost_cells.read_currency(stated["currency"])
    return AdCost(
        game=game,
        day=cost_cells.read_day(stated["date"], style.day_first),
        network=cost_cells.read_network(stated["network"]),
        campaign=campaign,
        campaign_id=campaign_id,
        spend=cost_cells.read_spend(stated["spend"], currency, style.decimal_sign),
        currency=currency,
        clicks=cost_cells.read_count(stated["clicks"], "clicks"),
        impressions=cost_cells.read_count(stated["impressions"], "impressions"),
    )
