"""Objects in the free-form JSON of events: what is not an object counts as an empty one."""

from collections.abc import Mapping
from typing import Any


def as_object(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}


def address_of(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `address` of a source, or the first of a list; {} for none."""
    address = source.get("address")
    return as_object(address[0] if isinstance(address, list) and address else address)
