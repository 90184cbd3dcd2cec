"""The order of the rows of campaigns."""

from collections.abc import Sequence

from postbacks.reporting.campaigns.columns import Column
from postbacks.reporting.campaigns.report import ReportRow
from postbacks.reporting.campaigns.wording import name_label

# Ascending by default; figures descend.
BY_NAME, DEFAULT = "name", "clicks"


def ordered(rows: Sequence[ReportRow], shown: Sequence[Column], *, by: str, ascending: bool) -> list[ReportRow]:
    """Return the rows in order of a column; of the names for any other `by`. Rows without the figure come last, and
    equal ones are in order of their names."""
    column = next((column for column in shown if column.key == by), None)
    named = sorted(rows, key=_name_order, reverse=column is None and not ascending)
    if column is None:
        return named
    with_value = [row for row in named if column.value(row) is not None]
    with_value.sort(key=column.value, reverse=not ascending)  # type: ignore[arg-type]
    return [*with_value, *(row for row in named if column.value(row) is None)]


def _name_order(row: ReportRow) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(name_label(row.names, number).casefold() for number in range(len(row.names))), row.names
