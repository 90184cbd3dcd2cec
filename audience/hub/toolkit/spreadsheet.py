"""CSV whose cells a spreadsheet does not execute as formulas."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse

# Cells that begin with these are formulas (OWASP, CSV injection).
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")
LINES_PER_CHUNK = 100


def lines(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield lines with CRLF, the column names first."""
    writer: Any = csv.writer(_LineWriter())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def streamed(pieces: Iterable[str], *, name: str, content_type: str) -> StreamingHttpResponse:
    """Return a response that streams the file `name`, LINES_PER_CHUNK pieces (such as lines) per write."""
    response = StreamingHttpResponse(_encoded(pieces), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class _LineWriter:
    """A file for csv.writer whose `write` returns the line, so that writerow returns it too."""

    def write(self, line: str) -> str:
        return line


def _cell(value: Any) -> Any:
    """Prefix text that a spreadsheet would execute with a '; numbers are unchanged."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_PREFIXES) else value


def _encoded(pieces: Iterable[str]) -> Iterator[bytes]:
    chunk: list[str] = []
    for piece in pieces:
        chunk.append(piece)
        if len(chunk) == LINES_PER_CHUNK:
            yield "".join(chunk).encode()
            chunk.clear()
    yield "".join(chunk).encode()
