"""Reads the CSV file of UTM analytics that Steamworks exports.

Steam's page is partner.steamgames.com/apps/utmtrafficstats/<app>. The names of its columns have changed between
versions of that page, such as "Keyword" for "UTM Term", and differ in upper and lower case.
"""

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from audience.database import clock
from audience.models import Game
from postbacks.models import SteamVisits
from postbacks.models.campaigns import MAX_NAME_LENGTH
from postbacks.reporting.campaigns import cost_cells, cost_files
from postbacks.reporting.campaigns.cost_files import CostFile, CostsRefused

WORDS = ("campaign", "source", "medium", "content", "term")
COUNTS = ("visits", "trusted_visits", "tracked_visits", "wishlists", "purchases", "activations")
REQUIRED = ("date", "campaign", "visits")
# How the columns are named, in lower case. Those of WORDS may begin with "UTM", and then count before others.
ALIASES = {
    "date": ("date", "day"),
    "campaign": ("campaign", "campaign name"),
    "source": ("source",),
    "medium": ("medium",),
    "content": ("content",),
    "term": ("term", "keyword"),
    "visits": ("total visits", "visits", "page visits"),
    "trusted_visits": ("trusted visits",),
    "tracked_visits": ("tracked visits",),
    "wishlists": ("wishlists", "wishlist", "wishlist additions"),
    "purchases": ("purchases",),
    "activations": ("activations",),
}
LABELS = {"date": "Date", "campaign": "UTM Campaign", "visits": "Total Visits"}
# Lines with a title or the period that may stand above the names of the columns.
MAX_LINES_ABOVE = 10
# Of all UTM parameters of a row together. PostgreSQL indexes at most 2,704 bytes.
MAX_WORDS_BYTES = 2_000
# PostgreSQL's limit of bigint, far above any sum of cells (cost_cells.MAX_COUNT each).
MAX_TOTAL = 10**18
SAMPLE = (
    "Date,UTM Source,UTM Campaign,UTM Medium,UTM Content,UTM Term,Device Type,Total Visits,Trusted Visits,"
    "Tracked Visits,Wishlists,Purchases,Activations\r\n"
    "2026-11-01,tiktok,autumn,cpc,video,,Desktop,410,371,188,42,9,0\r\n"
    "2026-11-01,tiktok,autumn,cpc,video,,Mobile,160,151,20,6,0,0\r\n"
)

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class ReadVisits:
    """The rows of a file, (line, problem) of the lines that cannot be read, and how many lines of totals are left
    out."""

    rows: list[SteamVisits]
    errors: list[tuple[int, str]]
    totals: int


def read_file(text: str) -> CostFile:
    """Return the lines below the names of the columns. Raises CostsRefused, also without a required column, or with two
    of the same name."""
    if text.lstrip("\ufeff \r\n").startswith("<"):
        raise CostsRefused("This is a web page, not a CSV file. Sign in to Steamworks and download the file again.")
    file = cost_files.read_file(text, delimiter=_delimiter(text))
    above = [(0, file.header), *file.lines[:MAX_LINES_ABOVE]]
    number = next((number for number, (_, cells) in enumerate(above) if not _missing(columns_of(cells))), 0)
    header = [cell.strip() for cell in above[number][1]]
    if missing := _missing(columns_of(header)):
        named = " and ".join(f"“{LABELS[name]}”" for name in missing)
        column = f"column{'s' if len(missing) > 1 else ''} {named}"
        raise CostsRefused(f"The file has no {column}. Download the daily data of UTM analytics in Steamworks.")
    if twice := _twice(header):
        raise CostsRefused(f"The file has the column “{twice}” twice. Download the file again and upload it unchanged.")
    lines = file.lines[number:]
    if not lines:
        raise CostsRefused("The file has no lines below the names of the columns.")
    return CostFile(header, lines)


def columns_of(header: Sequence[str]) -> dict[str, int]:
    """Return {column: its position in the file} of the columns that are found by their names."""
    names = [_bare(name) for name in header]
    found = {
        column: next((names.index(alias) for alias in _aliases(column) if alias in names), -1) for column in ALIASES
    }
    return {column: position for column, position in found.items() if position >= 0}


