"""The table of campaigns: the cells of a row with their links."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from urllib.parse import urlencode

from audience.digest import money
from audience.templatetags.hub import amount
from audience.wording import time_zones
from postbacks.hub.campaigns.filters import CampaignFilter, names_query
from postbacks.reporting.campaigns.columns import Column, Value
from postbacks.reporting.campaigns.report import ReportRow
from postbacks.reporting.campaigns.wording import name_label


@dataclass(frozen=True, slots=True)
class Cell:
    """`further`: on how many days the figure is known, the change since the period before, and the amounts in other
    currencies, each where there is one."""

    label: str
    text: str
    href: str
    further: list[str]


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


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Makes the rows of the table. `url_of` returns the URL of a page of the game by its name; `days` are those of the
    period until today. What all rows share is computed once."""

    columns: Sequence[Column]
    filters: CampaignFilter
    currency: str
    days: int
    url_of: Callable[[str], str]

    def line(self, row: ReportRow) -> Line:
        """Return a row. The total of searched rows has no links, since no list has exactly their rows."""
        names = row.names or self.filters.scope.path
        has_lists = bool(row.names) or not self.filters.query
        query = names_query(names)
        return Line(
            labels=[name_label(row.names, number) for number in range(len(row.names))],
            query=f"{query}&{self._dates}" if row.names and len(row.names) < 4 else "",
            cells=[self._cell(column, row, query, has_lists) for column in self.columns],
        )

    @cached_property
    def _dates(self) -> str:
        period = self.filters.period
        dates = {"from": period.first.isoformat(), "to": period.last.isoformat()}
        return urlencode(dates | ({"zone": period.zone.key} if period.zone != time_zones.current() else {}))

    @cached_property
    def _lists(self) -> dict[str, tuple[str, str]]:
        """The list behind each figure, by the column's key: its URL, and its parameters after those of the row."""
        lists = {column.key: column.list_of for column in self.columns if column.list_of}
        return {
            key: (self.url_of(page), "&".join(filter(None, (self._dates, urlencode(parameters)))))
            for key, (page, parameters) in lists.items()
        }

    def _cell(self, column: Column, row: ReportRow, names: str, has_lists: bool) -> Cell:
        value, href = column.value(row), ""
        if column.list_of and value and has_lists:
            url, parameters = self._lists[column.key]
            href = f"{url}?{names}&{parameters}" if names else f"{url}?{parameters}"
        has_gaps = column.key == "spend" and row.cost is not None and row.cost.days < self.days
        known = f"on {row.cost.days} of {self.days} days" if has_gaps and row.cost else ""
        originals = [amount(value, code) for code, value in _originals(column, row) if code != self.currency]
        return Cell(
            label=column.label,
            text=figure_text(value, column.unit, self.currency),
            href=href,
            further=[text for text in (known, _change(column, row), *originals) if text],
        )


def figure_text(value: Value, unit: str, currency: str) -> str:
    """Return a figure as pages show it: "1,204", "1,204.50" with the currency’s digits, a dash if it is unknown."""
    if value is None:
        return "–"
    digits = money.digits_of(currency)
    of_money = 2 if digits is None else digits
    places = {"": 0, "ratio": 2, "money": of_money, "unit cost": max(2, of_money)}[unit]
    return f"{value:,.{places}f}"


def _originals(column: Column, row: ReportRow) -> list[tuple[str, Decimal]]:
    """Return the amounts of a figure as they were reported: (currency, amount)."""
    if column.key == "revenue":
        return sorted(row.figures.revenue.items())
    return sorted(row.cost.originals.items()) if column.key == "spend" and row.cost else []


def _change(column: Column, row: ReportRow) -> str:
    before, value = column.before(row) if column.before else None, column.value(row)
    if before is None or value is None:
        return ""
    if not before:
        return "new" if value else ""
    change = round(100 * (float(value) - float(before)) / float(before))
    return f"{change:+d}%"
