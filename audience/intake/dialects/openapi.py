"""The words in which the dialects describe their routes: OpenAPI 3.1 as plain values, one line per part."""

from collections.abc import Iterable, Mapping
from typing import Any

Schema = dict[str, Any]
# (method, path) -> operation; the path as it stands in the document.
Operations = dict[tuple[str, str], Schema]
# Status -> answer.
Answers = dict[int, Schema]

JSON = "application/json"
TEXT = "text/plain"
# Not blank: white space, control characters and what stands for a NUL say nothing.
NOT_BLANK = r"[^\s\u0000-\u001f\u007f-\u009f\ufffd]"
FREE: Schema = {"type": ["object", "null"], "additionalProperties": True}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def thing(*required: str, **properties: Schema) -> Schema:
    """An object with these properties, of which `required` must be there; others are kept or ignored."""
    found: Schema = {"type": "object", "properties": properties}
    return {**found, "required": list(required)} if required else found


def said(text: str, schema: Schema) -> Schema:
    return {**schema, "description": text}


def words(longest: int, *, blank: bool = True) -> Schema:
    """A text of at most `longest` characters; with blank=False, one that says something."""
    return {"type": "string", "maxLength": longest} | ({} if blank else {"minLength": 1, "pattern": NOT_BLANK})


def one_of_texts(values: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(values)}


def either(*names: str, of: Schema | None = None) -> Schema:
    """At least one of these properties, and not null."""
    return {"anyOf": [{"required": [name], "properties": {name: of or {}}} for name in names]}


def content(media: str, schema: Schema, examples: Mapping[str, Any] | None = None) -> Schema:
    """One media type of a body; `examples` by their names."""
    shown = {"examples": {name: {"value": value} for name, value in examples.items()}} if examples else {}
    return {media: {"schema": schema, **shown}}


def answer(description: str, body: Schema | None = None, *headers: str) -> Schema:
    found: Schema = {"description": description}
    if body:
        found["content"] = body
    if headers:
        found["headers"] = {name: HEADERS[name] for name in headers}
    return found


def _header(text: str, schema: Schema) -> Schema:
    return {"description": text, "required": True, "schema": schema}


HEADERS = {
    "Retry-After": _header("Seconds to wait before the same request is sent again.", {"type": "integer", "minimum": 1}),
    "X-RateLimit-Reset": _header("Seconds until the key may call again.", {"type": "integer", "minimum": 1}),
    "Allow": _header("The methods that the route serves.", {"type": "string"}),
    "Cache-Control": _header("no-store: every sighting asks for the image anew.", {"type": "string"}),
}
AGAIN = ("Retry-After",)
LATER = ("Retry-After", "X-RateLimit-Reset")


def merged(first: Answers, second: Answers) -> Answers:
    """The answers of a route that speaks either dialect: each status with both bodies."""
    return {
        status: {
            **first.get(status, {}),
            **second.get(status, {}),
            "description": " ".join({a[status]["description"]: None for a in (first, second) if status in a}),
            "content": {k: v for a in (first, second) for k, v in a.get(status, {}).get("content", {}).items()},
        }
        for status in sorted({*first, *second})
    }


def shared(prefix: str, answers: Answers) -> dict[str, Schema]:
    """The answers as components, which operations then point at."""
    return {f"{prefix}{status}": found for status, found in answers.items()}


def pointing(prefix: str, answers: Iterable[int]) -> dict[int, Schema]:
    return {status: {"$ref": f"#/components/responses/{prefix}{status}"} for status in answers}


def query(name: str, text: str, *, required: bool = False, schema: Schema | None = None) -> Schema:
    found: Schema = {"name": name, "in": "query", "description": text, "schema": schema or {"type": "string"}}
    return {**found, "required": True} if required else found


def header(name: str, text: str) -> Schema:
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def operation(
    name: str,
    tag: str,
    summary: str,
    *,
    description: str = "",
    keys: Iterable[str] = (),
    keyless: bool = False,
    parameters: Iterable[Schema] = (),
    body: Schema | None = None,
    answers: Mapping[int, Schema],
) -> Schema:
    """One method of one route. `keys` are the security schemes, any of which will do; `keyless`: or none of them."""
    found: Schema = {"operationId": name, "tags": [tag], "summary": summary}
    if description:
        found["description"] = description
    if parameters:
        found["parameters"] = list(parameters)
    if body:
        found["requestBody"] = {"required": True, "content": body}
    found["security"] = [*({key: []} for key in keys), *([{}] if keyless else [])]
    found["responses"] = {str(status): answers[status] for status in sorted(answers)}
    return found
