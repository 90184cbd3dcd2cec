"""The ASGI application of a web process.

It answers wire routes itself, all of them on one thread: a request needs the processor for a fraction of a millisecond
and then waits for the disk with others.

What would keep that thread from its next request (a page, a large body, a key not looked up lately) goes on to Django's
own threads, where `entry.IntakeMiddleware` takes the same short way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience import overload
from audience.intake.dialects.base import IngestView
from audience.intake.entry import VIEWS, count, must_be_https

# The words of ASGI (asgi.readthedocs.io): what is asked, what comes in and what goes out.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Bytes. Reading a batch of a hundred messages takes the event loop some milliseconds, and others wait so long.
LARGEST_ON_LOOP = 128 * 1024
# Bytes of all bodies that are here and not answered. At a few thousand events a second these are some seconds' work;
# whoever comes on top would wait until its sender has given up, and is told to come back instead.
MOST_IN_HAND = 8 * 1024 * 1024
# Requests in hand whose size is unknown: each may turn out to have the size below.
MOST_UNSIZED = 16
# Bytes, more than any dialect takes. The rest of a longer body is not read.
LARGEST = 5 * 1024 * 1024
# The stream of a request whose body has been read.
NOTHING = BytesIO()


class Front:
    """`pages` is the ASGI application of everything that does not fit on the event loop."""

    def __init__(self, pages: Application) -> None:
        self.pages = pages
        self.unsized = asyncio.Semaphore(MOST_UNSIZED)
        self.in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = without_underscores(scope["headers"])
        view = VIEWS.get(scope["path"]) if scope["type"] == "http" else None
        if view is None:
            await self.pages(scope, _coming(receive), send)
            return
        size = _size(scope)
        if size is None:
            async with self.unsized:
                read = await _read(receive)
                scope["headers"] = [*scope["headers"], (b"content-length", str(len(read)).encode())]
                await self._take(view, scope, read, receive, send)
        elif size > LARGEST_ON_LOOP:
            await self.pages(scope, _coming(receive), send)
        else:
            await self._take(view, scope, await _read(receive), receive, send)

    async def _take(self, view: Any, scope: Scope, read: bytes, receive: Receive, send: Send) -> None:
        if len(read) <= LARGEST_ON_LOOP:
            # Counted once it is here: a slow sender's body must not keep others out while it comes.
            if self.in_hand and self.in_hand + len(read) > MOST_IN_HAND:
                await _turn_away(view, scope, send)
                return
            self.in_hand += len(read)
            try:
                # Behind those that have come meanwhile: they are counted before one of them is worked on.
                await asyncio.sleep(0)
                if await _answered(view, scope, read, send):
                    return
            finally:
                self.in_hand -= len(read)
        await self.pages(scope, _again(read, receive), send)


async def _turn_away(view: Any, scope: Scope, send: Send) -> None:
    """503 without a look at the body."""
    start = time.perf_counter()
    request = ASGIRequest(scope, NOTHING)
    route: IngestView = view.view_class(**view.view_initkwargs)
    await _send(route, request, route.turn_away(request), start, send)


async def _answered(view: Any, scope: Scope, read: bytes, send: Send) -> bool:
    """False, and nothing sent, when the request needs a thread or has to be sent on to HTTPS."""
    start = time.perf_counter()
    request = ASGIRequest(scope, NOTHING)
    request._body = read
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


async def _send(route: IngestView, request: HttpRequest, response: HttpResponseBase, start: float, send: Send) -> None:
    assert isinstance(response, HttpResponse), "no wire route streams"
    count(request, response, start)
    if response.status_code == 503:
        await asyncio.to_thread(overload.note)  # Redis may keep a thread waiting
    content = response.content
    headers = [
        *_raw((*response.items(), *route.cors(request).items())),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": content})


# Most answers carry the same ones. Few are kept, since senders write some of them as long as they like.
@lru_cache(maxsize=64)
def _raw(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def without_underscores(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers whose names are unambiguous: to Django X_Forwarded_For, which no proxy replaces, would be the
    X-Forwarded-For that our own proxies write."""
    return [header for header in headers if b"_" not in header[0]]


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
