"""Small strict checks of a decoded JSON body: each yields what is wrong with a value, and where.

jsonschema would do the same, but only the tests have it; they hold these checks against the networks' schemas.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`rule` says what was expected: string, number, integer, object, array, choice, pattern, range, size, hash,
    missing or unknown."""

    path: Path
    rule: str
    value: Any = None


Check = Callable[[Any, Path], Iterator[Problem]]


def string(pattern: str | None = None, *, longest: int | None = None, rule: str = "pattern") -> Check:
    def check(value: Any, path: Path) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield Problem(path, "string", value)
        elif pattern is not None and not re.fullmatch(pattern, value):
            yield Problem(path, rule, value)
        elif longest is not None and not 1 <= len(value) <= longest:
            yield Problem(path, "size", value)

    return check


def number(*, least: float | None = None) -> Check:
    def check(value: Any, path: Path) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield Problem(path, "number", value)
        elif least is not None and value < least:
            yield Problem(path, "range", value)

    return check


def integer(*, least: int | None = None, most: int | None = None) -> Check:
    def check(value: Any, path: Path) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int):
            yield Problem(path, "integer", value)
        elif (least is not None and value < least) or (most is not None and value > most):
            yield Problem(path, "range", value)

    return check


def boolean(value: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(value, bool):
        yield Problem(path, "boolean", value)


def choice(*allowed: str) -> Check:
    def check(value: Any, path: Path) -> Iterator[Problem]:
        if value not in allowed:
            yield Problem(path, "choice", value)

    return check


def array(item: Check, *, least: int = 0, most: int | None = None) -> Check:
    def check(value: Any, path: Path) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield Problem(path, "array", value)
        elif len(value) < least or (most is not None and len(value) > most):
            yield Problem(path, "size", len(value))
        else:
            for index, entry in enumerate(value):
                yield from item(entry, (*path, index))

    return check


def shape(fields: Mapping[str, Check], *, required: tuple[str, ...] = (), strict: bool = False) -> Check:
    """An object. Unlisted keys are a problem only when `strict`."""

    def check(value: Any, path: Path) -> Iterator[Problem]:
        if not isinstance(value, dict):
            yield Problem(path, "object", value)
            return
        yield from (Problem((*path, name), "missing") for name in required if name not in value)
        for name, entry in value.items():
            if name in fields:
                yield from fields[name](entry, (*path, name))
            elif strict:
                yield Problem((*path, name), "unknown")

    return check


def dotted(path: Path) -> str:
    """`("contents", 0, "content_id")` as `contents.0.content_id`."""
    return ".".join(str(step) for step in path)
