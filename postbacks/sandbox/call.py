"""One request to a sandbox network, and the answer to it."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEADER_LIMIT = 64 * 1024  # bytes, of one header


@dataclass(frozen=True, slots=True)
class Call:
    """`headers` by lower-case name; `accounts` is what this network accepts now: credential -> pixels; `now` in Unix
    seconds, `over_quota` whether this call is one too many for its second."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    accounts: Mapping[str, set[str]]
    now: float
    over_quota: bool = False

    def json(self) -> Any:
        """The decoded body. ValueError when it is not JSON."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is sent as JSON, or as it is when it is text. `events` are the deduplication keys of accepted events."""

    status: int
    body: dict[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[tuple[str, ...], ...] = ()

    def encoded(self) -> tuple[str, bytes]:
        """(content type, bytes)"""
        if isinstance(self.body, str):
            html = self.body.lstrip().startswith("<")
            return f"text/{'html' if html else 'plain'}; charset=utf-8", self.body.encode()
        return "application/json", json.dumps(self.body).encode()

    @property
    def code(self) -> str:
        """TikTok's word for the outcome, which its HTTP status does not tell; '' where there is none."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


def read_headers(stream: io.BufferedIOBase) -> dict[str, str] | None:
    """Names as written, of a repeated one the last. None when the caller is gone before the empty line."""
    headers: dict[str, str] = {}
    while line := stream.readline(HEADER_LIMIT):
        if line in (b"\r\n", b"\n"):
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    return None
