"""Validates a request body against its network's JSON Schema."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, ValidationError

FieldPath = tuple[str | int, ...]

# Validating a body with a million invalid entries would take half a minute.
MAX_ERRORS = 5_000


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """A failed keyword of the schema, `rule`, with its value `expected`, and the `value` in the body.

    `path` ends in the field's name, also where that field is missing (`required`, `then`) or unknown
    (`additionalProperties`). `then`: it is missing because of another field's value.
    """

    path: FieldPath
    rule: str
    expected: Any
    value: Any = ""

    @property
    def is_size(self) -> bool:
        return self.rule in ("minItems", "maxItems")


class BodySchema:
    def __init__(self, file: Path) -> None:
        self._validator = Draft7Validator(json.loads(file.read_text(encoding="utf-8")))

    def problems(self, body: Any) -> list[SchemaProblem]:
        """The problems of the first MAX_ERRORS failed keywords, in the schema's order: a level before its contents."""
        errors = islice(self._validator.iter_errors(body), MAX_ERRORS)
        problems = [problem for error in errors for problem in _problems(error)]
        return list({(problem.path, problem.rule): problem for problem in problems}.values())


def _problems(error: ValidationError) -> Iterator[SchemaProblem]:
    path, rule = tuple(error.absolute_path), str(error.validator)
    expected: Any = error.validator_value
    schema: Any = error.schema
    value: Any = error.instance
    if rule == "required":
        rule = "then" if "then" in error.relative_schema_path else rule
        yield from (SchemaProblem((*path, name), rule, expected) for name in expected if name not in value)
    elif rule == "additionalProperties":
        unknown = [name for name in value if name not in schema["properties"]]
        yield from (SchemaProblem((*path, name), rule, expected, value[name]) for name in unknown)
    else:
        yield SchemaProblem(path, rule, expected, value)


def dotted(path: FieldPath) -> str:
    """`("contents", 0, "content_id")` as `contents.0.content_id`."""
    return ".".join(str(step) for step in path)
