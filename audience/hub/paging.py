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
    cursor = _cursor(before, key)
    if cursor:
        moment, pk = cursor
        rows = rows.filter(Q(**{f"{by}__lt": moment}) | Q(**{by: moment, "pk__lt": pk}))
    found = list(rows.order_by(f"-{by}", "-pk")[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(rows=found[:size], older=f"{getattr(last, by).isoformat()}~{last.pk}" if last else "")


def _cursor(before: str, key: Callable[[str], Any]) -> tuple[datetime, Any] | None:
    moment, _, pk = before.partition("~")
    try:
        at = datetime.fromisoformat(moment)
        return (at, key(pk)) if at.tzinfo else None
    except ValueError:
        return None
