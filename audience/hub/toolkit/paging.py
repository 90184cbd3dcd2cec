"""Keyset paging: "Older" starts after the last row shown, so that every page costs the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

T = TypeVar("T", bound=Model)
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, newest first; `older` is the `before` of the next page, blank on the last."""

    rows: list[T]
    older: str


def newest(rows: QuerySet[T], *, by: str, before: str = "", size: int = PAGE_SIZE) -> Page[T]:
    """Return the newest `size` rows by the column `by`, then by primary key.

    An unreadable `before` means the first page.
    """
    selected = list(_after(before, rows, by).order_by(f"-{by}", "-pk")[: size + 1])
    last = selected[size - 1] if len(selected) > size else None
    return Page(rows=selected[:size], older=cursor_after(getattr(last, by), last.pk) if last else "")


def scan_floor(rows: QuerySet[T], *, by: str, limit: int, before: str = "") -> datetime | None:
    """Return the time of the last of the `limit` newest rows after a cursor; None if there are fewer."""
    return _after(before, rows, by).order_by(f"-{by}").values_list(by, flat=True)[limit - 1 : limit].first()


def cursor_before(moment: datetime, model: type[Model]) -> str:
    """Return the `before` of the page whose rows are all before this time."""
    return cursor_after(moment, model._meta.pk.to_python(0))


def _after(before: str, rows: QuerySet[T], by: str) -> QuerySet[T]:
    """Return the rows that a list has after a cursor."""
    start = parse_cursor(before, rows.model._meta.pk.to_python)
    if start is None:
        return rows
    moment, pk = start
    # With the first condition an index of `by` is read from here; without it every page reads all earlier pages.
    return rows.filter(Q(**{f"{by}__lte": moment}) & (Q(**{f"{by}__lt": moment}) | Q(pk__lt=pk)))


def newest_in_pages(rows: QuerySet[T], *, by: str, size: int) -> Iterator[T]:
    """Yield all rows in the order of `newest`, read `size` at a time to bound memory."""
    page = newest(rows, by=by, size=size)
    yield from page.rows
    while page.older:
        page = newest(rows, by=by, before=page.older, size=size)
        yield from page.rows


def cursor_after(moment: datetime, pk: Any) -> str:
    """Return the `before` of the page after this row."""
    return f"{moment.isoformat()}~{pk}"


def parse_cursor(before: str, parse_pk: Callable[[str], Any]) -> tuple[datetime, Any] | None:
    """Parse a `before` of cursor_after: (moment in UTC, primary key), or None if it is blank or invalid."""
    text, _, pk = before.partition("~")
    try:
        moment = datetime.fromisoformat(text)
        # PostgreSQL refuses offsets of 16 hours and more.
        return (moment.astimezone(UTC), parse_pk(pk)) if moment.tzinfo else None
    except (ValueError, OverflowError, ValidationError):
        return None
