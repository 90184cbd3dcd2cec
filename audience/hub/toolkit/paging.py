"""Keyset paging: "Older" starts after the last row seen, so a page costs the same however deep it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

T = TypeVar("T", bound=Model)
SIZE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows newest first; `older` is the `before` of the next page, blank on the last one."""

    rows: list[T]
    older: str


def newest(rows: QuerySet[T], *, by: str, before: str, key: Callable[[str], Any], size: int = SIZE) -> Page[T]:
    """The newest `size` rows by the moment in column `by`, then by primary key.

    `key` reads a primary key from text. A `before` that cannot be read means the first page.
    """
    asked = cursor(before, key)
    if asked:
        moment, pk = asked
        # The first condition is what an index of `by` can start at; without it every page reads all pages before it.
        rows = rows.filter(Q(**{f"{by}__lte": moment}) & (Q(**{f"{by}__lt": moment}) | Q(pk__lt=pk)))
    found = list(rows.order_by(f"-{by}", "-pk")[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(rows=found[:size], older=after(getattr(last, by), last.pk) if last else "")


def after(moment: datetime, pk: Any) -> str:
    """The `before` of the page that follows this row."""
    return f"{moment.isoformat()}~{pk}"


def cursor(before: str, key: Callable[[str], Any]) -> tuple[datetime, Any] | None:
    """The row that a `before` names; None when it cannot be read."""
    moment, _, pk = before.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        return (at, key(pk)) if at.tzinfo else None
    except ValueError:
        return None
