"""The table of campaigns: its columns, the cells of a row with their links, and its order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import urlencode

from audience.models import Trigger, trigger_label
from audience.wording import time_zones
from postbacks.hub.campaigns.filters import CampaignFilter, name_label, names_query
from postbacks.reporting.campaigns.report import ROAS_DAYS, Report, ReportRow

Value = int | Decimal | float | None
PLAYERS, CONVERSIONS = "campaign-players", "campaign-conversions"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures. `unit`: "" for a number, "money", or "ratio".

    `list_of`: the URL name of the page with the rows that the figure counts and its parameters, None without one.
    `before`: the figure of the period before. `model`: how it is attributed.
    """

    key: str
    label: str
    value: Callable[[ReportRow], Value]
    unit: str = ""
    list_of: tuple[str, dict[str, str]] | None = None
    before: Callable[[ReportRow], Value] | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """`change`: in per cent of the period before, "new" without figures then, '' if nothing is compared."""

    column: Column
    value: Value
    href: str
    change: str
    originals: list[tuple[str, Decimal]]


@dataclass(frozen=True, slots=True)
class Line:
    """`labels`: the names; `href`: the parameters of the level below, '' where there is none."""

    labels: list[str]
    query: str
    cells: list[Cell]

    @property
    def parents(self) -> str:
        """The names above that of the row."""
        return " › ".join(self.labels[:-1])


def columns(report: Report, *, window_days: int) -> list[Column]:
    """Return the columns of figures: goals and costs only where there are any."""
    return [replace(column, model=_model(column.key, window_days)) for column in _columns(report)]


def _model(key: str, window_days: int) -> str:
    """Return how a figure is attributed, in a few words."""
    if key in ("clicks", "spend"):
        return "by day of click" if key == "clicks" else "uploaded"
    return "first click" if key == "players" or key.startswith("roas") else f"last click, {window_days} d"


def _columns(report: Report) -> list[Column]:
    found = [
        Column("clicks", "Clicks", lambda row: row.figures.clicks, before=_before(lambda row: row.clicks)),
        Column("players", "Players", lambda row: row.figures.players, "", (PLAYERS, {}), _before(lambda f: f.players)),
        _events("launches", "Launches", Trigger.GAME_LAUNCH),
        Column(
            "payers",
            "Payers",
            lambda row: row.figures.payers,
            "",
            (CONVERSIONS, {"event": Trigger.PURCHASE.value, "only": "first"}),
            _before(lambda figures: figures.payers),
        ),
        _events("purchases", "Purchases", Trigger.PURCHASE),
        *(_events(f"goal:{name}", trigger_label(name), name) for name in report.goals),
        Column(
            "revenue",
            "Revenue",
            lambda row: row.revenue.amount,
            "money",
            (CONVERSIONS, {}),
            lambda row: row.revenue_before.amount if row.revenue_before else None,
        ),
    ]
    if report.total.cost:
        found += _cost_columns()
    return [*found, _outcome("sent", "Sent"), _outcome("accepted", "Accepted")]


def _cost_columns() -> list[Column]:
    names = (("spend", "Spend"), ("per_click", "CPC"), ("per_launch", "Per launch"), ("per_payer", "Per payer"))
    found = [Column(key, label, _cost(key), "money") for key, label in names]
    return [*found, *(Column(f"roas_{days}", f"ROAS D{days}", _roas(days), "ratio") for days in ROAS_DAYS)]


def _cost(key: str) -> Callable[[ReportRow], Value]:
    return lambda row: getattr(row.cost, key) if row.cost else None


def _roas(days: int) -> Callable[[ReportRow], Value]:
    return lambda row: row.cost.roas[days] if row.cost else None


def _events(key: str, label: str, trigger: str) -> Column:
    return Column(
        key,
        label,
        lambda row: row.figures.events.get(trigger, 0),
        "",
        (CONVERSIONS, {"event": str(trigger)}),
        _before(lambda figures: figures.events.get(trigger, 0)),
    )


def _outcome(part: str, label: str) -> Column:
    return Column(
        part,
        label,
        lambda row: getattr(row.figures, part),
        "",
        (CONVERSIONS, {"only": part}),
        _before(lambda figures: getattr(figures, part)),
    )


def _before(value: Callable[..., int]) -> Callable[[ReportRow], Value]:
    return lambda row: value(row.before) if row.before else None


def ordered(rows: Sequence[ReportRow], shown: Sequence[Column], *, by: str, ascending: bool) -> list[ReportRow]:
    """Return the rows in order of a column; of the names for any other `by`. Rows without the figure come last."""
    column = next((column for column in shown if column.key == by), None)
    if column is None:
        return sorted(rows, key=lambda row: row.names, reverse=not ascending)
    with_value = [row for row in rows if column.value(row) is not None]
    with_value.sort(key=lambda row: (column.value(row), row.names), reverse=not ascending)
    return [*with_value, *(row for row in rows if column.value(row) is None)]


def line(row: ReportRow, shown: Sequence[Column], filters: CampaignFilter, url_of: Callable[[str], str]) -> Line:
    """Return a row of the table. `url_of` returns the URL of a page of the game by its name.

    The total of searched rows has no links, since no list has exactly their rows.
    """
    has_lists = bool(row.names) or not filters.query
    period, names = filters.period, row.names or filters.scope.path
    query = names_query(names)
    dates = {"from": period.first.isoformat(), "to": period.last.isoformat()}
    dates |= {"zone": period.zone.key} if period.zone != time_zones.current() else {}
    return Line(
        labels=[name_label(row.names, number) for number in range(len(row.names))],
        query=f"{query}&{urlencode(dates)}" if row.names and len(row.names) < 4 else "",
        cells=[_cell(column, row, names, dates, url_of if has_lists else None) for column in shown],
    )


def _cell(
    column: Column, row: ReportRow, names: tuple[str, ...], dates: dict[str, str], url_of: Callable[[str], str] | None
) -> Cell:
    value, href = column.value(row), ""
    if column.list_of and value and url_of:
        page, parameters = column.list_of
        href = "?".join(
            (url_of(page), "&".join(filter(None, (names_query(names), urlencode({**dates, **parameters})))))
        )
    originals = sorted(row.figures.revenue.items()) if column.key == "revenue" else []
    return Cell(column, value, href, _change(column, row), originals)


def _change(column: Column, row: ReportRow) -> str:
    before, value = column.before(row) if column.before else None, column.value(row)
    if before is None or value is None:
        return ""
    if not before:
        return "new" if value else ""
    change = round(100 * (float(value) - float(before)) / float(before))
    return f"{change:+d}%"
