"""The short way in for wire routes: past the middleware that pages need, and on the event loop where there is one.

`Front` is the ASGI application of a web process. It answers wire routes itself, all of them on one thread: a request
needs the processor for a fraction of a millisecond and then waits for the disk with others. What would keep that
thread from its next request (a page, a large body, a key not looked up lately) goes on to Django's own threads, where
`IntakeMiddleware` takes the same short way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls.resolvers import RoutePattern
from prometheus_client import Counter, Histogram

from audience import overload
from audience.intake.dialects.base import IngestView
from audience.urls import urlpatterns

Respond = Callable[[HttpRequest], HttpResponseBase]
# The words of ASGI (asgi.readthedocs.io): what is asked, what comes in and what goes out.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Those with an argument in the address, and the `//` and trailing `/` of some SDKs, take the long way.
VIEWS: dict[str, Any] = {
    f"/{entry.pattern}": entry.callback
    for entry in urlpatterns
    if isinstance(entry.pattern, RoutePattern) and not entry.pattern.converters
}
# Bytes. Reading a batch of a hundred messages takes the event loop some milliseconds, and others wait so long.
LARGEST_ON_LOOP = 128 * 1024
# Requests in hand whose size is unknown: each may turn out to have the size below.
MOST_UNSIZED = 16
# Bytes, more than any dialect takes. The rest of a longer body is not read.
LARGEST = 5 * 1024 * 1024

REQUESTS = Counter("afterclick_intake_requests", "Answers of wire routes, by route and status.", ["route", "status"])
SECONDS = Histogram(
    "afterclick_intake_seconds",
    "From a request on a wire route to its answer, the wait for the disk included.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


# Looking a metric up by its labels takes longer than counting.
_seconds = lru_cache(maxsize=None)(SECONDS.labels)
_requests = lru_cache(maxsize=None)(REQUESTS.labels)


class IntakeMiddleware:
    """The outermost: sessions, CSRF, policies for pages and the like together take longer than taking an event in.

    A wire route authenticates by key and answers data, so none of them protects anything there. A request that has
    to be sent on to HTTPS goes the long way and is.
    """

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        view = VIEWS.get(request.path_info)
        if view is None or _must_be_https(request):
            return self.get_response(request)
        start = time.perf_counter()
        response: HttpResponseBase = view(request)
        _count(request, response, start)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if isinstance(response, HttpResponse):
            response.headers["Content-Length"] = str(len(response.content))
        return response


class Front:
    """`pages` is the ASGI application of everything that does not fit on the event loop."""

    def __init__(self, pages: Application) -> None:
        self.pages = pages
        self.unsized = asyncio.Semaphore(MOST_UNSIZED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        view = VIEWS.get(scope["path"]) if scope["type"] == "http" else None
        if view is None:
            await self.pages(scope, _coming(receive), send)
            return
        size = _size(scope)
        if size is None:
            async with self.unsized:
                await self._take(view, scope, receive, send, size)
        elif size > LARGEST_ON_LOOP:
            await self.pages(scope, _coming(receive), send)
        else:
            await self._take(view, scope, receive, send, size)

    async def _take(self, view: Any, scope: Scope, receive: Receive, send: Send, size: int | None) -> None:
        read = await _read(receive)
        if size is None:
            scope["headers"] = [*scope["headers"], (b"content-length", str(len(read)).encode())]
        if len(read) > LARGEST_ON_LOOP or not await _answered(view, scope, read, send):
            await self.pages(scope, _again(read, receive), send)


async def _answered(view: Any, scope: Scope, read: bytes, send: Send) -> bool:
    """False, and nothing sent, when the request needs a thread or has to be sent on to HTTPS."""
    start = time.perf_counter()
    request = ASGIRequest(scope, BytesIO(read))
    if _must_be_https(request):
        return False
    route: IngestView = view.view_class(**view.view_initkwargs)
    route.is_on_loop = True
    try:
        response = await route.answer(request)
    except SynchronousOnlyOperation:
        return False
    assert isinstance(response, HttpResponse), "no wire route streams"
    _count(request, response, start)
    if response.status_code == 503:
        await asyncio.to_thread(overload.note)  # Redis may keep a thread waiting
    content = response.content
    headers = [
        *_raw(tuple(response.items())),
        *_raw(tuple(route.cors(request).items())),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
    return True


def _count(request: HttpRequest, response: HttpResponseBase, start: float) -> None:
    _seconds(request.path_info).observe(time.perf_counter() - start)
    _requests(request.path_info, response.status_code).inc()


# Most answers carry the same ones.
@lru_cache(maxsize=1024)
def _raw(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _must_be_https(request: HttpRequest) -> bool:
    return bool(settings.SECURE_SSL_REDIRECT) and not request.is_secure()


def _size(scope: Scope) -> int | None:
    """What the sender says of its body; None when it does not know."""
    size: int | None = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            size = None
    return size


async def _read(receive: Receive) -> bytes:
    """The body, or so much that it is too large for every dialect, or what came before its sender went away."""
    message = await receive()
    if not message.get("more_body", False):
        return bytes(message.get("body", b""))
    read = bytearray(message["body"])
    while message.get("more_body", False) and len(read) <= LARGEST:
        message = await receive()
        read += message.get("body", b"")
    return bytes(read)


def _coming(receive: Receive) -> Receive:
    """A server may give anything that can be awaited; what runs `pages` on threads takes a coroutine only."""

    async def receive_one() -> Message:
        return await receive()

    return receive_one


def _again(read: bytes, receive: Receive) -> Receive:
    """What was read already, as if it had not been."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": read, "more_body": False}

    return receive_again
