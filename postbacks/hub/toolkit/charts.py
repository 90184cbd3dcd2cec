"""Computes the geometry of charts: widths in per cent, so that a chart fits any screen, heights in pixels.

`hub/parts/chart.html` draws a Chart, `hub/overview/_figures.html` a list of Rank.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audience.hub.toolkit.date_range import HOUR, DateRange
from audience.wording import dates

# Height of the plot, and minimum height of a value that is not zero, in pixels.
HEIGHT, MIN_HEIGHT = 120, 2
# Width of a column as a share of the space for it.
COLUMN_SHARE = 0.72
TICKS = 6
# The tones of pieces: fills and patterns of static/css/charts.css, so that no tone is distinguished by color alone.
SOLID, HATCHED, DOTTED = "solid", "hatched", "dotted"


@dataclass(frozen=True, slots=True)
class Series:
    """What is counted, and how it is drawn."""

    label: str
    tone: str = SOLID


@dataclass(frozen=True, slots=True)
class Point:
    """One position of the time axis: a short `label` for the axis, a full `title`, and a value per series.

    `href` leads to the rows that the column counts, `hrefs` to those of each value; '' and () without a link.
    """

    label: str
    title: str
    values: Sequence[int]
    href: str = ""
    hrefs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ColumnPiece:
    """A part of a column. `y` and `height` in pixels from the top of the plot."""

    series: Series
    value: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its slot, an equal share of the width. `slot_x`, `x` and `width` are SVG lengths in per cent."""

    point: Point
    slot_x: str
    x: str
    width: str
    pieces: list[ColumnPiece]
    title: str  # that of the point, with its values
    cells: list[tuple[str, str, str]]  # (label of the series, value, link), zeros included
    tick: str  # "major": labelled; "minor": labelled on wide screens; '': no label


@dataclass(frozen=True, slots=True)
class GridLine:
    """A line of the grid with its value."""

    value: int
    y: float


@dataclass(frozen=True, slots=True)
class Chart:
    columns: list[Column]
    series: list[tuple[Series, int]]  # with the total of each
    lines: list[GridLine]
    slot_width: str

    @property
    def has_links(self) -> bool:
        return any(column.point.href for column in self.columns)

    @property
    def total(self) -> int:
        return sum(total for _, total in self.series)


@dataclass(frozen=True, slots=True)
class Rank:
    """A row of a ranking: `width` in per cent of the longest bar, as an SVG length."""

    label: str
    value: int
    width: str
    tone: str


def time_point(
    period: DateRange, start: datetime, values: Sequence[int], *, href: str = "", hrefs: Sequence[str] = ()
) -> Point:
    """Return the point of an hour, day or week of a period that begins at `start`."""
    if period.step == HOUR:
        return Point(dates.hour(start), f"{dates.weekday(start)}, {dates.hour(start)}", values, href, hrefs)
    return Point(dates.short_day(start), dates.weekday(start), values, href, hrefs)


def stacked(points: Sequence[Point], *, series: Sequence[Series]) -> Chart:
    """Return stacked columns, the first series at the bottom.

    About TICKS columns have an axis label, among them the first one; every second label is minor.
    """
    top = ceiling(max((sum(point.values) for point in points), default=0))
    step = max(1, round(len(points) / TICKS))
    return Chart(
        columns=[_column(points, index, series, top, _tick(index, len(points), step)) for index in range(len(points))],
        series=[(entry, sum(point.values[index] for point in points)) for index, entry in enumerate(series)],
        lines=[GridLine(top, 0.0), GridLine(top // 2, HEIGHT / 2), GridLine(0, float(HEIGHT))],
        slot_width=_percent(1 / len(points)) if points else "0%",
    )


def ranked(rows: Iterable[tuple[str, int, str]]) -> list[Rank]:
    """Return (label, value, tone) rows as bars on one scale, in the same order."""
    rows = list(rows)
    maximum = max((value for _, value, _ in rows), default=0)
    return [
        Rank(label, value, _percent(max(0.005, value / maximum) if value else 0), tone) for label, value, tone in rows
    ]


def ceiling(maximum: int) -> int:
    """Return the smallest even number of the form 1, 2 or 5 times a power of ten that is at least `maximum`."""
    unit = 1
    while True:
        for round_number in (unit, 2 * unit, 5 * unit):
            if round_number >= maximum and round_number % 2 == 0:
                return round_number
        unit *= 10


def _column(points: Sequence[Point], index: int, series: Sequence[Series], top: int, tick: str) -> Column:
    share = 1 / len(points)
    left = index * share
    return Column(
        point=points[index],
        slot_x=_percent(left),
        x=_percent(left + share * (1 - COLUMN_SHARE) / 2),
        width=_percent(share * COLUMN_SHARE),
        pieces=_pieces(points[index], series, top),
        title=_title(points[index], series),
        cells=_cells(points[index], series),
        tick=tick,
    )


def _cells(point: Point, series: Sequence[Series]) -> list[tuple[str, str, str]]:
    """Return the values of a point; zeros lead nowhere."""
    hrefs = point.hrefs or [""] * len(series)
    return [
        (entry.label, f"{value:,}", href if value else "")
        for entry, value, href in zip(series, point.values, hrefs, strict=True)
    ]


def _title(point: Point, series: Sequence[Series]) -> str:
    """Return `Sat 21 Nov, 10:00: 120 accepted, 3 rejected`."""
    counts = (f"{value:,} {entry.label.lower()}" for entry, value in zip(series, point.values, strict=True))
    return f"{point.title}: {', '.join(counts)}"


def _tick(index: int, count: int, step: int) -> str:
    """Return the tick of a column; a label needs half a step of space before the right edge."""
    if index % step or 2 * (count - index) < step:
        return ""
    return "minor" if index // step % 2 else "major"


def _pieces(point: Point, series: Sequence[Series], top: int) -> list[ColumnPiece]:
    pieces, y = [], float(HEIGHT)
    for entry, value in zip(series, point.values, strict=True):
        if value:
            height = max(float(MIN_HEIGHT), round(HEIGHT * value / top, 1))
            y = max(0.0, round(y - height, 1))
            pieces.append(ColumnPiece(entry, value, y, height))
    return pieces


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
