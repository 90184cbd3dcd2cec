"""The filters of Live events."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import QuerySet

from audience.hub.events.click_macros import ClickMacro
from audience.hub.events.placeholders import Placeholder

Rows = TypeVar("Rows", bound=QuerySet[Any])
# A start, and an end that is not included.
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """The filters; '' and None match everything.

    `person` is an id of any kind, `before` a cursor of a page of both tables (selection.parse_cursor).
    `names` are several event names, `received` and `happened` the start and end of a time.
    """

    status: str = ""
    kind: str = ""
    name: str = ""
    dialect: str = ""
    key: int | None = None
    person: str = ""
    placeholder: Placeholder | None = None
    macro: ClickMacro | None = None
    names: tuple[str, ...] = ()
    received: Span | None = None
    happened: Span | None = None
    before: str = ""

    @property
    def is_filtered(self) -> bool:
        return bool(self.person or self.status or self._unindexed)

    def starting(self, *, before: str) -> "EventFilter":
        """Return the filter of the page after a cursor."""
        return replace(self, before=before)

    @property
    def is_of_events_only(self) -> bool:
        """Whether rejections have none of what is filtered by."""
        return bool(self.placeholder or self.macro or self.names or self.happened)

    @property
    def needs_scan(self) -> bool:
        """Whether events are found by reading the newest ones, because no index supports the filter."""
        return bool(self._unindexed) and not self.person

    @property
    def _unindexed(self) -> bool:
        exact = (self.kind, self.name, self.dialect, self.key, self.placeholder, self.macro)
        return any((*exact, self.names, self.received, self.happened))


def read_span(query: Mapping[str, str], name: str) -> Span | None:
    """Return the span of `<name>_from` and `<name>_until`, ISO 8601 with an offset; None if it is incomplete."""
    try:
        start, end = (datetime.fromisoformat(query.get(f"{name}_{bound}", "")) for bound in ("from", "until"))
    except ValueError:
        return None
    return (start, end) if start.tzinfo and end.tzinfo else None


def within(rows: Rows, column: str, span: Span | None) -> Rows:
    """Return the rows whose time in `column` is in the span, if there is one."""
    return rows.filter(**{f"{column}__gte": span[0], f"{column}__lt": span[1]}) if span else rows