def _aliases(column: str) -> tuple[str, ...]:
    named = ALIASES[column]
    return (*(f"utm {name}" for name in named), *named) if column in WORDS else named


def _twice(header: Sequence[str]) -> str:
    """Return the name of a column that is read and that the file has twice; '' without one."""
    names = [_bare(name) for name in header]
    return next((header[place] for place in columns_of(header).values() if names.count(names[place]) > 1), "")


def _delimiter(text: str) -> str:
    """Return the delimiter of the line with the names of the columns, which may stand below lines with others; ''
    without that line."""
    lines = io.StringIO(cost_files.with_newlines(text.lstrip("\ufeff")))
    for line in itertools.islice((line for line in lines if line.strip()), MAX_LINES_ABOVE + 1):
        for delimiter in cost_files.DELIMITERS:
            if not _missing(columns_of([cell.strip(' "\n') for cell in line.split(delimiter)])):
                return delimiter
    return ""


def read_rows(game: Game, file: CostFile) -> ReadVisits:
    """Read the lines. Lines with the same day and UTM parameters, such as one per device or country, are summed."""
    columns = columns_of(file.header)
    day_first = cost_cells.is_day_first(_cell(cells, columns, "date") for _, cells in file.lines)
    rows: dict[Key, SteamVisits] = {}
    errors: list[tuple[int, str]] = []
    totals = 0
    for number, cells in file.lines:
        if cost_cells.is_total(_cell(cells, columns, "date"), cells):
            totals += 1
            continue
        try:
            row = _row(game, cells, columns, width=len(file.header), day_first=day_first)
            _add(rows, row)
        except ValueError as problem:
            errors.append((number, str(problem)))
    return ReadVisits(list(rows.values()), errors, totals)


def _bare(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name.lower()).strip()


def _missing(columns: Mapping[str, int]) -> list[str]:
    return [column for column in REQUIRED if column not in columns]


def _cell(cells: Sequence[str], columns: Mapping[str, int], column: str) -> str:
    place = columns.get(column, -1)
    return cells[place].strip() if 0 <= place < len(cells) else ""


def _row(
    game: Game, cells: Sequence[str], columns: Mapping[str, int], *, width: int, day_first: bool | None
) -> SteamVisits:
    """Return the row of a line of a file with `width` columns. Raises ValueError with the problem."""
    if any(cell.strip() for cell in cells[width:]):
        raise ValueError("The line has more cells than the line with the names of the columns.")
    day = cost_cells.read_day(_cell(cells, columns, "date"), day_first)
    # A day that has begun somewhere.
    if day > (clock.now() + timedelta(days=1)).date():
        raise ValueError(f"{day} is in the future.")
    if not _cell(cells, columns, "visits"):
        raise ValueError("The number of visits is missing.")
    words = {name: _cell(cells, columns, name) for name in WORDS}
    long = next((name for name, word in words.items() if len(word) > MAX_NAME_LENGTH), "")
    if long or sum(len(word.encode()) for word in words.values()) > MAX_WORDS_BYTES:
        raise ValueError(f"{f'utm_{long} is' if long else 'The UTM parameters are'} too long.")
    counts = {name: _count(cells, columns, name) for name in COUNTS}
    return SteamVisits(game=game, day=day, **words, **counts)


def _count(cells: Sequence[str], columns: Mapping[str, int], column: str) -> int | None:
    if column not in columns:
        return None
    return cost_cells.read_count(_cell(cells, columns, column), column.replace("_", " ")) or 0


def _add(rows: dict[Key, SteamVisits], row: SteamVisits) -> None:
    """Add a row, or its counts to that of the same day and parameters. Raises ValueError."""
    stored = rows.setdefault((row.day, *(getattr(row, name) for name in WORDS)), row)
    if stored is row:
        return
    sums = {name: getattr(stored, name) + getattr(row, name) for name in COUNTS if getattr(row, name) is not None}
    if max(sums.values()) > MAX_TOTAL:
        raise ValueError("The sum of the lines of this day is too large.")
    for name, value in sums.items():
        setattr(stored, name, value)
