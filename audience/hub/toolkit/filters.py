"""Filters in the URL, so that a filtered list can be shared and reloaded."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    text: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """A row of links, or a menu in a form; `chosen` is the current value."""

    name: str
    label: str
    chosen: str
    options: list[Option]


def choice(
    request: HttpRequest,
    name: str,
    *,
    label: str,
    choices: Iterable[tuple[str, str]],
    default: str = "",
    clears: Collection[str] = (),
) -> Filter:
    """Read `name` from the URL; unknown values count as `default`. The links leave out the parameters of `clears`."""
    texts = dict(choices)
    requested = request.GET.get(name, default)
    chosen = requested if requested in texts else default
    options = [
        Option(value=value, text=text, href=_href(request, name, value, default, clears), is_chosen=value == chosen)
        for value, text in texts.items()
    ]
    return Filter(name=name, label=label, chosen=chosen, options=options)


def _href(request: HttpRequest, name: str, value: str, default: str, clears: Collection[str]) -> str:
    """Return this page's URL with another value of the filter, the same other filters, and the first page of rows."""
    query = {key: present for key, present in request.GET.items() if key not in (name, "before", *clears)}
    if value != default:
        query[name] = value
    return f"?{urlencode(query)}"


def search_text(request: HttpRequest, name: str, *, length: int = 512) -> str:
    """Return the entered text without NUL characters, which PostgreSQL cannot store."""
    return request.GET.get(name, "").replace("\0", "").strip()[:length]


def parse_uuid(text: str) -> UUID | None:
    """Parse a UUID; None if the text is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None
