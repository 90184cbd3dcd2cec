"""Requests whose body the server does not read, answered before Django is called."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest

from audience.intake.asgi import IngestApp
from audience.intake.bodies import BodyAborted, ServerBusy
from audience.intake.refusals import refuse_page

PATH = "/api/v1/games/a/keys"


async def pages(*_: Any) -> None:
    raise AssertionError


def too_large(path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body of the answer to a request of 6 MB."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", b"6000000"), (b"authorization", b"Bearer aftk_x")]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "headers": headers}
    asyncio.run(IngestApp(pages)({**scope, "query_string": b""}, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_a_body_over_the_limit_of_the_server_is_answered_as_a_problem() -> None:
    status, headers, body = too_large(PATH)
    assert (status, headers[b"content-type"], headers[b"connection"]) == (413, b"application/problem+json", b"close")
    assert json.loads(body) == {
        "type": "about:blank",
        "title": HTTPStatus(413).phrase,
        "status": 413,
        "detail": "The request is larger than 5242880 bytes.",
        "code": "too_large",
        "request_id": headers[b"x-request-id"].decode(),
        "errors": [],
    }


def test_a_page_answers_a_body_over_the_limit_as_text() -> None:
    status, headers, body = too_large("/games/a/keys/")
    assert (status, headers[b"content-type"]) == (413, b"text/plain; charset=utf-8")
    assert body == b"The request is larger than 5242880 bytes.\n"


@pytest.mark.parametrize(
    ("error", "status", "code", "wait"),
    [(ServerBusy(), 503, "unavailable", True), (BodyAborted(), 408, "request_timeout", False)],
)
def test_a_body_that_did_not_arrive_is_answered_as_a_problem(
    error: BodyAborted, status: int, code: str, wait: bool
) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"path": PATH, "http_version": "1.1", "afterclick.request_id": "1"}
    asyncio.run(refuse_page(scope, error, send))
    headers, problem = dict(sent[0]["headers"]), json.loads(sent[1]["body"])
    assert (sent[0]["status"], problem["status"], problem["code"]) == (status, status, code)
    assert headers[b"content-type"] == b"application/problem+json"
    assert (b"retry-after" in headers) == wait
