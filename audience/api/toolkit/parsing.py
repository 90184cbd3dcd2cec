"""Bodies of the management API: JSON that PostgreSQL can store, and CSV."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer

from audience.api.toolkit.problems import TooLarge
from audience.intake.requests.body import ESCAPED_NUL, MAX_NESTING, is_nested_deeper

Context = Mapping[str, Any]
MAX_JSON_BYTES = 5 * 1024 * 1024
MAX_CSV_BYTES = 5 * 1024 * 1024


class StrictJSONParser(BaseParser):
    """JSON in UTF-8. NaN, lone surrogates and NUL characters are refused."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Context | None = None) -> Any:
        _refuse_compressed(parser_context)
        body = stream.read(MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise TooLarge
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not valid JSON: {error}.", "malformed") from None
        if is_nested_deeper(body, value):
            raise ParseError(f"The JSON is nested deeper than {MAX_NESTING} levels.", "malformed")
        if ESCAPED_NUL.search(body):
            raise ParseError("The body has NUL characters, which cannot be stored.", "malformed")
        return value


class CSVParser(BaseParser):
    """A CSV file as the body; `request.data` is its bytes."""

    media_type = "text/csv"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Context | None = None) -> Any:
        _refuse_compressed(parser_context)
        body = stream.read(MAX_CSV_BYTES + 1)
        if len(body) > MAX_CSV_BYTES:
            raise TooLarge
        return body


class CSVRenderer(BaseRenderer):
    """Lets an action offer `text/csv`. The action itself returns the streamed file; errors are still JSON."""

    media_type = "text/csv"
    format = "csv"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Context | None = None
    ) -> bytes:
        return JSONRenderer().render(data)


def _refuse_compressed(context: Context | None) -> None:
    """Raise UnsupportedMediaType for a Content-Encoding."""
    stated = context["request"].headers.get("Content-Encoding", "").strip() if context else ""
    if stated.lower() not in ("", "identity"):
        detail = f"Content-Encoding: {stated[:20]} is not supported. Send the body without compression."
        raise UnsupportedMediaType(stated, detail=detail)
