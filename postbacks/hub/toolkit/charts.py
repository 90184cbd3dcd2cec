"""The geometry of charts: widths in per cent, so that a chart fits any screen, heights in pixels. Pure.

`hub/parts/chart.html` draws a Chart, `hub/overview/_figures.html` a list of Rank.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Height of the plot, and minimum height of a value that is not zero, in pixels.
HEIGHT, MIN_HEIGHT = 120, 2
# Width of a column as a share of the space for it.
COLUMN_SHARE = 0.72
TICKS = 6
# Tones a piece may have: a fill or a pattern of static/css/charts.css, so that none is distinguished by colour alone.
SOLID, HATCHED, DOTTED = "solid", "hatched", "dotted"


@dataclass(frozen=True, slots=True)
class Series:
    """What is counted, and how it is drawn."""

    label: str
    tone: str = SOLID


@dataclass(frozen=True, slots=True)
class Point:
    """One place on the time axis: `label` for the axis, `title` in full, a value per series."""

    label: str
    title: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class ColumnPiece:
    """A part of a column. `y` and `height` in pixels from the top of the plot."""

    series: Series
    value: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """`place` and `x` are the left edges of the column's place and of its bar, as SVG lengths; so are the widths."""

    point: Point
    place: str
    x: str
    width: str
    pieces: list[ColumnPiece]
    title: str  # of the point, with its values
    named: list[tuple[str, str]]  # series and value as text, zeros included
    tick: str  # "major" carries a label, "minor" one where there is room, '' none


@dataclass(frozen=True, slots=True)
class GridLine:
    """A line of the grid with its value."""

    value: int
    y: float


@dataclass(frozen=True, slots=True)
class Chart:
    columns: list[Column]
    series: list[tuple[Series, int]]  # with its total
    lines: list[GridLine]
    place_width: str

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


def stacked(points: Sequence[Point], *, series: Sequence[Series]) -> Chart:
    """Return stacked columns, the first series at the bottom.

    About TICKS columns have an axis label, the first always; every second of them is minor.
    """
    top = ceiling(max((sum(point.values) for point in points), default=0))
    step = max(1, round(len(points) / TICKS))
    return Chart(
        columns=[_column(points, place, series, top, _tick(place, len(points), step)) for place in range(len(points))],
        series=[(one, sum(point.values[place] for point in points)) for place, one in enumerate(series)],
        lines=[GridLine(top, 0.0), GridLine(top // 2, HEIGHT / 2), GridLine(0, float(HEIGHT))],
        place_width=_percent(1 / len(points)) if points else "0%",
    )


def ranked(rows: Iterable[tuple[str, int, str]]) -> list[Rank]:
    """Return (label, value, tone) rows as bars on one scale, in the given order."""
    found = list(rows)
    maximum = max((value for _, value, _ in found), default=0)
    return [
        Rank(label, value, _percent(max(0.005, value / maximum) if value else 0), tone) for label, value, tone in found
    ]


def ceiling(maximum: int) -> int:
    """Return the smallest even number of the form 1, 2 or 5 with zeros that is at least `maximum` and 2."""
    unit = 1
    while True:
        for round_number in (unit, 2 * unit, 5 * unit):
            if round_number >= maximum and round_number % 2 == 0:
                return round_number
        unit *= 10


def _column(points: Sequence[Point], place: int, series: Sequence[Series], top: int, tick: str) -> Column:
    share = 1 / len(points)
    left = place * share
    return Column(
        point=points[place],
        place=_percent(left),
        x=_percent(left + share * (1 - COLUMN_SHARE) / 2),
        width=_percent(share * COLUMN_SHARE),
        pieces=_pieces(points[place], series, top),
        title=_title(points[place], series),
        named=[(one.label, f"{value:,}") for one, value in zip(series, points[place].values, strict=True)],
        tick=tick,
    )


def _title(point: Point, series: Sequence[Series]) -> str:
    """`Sat 21 Nov, 10:00: 120 accepted, 3 rejected`."""
    counts = (f"{value:,} {one.label.lower()}" for one, value in zip(series, point.values, strict=True))
    return f"{point.title}: {', '.join(counts)}"


def _tick(place: int, count: int, step: int) -> str:
    """Return the tick of a column; a label needs half a step of space before the right edge."""
    if place % step or 2 * (count - place) < step:
        return ""
    return "minor" if place // step % 2 else "major"


def _pieces(point: Point, series: Sequence[Series], top: int) -> list[ColumnPiece]:
    pieces, y = [], float(HEIGHT)
    for one, value in zip(series, point.values, strict=True):
        if value:
            height = max(float(MIN_HEIGHT), round(HEIGHT * value / top, 1))
            y = max(0.0, round(y - height, 1))
            pieces.append(ColumnPiece(one, value, y, height))
    return pieces


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
