"""Rows of days, such as costs, by pages, the newest day first."""

from datetime import date
from typing import TypeVar

from django.db.models import Q, QuerySet

from audience.hub.toolkit.paging import Page
from postbacks.models import AdCost, SteamVisits

Row = TypeVar("Row", AdCost, SteamVisits)


def newest_by_day(rows: QuerySet[Row], *, after: str, size: int) -> Page[Row] | None:
    """Return the page after a row, the first one for ''; None if `after` is not `Page.older` of another page."""
    if after:
        position = _parse(after)
        if position is None:
            return None
        day, pk = position
        rows = rows.filter(Q(day__lte=day) & (Q(day__lt=day) | Q(pk__lt=pk)))
    selected = list(rows.order_by("-day", "-pk")[: size + 1])
    last = selected[size - 1] if len(selected) > size else None
    return Page(rows=selected[:size], older=f"{last.day}~{last.pk}" if last else "")


def _parse(text: str) -> tuple[date, int] | None:
    day, _, pk = text.partition("~")
    if not (pk.isascii() and pk.isdecimal() and len(pk) <= 18):
        return None
    try:
        return date.fromisoformat(day), int(pk)
    except ValueError:
        return None
