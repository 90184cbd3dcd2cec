"""Describes a sent body for a page: every field with its value and a note."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

DescribedField = tuple[str, str, str]  # path, value, note
HIDDEN = "********"
INDEX = re.compile(r"\[\d+\]")


def described(payload: Mapping[str, Any], *, notes: Mapping[str, str], secret: tuple[str, str]) -> list[DescribedField]:
    """The header that carries the credential, `secret` = (name, note), then each field in the order of the body.

    A path is `data[0].user.email`; the keys of `notes` are paths without indexes.
    """
    name, note = secret
    rows = [(path, _text(value), notes.get(INDEX.sub("", path), "")) for path, value in leaves(payload, "")]
    return [(name, HIDDEN, note), *rows]


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each value that is no object and no array; a path is `data[0].user.email`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def _text(value: Any) -> str:
    """The value as in JSON, without quotation marks."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return str(value)
