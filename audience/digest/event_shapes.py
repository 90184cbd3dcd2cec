"""Which properties JSON objects have, and of which types: names and types only, never values."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from types import NoneType
from typing import Any

import orjson

from audience.models import PropertyType
from audience.models.event_counts import EMPTY, OTHER_PATH

# Properties that are read of one event: first its own, then those in objects.
MAX_READ = 100
TYPES: Mapping[type, str] = {
    str: PropertyType.TEXT.value,
    int: PropertyType.NUMBER.value,
    float: PropertyType.NUMBER.value,
    bool: PropertyType.BOOLEAN.value,
    list: PropertyType.LIST.value,
    dict: PropertyType.OBJECT.value,
    NoneType: EMPTY,
}
# {(path, type): events}
PathCounts = Counter[tuple[str, str]]


def count_paths(objects: str, unread: int = 0) -> PathCounts:
    """Return the properties of JSON objects, which are separated by commas.

    OTHER_PATH counts the objects with more properties than are read, and `unread` further objects.
    """
    counts: PathCounts = Counter({(OTHER_PATH, ""): unread} if unread else {})
    # Events of one name mostly have the same properties, which are then examined once.
    shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], list[dict[str, Any]]] = defaultdict(list)
    for one in _loaded(f"[{objects}]"):
        if type(one) is dict:  # version 0.1.0 stored any JSON
            shapes[tuple(one), tuple(map(type, one.values()))].append(one)
    may_be_blank = '""' in objects
    for (paths, types), found in shapes.items():
        if may_be_blank or dict in types or len(types) > MAX_READ:
            for one in found:
                counts.update(paths_of(one).items())
        else:
            for path, kind in zip(paths, types, strict=True):
                counts[path, TYPES[kind]] += len(found)
    return counts


def paths_of(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return {path: type} of one event; `cart.total` is a property in an object."""
    found: dict[str, str] = {}
    for path, value in islice(_paths(properties), MAX_READ):
        # A property with a dot in its name precedes one in an object, as in conditions of goals.
        found.setdefault(path, EMPTY if value == "" else TYPES[type(value)])
    if next(islice(_paths(properties), MAX_READ, None), None):
        found[OTHER_PATH] = ""
    return found


def _paths(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from properties.items()
    for name, value in properties.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())


def _loaded(text: str) -> list[Any]:
    try:
        return list(orjson.loads(text))
    except orjson.JSONDecodeError:
        return list(json.loads(text))  # numbers of PostgreSQL that orjson does not read
