"""A studio's website, and the server behind a proxy of its own: two origins that record requests and inject faults."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from audience.games.keys import NewKey
from audience.models import Event
from audience.pixel.snippet import snippet

PREFIX = "/e"
BEACON, ID = "/beacon/v1/batch", "/s/id"
SKIPPED = {"connection", "keep-alive", "transfer-encoding", "host", "server", "date", "content-length"}
PAGE = """<!doctype html>
<html lang="en">
<head><title>{title}</title>{head}</head>
<body>
<h1>{title}</h1>
<button id="play" data-ac="play_clicked">Play</button>
<form id="form" data-ac="newsletter_sent" action="/thanks">
<input name="email" value="player@example.com"><button>Send</button>
</form>
<a id="store" href="http://store.example:9/app/7?token=secret">Store</a>
</body>
</html>"""


@dataclass
class Request:
    """A request to the server, with the ids of its messages. `status` is that of the answer, 0 without one."""

    method: str
    path: str
    headers: Mapping[str, str]
    messages: list[dict[str, Any]]
    status: int = 0


@dataclass
class Studio:
    """`site` is the URL of the website, `server` that of the server on an origin of its own.

    `head` is the content of every page's head, `policy` its Content-Security-Policy. While `faults` has statuses, each
    request with messages is answered with the next one; `fault` answers all of them. Requests for the id are answered
    after `id_seconds`.
    """

    target: str
    key: str
    head: str = ""
    policy: str = ""
    fault: int = 0
    retry_after: str = "1"
    id_seconds: float = 0
    faults: list[int] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    site: str = ""
    server: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self, *, proxied: bool = False, before: str = "", tag: bool = False, **config: str) -> None:
        """Put the snippet on every page, after `before`."""
        base = PREFIX if proxied else self.server
        made = snippet(base=base, config={"key": self.key, **config})
        self.head = before + (made.tag if tag else made.inline)
        self.policy = "; ".join(["default-src 'none'", *(f"{name} {value}" for name, value in made.csp.items())])

    def sent(self) -> list[Request]:
        """Return the requests with messages that the server accepted."""
        return [request for request in self.batches() if request.status == 200]

    def batches(self) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(BEACON)]

    def next_status(self) -> int:
        with self.lock:
            return self.faults.pop(0) if self.faults else self.fault


@contextmanager
def running(target: str, key: str) -> Iterator[Studio]:
    """Run the website and the server's proxy; `target` is the URL of the server."""
    studio = Studio(target=target, key=key)
    servers = []
    for is_site in (True, False):
        handler = type("Bound", (_Handler,), {"studio": studio, "is_site": is_site})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
    # Another site, not only another origin.
    studio.site = f"http://localhost:{servers[0].server_port}"
    studio.server = f"http://127.0.0.1:{servers[1].server_port}"
    try:
        yield studio
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    studio: Studio
    is_site: bool
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        path = self.path
        if self.is_site and not path.startswith(f"{PREFIX}/"):
            body = PAGE.format(title=urlsplit(path).path, head=self.studio.head).encode()
            policy = [("Content-Security-Policy", self.studio.policy)] if self.studio.policy else []
            self._reply(200, [("Content-Type", "text/html; charset=utf-8"), *policy], body)
        else:
            self._pass_on(b"")

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_OPTIONS = do_HEAD = do_GET

    def _pass_on(self, body: bytes) -> None:
        path = self.path.removeprefix(PREFIX) if self.is_site else self.path
        is_batch = urlsplit(path).path == BEACON and self.command == "POST"
        messages = json.loads(body)["batch"] if is_batch else []
        request = Request(self.command, urlsplit(self.path).path, dict(self.headers), messages)
        self.studio.requests.append(request)
        if urlsplit(path).path == ID:
            time.sleep(self.studio.id_seconds)
        status = self.studio.next_status() if is_batch else 0
        answer = self._refusal(status) if status else self._forward(path, body)
        request.status = answer[0]
        self._reply(*answer)

    def _refusal(self, status: int) -> tuple[int, list[tuple[str, str]], bytes]:
        origin = self.headers.get("Origin") or "*"
        exposed = [("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", "Retry-After")]
        return status, [("Retry-After", self.studio.retry_after), *exposed], b"refused"

    def _forward(self, path: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        target = urlsplit(self.studio.target).netloc
        connection = http.client.HTTPConnection(target, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in SKIPPED}
        connection.request(self.command, path, body or None, {**headers, "Host": target})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), data

    def _reply(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in SKIPPED:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def site(live_server: Any, key: NewKey) -> Iterator[Studio]:
    with running(live_server.url, key.value) as studio:
        studio.install(consent="full")
        yield studio


@pytest.fixture
def visitor(browser: Browser, site: Studio) -> Iterator[BrowserContext]:
    """A browser of one visitor. Errors of scripts and violations of the policy fail the test."""
    with watched(browser.new_context(base_url=site.site)) as context:
        yield context


class watched:
    """Closes the context at the end, and fails on errors of its pages."""

    def __init__(self, context: BrowserContext) -> None:
        self.context, self.errors = context, list[str]()
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", lambda line: self.errors.append(line.text) if "Security Policy" in line.text else None)

    def __enter__(self) -> BrowserContext:
        return self.context

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert self.errors == []


def until(page: Page, condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert condition()


def stored(page: Page, number: int, seconds: float = 15) -> list[Event]:
    """The events, once there are `number`, after a moment in which no others arrive."""
    until(page, lambda: Event.objects.count() >= number, seconds)
    page.wait_for_timeout(150)
    events = list(Event.objects.order_by("event_at", "pk"))
    assert len(events) == number, [(event.kind, event.name, event.context["page_url"]) for event in events]
    return events


def times_sent(site: Studio) -> Counter[str]:
    """How often each message was in a request that the server accepted."""
    return Counter(message["messageId"] for request in site.sent() for message in request.messages)


def paths(events: list[Event]) -> list[str]:
    return [event.context["page_url"].split("/", 3)[3] for event in events]
