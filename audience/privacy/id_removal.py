"""Removes an id from JSON, in whichever form and field it was sent."""

from typing import Any

from audience.ids import values


def without_id(value: Any, removed: str) -> Any:
    """Return the JSON without the fields and list members that are this id. `removed` is in its canonical form."""
    if isinstance(value, dict):
        return {name: without_id(part, removed) for name, part in value.items() if not _is(part, removed)}
    if isinstance(value, list):
        return [without_id(part, removed) for part in value if not _is(part, removed)]
    return value


def _is(value: Any, removed: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        return values.canonical(values.read_id(value)) == removed
    except values.LostDigits:
        return False
