"""The ASGI application of a web process.

It answers wire routes itself, all of them on one thread: a request needs the processor for a fraction of a millisecond
and then waits for the disk with others.

What would keep that thread from its next request (a page, a large body, a key not looked up lately) goes on to Django's
own threads, where `entry.IntakeMiddleware` takes the same short way. Its body has been read by then: no thread waits
for a sender (bodies.py).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import quote_from_bytes

from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from audience.intake.bodies import Bodies, Crowded, Dropped, Gone, Message, Receive
from audience.intake.dialects.base import RETRY_AFTER, IngestView
from audience.intake.entry import VIEWS, count, must_be_https

# The words of ASGI (asgi.readthedocs.io): what is asked, and what goes out.
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Bytes. Reading a batch of a hundred messages takes the event loop some milliseconds, and others wait so long.
LARGEST_ON_LOOP = 128 * 1024
# Bytes of all bodies that are here and not answered. At a few thousand events a second these are some seconds' work;
# whoever comes on top would wait until its sender has given up, and is told to come back instead.
MOST_IN_HAND = 8 * 1024 * 1024
# Bytes, more than any dialect or page takes. The rest of a longer body is not read.
LARGEST = 5 * 1024 * 1024
# The stream of a request whose body has been read.
NOTHING = BytesIO()
ASCII = bytes(range(128))


class Front:
    """`pages` is the ASGI application of everything that does not fit on the event loop; `quick`, by path, are those
    that need neither a body nor a thread."""

    def __init__(self, pages: Application, quick: Mapping[str, Application] | None = None) -> None:
        self.pages, self.quick = pages, quick or {}
        self.bodies = Bodies()
        self.in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.pages(scope, _coming(receive), send)
            return
        scope["headers"] = without_underscores(scope["headers"])
        scope["query_string"] = in_ascii(scope["query_string"])
        view = VIEWS.get(scope["path"])
        if view is None and (quick := self.quick.get(scope["path"])) is not None:
            await quick(scope, receive, send)
            return
        try:
            await self._take(view, scope, receive, send)
        except Gone:
            return  # nobody is there to be answered
        except Dropped as why:
            await (_refuse_page(scope, why, send) if view is None else _turn_away(view, scope, why, send))

    async def _take(self, view: Any, scope: Scope, receive: Receive, send: Send) -> None:
        size = _size(scope)
        # Of one that says itself that it is too long not a byte is taken; a wire route says so in its own words.
        read = b"" if size == 0 or (size or 0) > LARGEST else await self.bodies.read(receive, limit=LARGEST)
        if size is None:
            scope["headers"] = [*scope["headers"], (b"content-length", str(len(read)).encode())]
        if view is None and max(size or 0, len(read)) > LARGEST:
            await _say(scope, 413, f"The request is larger than {LARGEST} bytes.", send)
            return
        if view is not None and len(read) <= LARGEST_ON_LOOP and await self._answer(view, scope, read, send):
            return
        with self.bodies.holding(len(read)):
            await self.pages(scope, _again(read, receive), send)

    async def _answer(self, view: Any, scope: Scope, read: bytes, send: Send) -> bool:
        """False, and nothing sent, when the request needs a thread."""
        # Counted once it is here: a slow sender's body must not keep others out while it comes.
        if self.in_hand and self.in_hand + len(read) > MOST_IN_HAND:
            raise Crowded
        self.in_hand += len(read)
        try:
            # Behind those that have come meanwhile: they are counted before one of them is worked on.
            await asyncio.sleep(0)
            return await _answered(view, scope, read, send)
        finally:
            self.in_hand -= len(read)


async def _turn_away(view: Any, scope: Scope, why: Dropped, send: Send) -> None:
    """503 without a look at the body, in the words of the route.

    Also to a sender that was too slow: its next try may be faster, and what is answered 4xx is lost for good.
    """
    start = time.perf_counter()
    request = ASGIRequest(scope, NOTHING)
    route: IngestView = view.view_class(**view.view_initkwargs)
    response = route.turn_away(request, str(why))
    if scope["http_version"] == "1.1":
        response.headers["Connection"] = "close"  # the rest of the body may still come
    await _send(route, request, response, start, send)


async def _refuse_page(scope: Scope, why: Dropped, send: Send) -> None:
    if isinstance(why, Crowded):
        await _say(scope, 503, "The server has too much in hand; try again in a few seconds.", send)
    else:
        await _say(scope, 408, "The request took too long to arrive.", send)


async def _say(scope: Scope, status: int, sentence: str, send: Send) -> None:
    """An answer without Django, after which the connection is closed: more of the body may come."""
    body = f"{sentence}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(b"retry-after", str(RETRY_AFTER).encode())] if status == 503 else []
    headers += [(b"connection", b"close")] if scope["http_version"] == "1.1" else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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


def in_ascii(query: bytes) -> bytes:
    """The query with everything else percent-encoded, as browsers send it: what runs the pages reads ASCII only."""
    return query if query.isascii() else quote_from_bytes(query, safe=ASCII).encode()


def _size(scope: Scope) -> int | None:
    """What the sender says of its body; None when it does not know, or over HTTP/2 says nothing."""
    size: int | None = 0 if scope["http_version"].startswith("1") else None
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            size = None
    return size


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
