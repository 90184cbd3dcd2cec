"""Fills templates in. Each value is encoded for its place, so that no value can add a parameter, a member or a header.

A query parameter, form field or JSON member whose macros all lack a value is left out.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, unquote_plus

from postbacks.networks.custom.macros import Number, Values

MACRO = re.compile(r"\{([a-z][a-z0-9_]*)\}")
WHOLE_MACRO = re.compile(r"(\{[a-z][a-z0-9_]*\})")
# Also macros in the spelling of others: {CLICK_ID} {{click_id}}, and one that does not end.
BRACES = re.compile(r"\{+[^{}]*\}*|\}+")
# A string of JSON, or a macro outside of strings. No object begins with a name without quotation marks.
STRING_OR_MACRO = re.compile(r'"(?:[^"\\]|\\.)*"|\{([a-z][a-z0-9_]*)\}', re.DOTALL)
# Marks such a macro in the parsed template. Templates must not contain it (parse_json).
BARE = "\ue000"
# A body with more levels of objects and arrays is a mistake, and Python would run out of stack with a thousand.
MAX_LEVELS = 20
# PostgreSQL stores no NUL, and UTF-8 has no surrogates: JSON has both as \u0000 and \ud800.
UNSENDABLE = re.compile("[\0\ud800-\udfff]")
# What a value in a header may have: HTTP allows no line break and no control character.
HEADER_VALUE = re.compile(r"[ -~]+")
DOTS = frozenset({".", ".."})


class TemplateError(ValueError):
    """A template cannot be filled in; the text is a sentence for the form."""


class _Absent:
    """A field that is left out."""


ABSENT = _Absent()


def encoded(text: str) -> str:
    return quote(text, safe="")


def macros(text: str) -> set[str]:
    return set(MACRO.findall(text))


def fill(text: str, values: Values, encode: Callable[[str], str] = str) -> str | None:
    """The text with each macro replaced by its encoded value; None if it has macros and none of them has a value."""
    names = macros(text)
    if names and not names & values.keys():
        return None
    return MACRO.sub(lambda match: encode(str(values.get(match[1], ""))), text)


def fill_url(url: str, values: Values) -> str:
    """The URL without its fragment. TemplateError if a macro of the path has no value, or is a step to another path."""
    address, _, query = url.partition("#")[0].partition("?")
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    for name in macros(path):
        if name not in values:
            raise TemplateError(f"The URL needs {{{name}}}, which this event does not have.")
    steps = [fill(step, values, encoded) or "" for step in path.split("/")]
    for template, step in zip(path.split("/"), steps, strict=True):
        if step in DOTS and macros(template):
            raise TemplateError("A value in the URL would change the path.")
    filled = fill_pairs(query, values)
    return f"{scheme}{separator}{host}{slash}{'/'.join(steps)}{'?' if filled else ''}{filled}"


def fill_pairs(text: str, values: Values) -> str:
    """A query string, or the body of a form."""
    pieces = (fill(piece.strip(), values, encoded) for piece in text.split("&"))
    return "&".join(piece for piece in pieces if piece)


def parse_json(template: str) -> Any:
    """The template as JSON, with macros outside of strings marked. TemplateError for anything but object and array."""
    if BARE in template or "\\ue000" in template.lower():
        raise TemplateError("The body has a character that cannot be sent.")
    marked = STRING_OR_MACRO.sub(lambda match: f'"{BARE}{match[1]}"' if match[1] else match[0], template)
    try:
        parsed = json.loads(marked)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, character {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise TemplateError(f"The body is not valid JSON{where}.") from error
    if not isinstance(parsed, dict | list):
        raise TemplateError("The body must be a JSON object or array.")
    _refuse_unsendable(parsed, 1)
    return parsed


def _refuse_unsendable(part: Any, level: int) -> None:
    if isinstance(part, dict | list):
        if level > MAX_LEVELS:
            raise TemplateError(f"The body has more than {MAX_LEVELS} levels.")
        for name in part if isinstance(part, dict) else ():
            _refuse_unsendable(name, level)
            if macro := MACRO.search(name.replace(BARE, "{") + "}" * name.startswith(BARE)):
                raise TemplateError(f"{macro[0]} is the name of a member. Only values can contain macros.")
        for inner in part.values() if isinstance(part, dict) else part:
            _refuse_unsendable(inner, level + 1)
    elif isinstance(part, float) and not math.isfinite(part):
        raise TemplateError("The body has a number that cannot be sent.")
    elif isinstance(part, str) and UNSENDABLE.search(part):
        raise TemplateError("The body has a character that cannot be sent.")


def json_texts(parsed: Any) -> Iterator[str]:
    """Yield the texts of a parsed template, with {macro} for a marked one."""
    if isinstance(parsed, dict):
        for member in parsed.values():
            yield from json_texts(member)
    elif isinstance(parsed, list):
        for entry in parsed:
            yield from json_texts(entry)
    elif isinstance(parsed, str):
        yield f"{{{parsed[1:]}}}" if parsed.startswith(BARE) else parsed


def fill_json(parsed: Any, values: Values) -> Any:
    """The value for json.dumps. An object or array that only left-out fields were in is left out too."""
    filled = _fill(parsed, values)
    return type(parsed)() if filled is ABSENT else filled


def _fill(part: Any, values: Values) -> Any:
    if isinstance(part, dict):
        members = {name: _fill(member, values) for name, member in part.items()}
        filled = {name: member for name, member in members.items() if member is not ABSENT}
        return ABSENT if part and not filled else filled
    if isinstance(part, list):
        entries = [entry for entry in (_fill(entry, values) for entry in part) if entry is not ABSENT]
        return ABSENT if part and not entries else entries
    if not isinstance(part, str):
        return part
    if part.startswith(BARE):
        value = values.get(part[1:], ABSENT)
        return value.value if isinstance(value, Number) else value
    text = fill(part, values)
    return ABSENT if text is None else text


def parse_headers(text: str) -> list[tuple[str, str]]:
    """[(name, value template)] of lines such as `Authorization: Bearer {secret}`. TemplateError for another line."""
    headers = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name.strip()):
            raise TemplateError("Enter one header per line, such as Authorization: Bearer {secret}.")
        if not HEADER_VALUE.fullmatch(value.strip()):
            raise TemplateError(
                f"The header {name.strip()} has no value, or a character that is not allowed in headers."
            )
        headers.append((name.strip(), value.strip()))
    return headers


def fill_headers(text: str, values: Values) -> dict[str, str]:
    """The headers; one without a value, or with one that no header may carry, is left out."""
    filled = {name: fill(value, values) for name, value in parse_headers(text)}
    return {name: value for name, value in filled.items() if value and HEADER_VALUE.fullmatch(value)}


def literals(value: str) -> list[str]:
    """The texts between the macros of a header's value."""
    return [piece.strip(" :;,=|") for piece in WHOLE_MACRO.split(value)[::2]]


def pairs_by_name(text: str) -> dict[str, Any]:
    """{name: value} of a query or form; a name that is repeated has a list, and a value without a name the name ''."""
    found: dict[str, Any] = {}
    for piece in filter(None, text.split("&")):
        name, value = map(unquote_plus, piece.split("=", 1) if "=" in piece else ("", piece))
        found[name] = value if name not in found else [*_listed(found[name]), value]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
