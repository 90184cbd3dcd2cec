"""Answers without Django to requests for pages and the management API whose body cannot be read."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import orjson

from audience.intake.bodies import AsgiMessage, BodyAborted, ServerBusy
from audience.intake.dialects.route import RETRY_AFTER_SECONDS
from audience.intake.requests import request_id

# Below it, errors are problem details (RFC 9457), as docs/api.md describes.
MANAGEMENT_API = "/api/v1/"
PROBLEM, TEXT = b"application/problem+json", b"text/plain; charset=utf-8"
CODES = {408: "request_timeout", 413: "too_large", 503: "unavailable"}


async def refuse_page(
    scope: MutableMapping[str, Any], error: BodyAborted, send: Callable[[AsgiMessage], Awaitable[None]]
) -> None:
    if isinstance(error, ServerBusy):
        await refuse(scope, 503, "The server has too many requests in progress. Try again in a few seconds.", send)
    else:
        await refuse(scope, 408, "The request took too long to arrive.", send)


async def refuse(
    scope: MutableMapping[str, Any], status: int, text: str, send: Callable[[AsgiMessage], Awaitable[None]]
) -> None:
    """Answer with a status of CODES. The connection is closed afterward, since more of the body may arrive."""
    is_api = scope["path"].startswith(MANAGEMENT_API)
    body = _problem(scope, status, text) if is_api else f"{text}\n".encode()
    headers = [(b"content-type", PROBLEM if is_api else TEXT), (b"content-length", str(len(body)).encode())]
    headers += [(b"cache-control", b"no-store")] if is_api else []
    headers += [(b"retry-after", str(RETRY_AFTER_SECONDS).encode())] if status == 503 else []
    headers += [(b"connection", b"close")] if scope["http_version"] == "1.1" else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _problem(scope: MutableMapping[str, Any], status: int, text: str) -> bytes:
    return orjson.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": text,
            "code": CODES[status],
            "request_id": scope[request_id.KEY],
            "errors": [],
        }
    )
