"""Lists of the management API: the newest rows first, by a cursor.

A cursor names the last row that was read, so that rows added meanwhile neither repeat nor hide others, and every page
costs the same. {"results": [...], "next": URL of the next page or null, "next_cursor": its `cursor` or null}.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from audience.hub.toolkit.paging import newest, parse_cursor

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
LIMIT, CURSOR = "limit", "cursor"
PARAMETERS = frozenset({LIMIT, CURSOR})
# The beginning of the position of a report.
OFFSET = "row:"
INVALID_CURSOR = "This cursor is not one of this list. Take it from `next_cursor` of the page before."


class KeysetPagination(BasePagination):
    """Pages of a queryset, newest first by the view's `ordering_field`, then by primary key."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        position = position_of(request, queryset.model._meta.pk.to_python)
        page = newest(queryset, by=view.ordering_field, before=position, size=limit_of(request))
        self.request, self.older = request, page.older
        return page.rows

    def get_paginated_response(self, data: Any) -> Response:
        return answer(self.request, data, older=self.older)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of a page; `schema` is that of its array of rows."""
        return {
            "type": "object",
            "required": ["results", "next", "next_cursor"],
            "properties": {
                # That of the array.
                "results": schema,
                "next": {
                    "type": ["string", "null"],
                    "format": "uri",
                    "example": None,
                    "description": "The URL of the next page; null on the last page.",
                },
                "next_cursor": {
                    "type": ["string", "null"],
                    "example": None,
                    "description": "The `cursor` of the next page.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        return [
            {"name": LIMIT, "in": "query", "schema": limit, "description": "How many rows a page has."},
            {
                "name": CURSOR,
                "in": "query",
                "schema": {"type": "string"},
                "description": "`next_cursor` of the page before; without it, the first page.",
            },
        ]


def limit_of(request: Request) -> int:
    """Return `limit` of the request. Raises ValidationError unless it is 1 to MAX_LIMIT."""
    text = request.query_params.get(LIMIT, str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise serializers.ValidationError({LIMIT: [f"`limit` is a number from 1 to {MAX_LIMIT}."]})
    return int(text)


def cursor_of(request: Request) -> str:
    """Return the position that the `cursor` of the request names; '' without one. Raises ValidationError."""
    text = request.query_params.get(CURSOR, "").rstrip("=")
    try:
        # Without `validate`, other characters are left out, and nothing but them is the first page.
        return b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, UnicodeError):
        raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]}) from None


def position_of(request: Request, parse_pk: Callable[[str], Any]) -> str:
    """Return the position of the request's cursor, '' without one. Raises ValidationError for one of another list."""
    position = cursor_of(request)
    if position and parse_cursor(position, parse_pk) is None:
        raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
    return position


def offset_of(request: Request) -> int:
    """Return the number of the first row that a cursor of `offset_cursor` names; 0 without one. Raises
    ValidationError."""
    position = cursor_of(request)
    text = position.removeprefix(OFFSET)
    if not position:
        return 0
    if not (position.startswith(OFFSET) and text.isascii() and text.isdecimal() and len(text) <= 9):
        raise serializers.ValidationError({CURSOR: [INVALID_CURSOR]})
    return int(text)


def offset_cursor(offset: int) -> str:
    """Return the cursor of the rows from a number on, of a report that is computed as a whole."""
    return encoded(f"{OFFSET}{offset}")


def encoded(position: str) -> str:
    """Return the cursor that names a position."""
    return urlsafe_b64encode(position.encode()).decode().rstrip("=")


def answer(request: Request, results: Any, *, older: str) -> Response:
    """Return a page of a list; `older` is the position after its last row, '' on the last page."""
    if not older:
        return Response({"results": results, "next": None, "next_cursor": None})
    return followed(request, results, after=older, is_complete=False)


def followed(request: Request, results: Any, *, after: str, is_complete: bool) -> Response:
    """Return a page of a list that goes on; `after` is the position of the next one. `next` is null if `is_complete`:
    there are no more rows now."""
    cursor = encoded(after)
    url = replace_query_param(str(settings.PUBLIC_URL) + request.get_full_path(), CURSOR, cursor)
    return Response({"results": results, "next": None if is_complete else url, "next_cursor": cursor})


class WholeList(KeysetPagination):
    """A short list, which is answered as one page and takes no parameters."""

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []
