"""Lines of CSV that a spreadsheet opens and does not run."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse

# A spreadsheet reads a cell that begins so as a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")
TOGETHER = 100


def lines(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Lines with CRLF, the first one the names of the columns."""
    writer: Any = csv.writer(_Line())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def streamed(pieces: Iterable[str], *, name: str, content_type: str) -> StreamingHttpResponse:
    """The pieces as a file called `name`, a hundred at a time, since each write to the socket costs."""
    response = StreamingHttpResponse(_encoded(pieces), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class _Line:
    """What csv writes to: it hands the line straight back."""

    def write(self, line: str) -> str:
        return line


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula, with a ' before it; our own numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _encoded(pieces: Iterable[str]) -> Iterator[bytes]:
    held: list[str] = []
    for piece in pieces:
        held.append(piece)
        if len(held) == TOGETHER:
            yield "".join(held).encode()
            held.clear()
    yield "".join(held).encode()
