"""The ASGI application of a web process.

Routes for events are answered on the event loop: a request uses the CPU for a fraction of a millisecond and then waits
for a commit that it shares with others. Everything that would block the loop (pages, consent, erasure, large bodies, a
key that is not in the cache) is passed to Django on threads, where `middleware.IntakeMiddleware` also bypasses the
other middleware. Bodies are read here in both cases, so that no thread waits for a client (bodies.py).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from io import BytesIO
from itertools import chain
from typing import Any
from urllib.parse import quote_from_bytes

import structlog
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.bodies import AsgiMessage, Bodies, BodyAborted, ClientDisconnected, Receive, ServerBusy
from audience.intake.dialects.base import IngestView
from audience.intake.dialects.route import Route
from audience.intake.middleware import must_be_https, observe, view_of
from audience.intake.refusals import refuse, refuse_page
from audience.intake.requests import request_id

# The types of ASGI (asgi.readthedocs.io).
Scope = MutableMapping[str, Any]
Send = Callable[[AsgiMessage], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Parsing a batch of a hundred messages occupies the event loop for some milliseconds. Larger bodies go to a thread.
MAX_LOOP_BODY_BYTES = 128 * 1024
# Of all requests that are being answered on the event loop: a few seconds of work at several thousand events a second.
# Further requests would be answered after their clients have timed out, and get 503.
MAX_IN_FLIGHT_BYTES = 8 * 1024 * 1024
# More than any dialect or page accepts. The rest of a longer body is not read.
MAX_BODY_BYTES = 5 * 1024 * 1024
EMPTY_STREAM = BytesIO()
ASCII_BYTES = bytes(range(128))


class IngestApp:
    """`pages` is the ASGI application for all requests that are not answered on the event loop. `quick` maps paths to
    applications that need neither a body nor a thread."""

    def __init__(self, pages: Application, quick: Mapping[str, Application] | None = None) -> None:
        self.pages, self.quick = pages, quick or {}
        self.bodies = Bodies()
        self.in_flight_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.pages(scope, receive, send)
            return
        scope["headers"] = without_ambiguous_headers(scope["headers"])
        scope["query_string"] = percent_encode(scope["query_string"])
        value = request_id.start(scope)
        with structlog.contextvars.bound_contextvars(request_id=value):
            await self._serve(scope, receive, with_request_id(send, value))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        view = view_of(scope["path"])
        if view is None and (quick := self.quick.get(scope["path"])) is not None:
            await quick(scope, receive, send)
            return
        try:
            await self._handle(view, scope, receive, send)
        except ClientDisconnected:
            return
        except BodyAborted as error:
            await (refuse_page(scope, error, send) if view is None else _refuse_unread(view, scope, error, send))

    async def _handle(self, view: Any, scope: Scope, receive: Receive, send: Send) -> None:
        length = _content_length(scope)
        is_too_large = length is not None and length > MAX_BODY_BYTES
        # A body whose stated length is too large is not read; an ingestion route answers it in its own format.
        body = b"" if length == 0 or is_too_large else await self.bodies.read(receive, limit=MAX_BODY_BYTES)
        if length is None:
            scope["headers"] = [*scope["headers"], (b"content-length", str(len(body)).encode())]
        if view is None and (is_too_large or len(body) > MAX_BODY_BYTES):
            await refuse(scope, 413, f"The request is larger than {MAX_BODY_BYTES} bytes.", send)
            return
        if _is_for_loop(view, len(body)) and await self._answer(view, scope, body, send):
            return
        with self.bodies.reserve(len(body)):
            await self.pages(scope, partial(_receive_body, body), send)

    async def _answer(self, view: Any, scope: Scope, body: bytes, send: Send) -> bool:
        """Return False, and send nothing, when the request needs a thread. Raises `ServerBusy` at the memory limit."""
        # Counted once the body is complete, so that slow clients do not use up the limit.
        if self.in_flight_bytes and self.in_flight_bytes + len(body) > MAX_IN_FLIGHT_BYTES:
            raise ServerBusy
        self.in_flight_bytes += len(body)
        try:
            # So that other requests that have arrived are counted before this one is processed.
            await asyncio.sleep(0)
            return await _answer_on_loop(view, scope, body, send)
        finally:
            self.in_flight_bytes -= len(body)


def _is_for_loop(view: Any, size: int) -> bool:
    """Whether a request with a body of `size` bytes may be answered on the event loop: a route for events."""
    return view is not None and issubclass(view.view_class, IngestView) and size <= MAX_LOOP_BODY_BYTES


async def _refuse_unread(view: Any, scope: Scope, error: BodyAborted, send: Send) -> None:
    """Answer 503 in the format of the route, also if the client was too slow: SDKs drop data on a 4xx."""
    start = time.perf_counter()
    request = ASGIRequest(scope, EMPTY_STREAM)
    route: Route = view.view_class(**view.view_initkwargs)
    response = route.refuse_unread(request, str(error))
    if scope["http_version"] == "1.1":
        response.headers["Connection"] = "close"  # the rest of the body may still arrive
    await _send(route, request, response, start, send)


async def _answer_on_loop(view: Any, scope: Scope, body: bytes, send: Send) -> bool:
    """Return False, and send nothing, when the request needs a thread or has to be redirected to HTTPS."""
    start = time.perf_counter()
    request = ASGIRequest(scope, EMPTY_STREAM)
    request._body = body
    if must_be_https(request):
        return False
    route: IngestView = view.view_class(**view.view_initkwargs)
    route.is_on_loop = True
    try:
        response = await route.answer(request)
    except SynchronousOnlyOperation:
        return False
    await _send(route, request, response, start, send)
    return True


async def _send(route: Route, request: HttpRequest, response: HttpResponseBase, start: float, send: Send) -> None:
    assert isinstance(response, HttpResponse), "no ingestion route streams"
    observe(request, response, start)
    content, cookies = response.content, [("Set-Cookie", one.OutputString()) for one in response.cookies.values()]
    fields = chain(response.items(), route.cors(request).items(), cookies)
    headers = [
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def with_request_id(send: Send, value: str) -> Send:
    """Return `send` with the header X-Request-ID added to the answer, unless a middleware has set it."""
    name = request_id.HEADER.lower().encode()

    async def send_with_request_id(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            headers = [header for header in message.get("headers", ()) if header[0].lower() != name]
            message = {**message, "headers": [*headers, (name, value.encode())]}
        await send(message)

    return send_with_request_id


def without_ambiguous_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without an underscore in their names: Django treats X_Forwarded_For, which proxies do not replace,
    like the X-Forwarded-For of trusted proxies."""
    return [header for header in headers if b"_" not in header[0]]


def percent_encode(query: bytes) -> bytes:
    """The query with non-ASCII bytes percent-encoded, as browsers send them: the WSGI bridge accepts ASCII only."""
    return query if query.isascii() else quote_from_bytes(query, safe=ASCII_BYTES).encode()


def _content_length(scope: Scope) -> int | None:
    """The stated length of the body in bytes; None when it is not stated (chunked, or HTTP/2 without the header)."""
    length: int | None = 0 if scope["http_version"].startswith("1") else None
    for name, value in scope["headers"]:
        if name == b"content-length":
            # A number of many digits is larger than any body: Python refuses to read some thousand of them.
            return int(value.lstrip(b"0")[:18] or b"0") if value.isdigit() else None
        if name == b"transfer-encoding":
            length = None
    return length


async def _receive_body(body: bytes) -> AsgiMessage:
    """The `receive` callable of a request whose body was read already."""
    return {"type": "http.request", "body": body, "more_body": False}
