"""The table of campaigns as CSV."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from audience.hub.toolkit import spreadsheet
from postbacks.reporting.campaigns.columns import Column, Value
from postbacks.reporting.campaigns.figures import LEVELS, Scope
from postbacks.reporting.campaigns.report import Report, ReportRow


def file_name(scope: Scope) -> str:
    return f"campaigns-{scope.game.slug}-{scope.period.first}-{scope.period.last}.csv"


def lines(
    scope: Scope, report: Report, shown: Sequence[Column], rows: Sequence[ReportRow], *, depth: int, compare: bool
) -> Iterator[str]:
    """Yield CSV lines with CRLF: the column names, then the rows by the first `depth` names. `compare`: with the
    figures of the period before."""
    originals = _original_columns(report.rows)
    header = [*LEVELS[:depth], *(column.key for column in shown), "currency", *originals]
    header += ["first_day", "last_day", "time_zone", "attribution_window_days"]
    header += [f"{column.key}_before" for column in shown if column.before] if compare else []
    fixed = [scope.period.first, scope.period.last, scope.period.zone.key]

    def cells(row: ReportRow) -> list[Any]:
        figures = [exported(column.value(row)) for column in shown]
        amounts = [exported(original(row)) for original in originals.values()]
        window_days = scope.game.window_of(row.names[0]).days
        return [*row.names, *figures, report.currency, *amounts, *fixed, window_days, *_earlier(row, shown)]

    return spreadsheet.lines(header, map(cells, rows))


def exported(value: Value) -> Any:
    """Return a figure as a cell: at most four decimal places, '' if it is unknown."""
    if value is None:
        return ""
    return value if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


def _original_columns(rows: Sequence[ReportRow]) -> dict[str, Callable[[ReportRow], Value]]:
    """Return {name: value of a row} of the columns of amounts as they were reported, one per currency."""
    revenue = sorted({code for row in rows for code in row.figures.revenue})
    spend = sorted({code for row in rows if row.cost for code in row.cost.originals})
    found: dict[str, Callable[[ReportRow], Value]] = {}
    for code in revenue:
        found[f"revenue_{code or 'without_currency'}"] = partial(_revenue_in, code)
    for code in spend:
        found[f"spend_{code}"] = partial(_spend_in, code)
    return found


def _revenue_in(currency: str, row: ReportRow) -> Value:
    return row.figures.revenue.get(currency, 0)


def _spend_in(currency: str, row: ReportRow) -> Value:
    return row.cost.originals.get(currency, 0) if row.cost else None


def _earlier(row: ReportRow, shown: Sequence[Column]) -> list[Any]:
    return [exported(column.before(row)) for column in shown if column.before] if row.before is not None else []
