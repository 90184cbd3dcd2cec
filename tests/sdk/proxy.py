"""A reverse proxy with bad weather: it refuses requests at first, or cuts the line once the server has committed."""

import gzip
import http.client
import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# What becomes of an attempt. After CUT the sender's connection ends without an answer, although the server has
# stored what it was sent.
PASS, AWAY, BUSY, CUT = "pass", "503", "429", "cut"
REFUSALS = {AWAY: "storage is away for a moment, send this again", BUSY: "max requests limit reached"}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "server", "date"}


class FlakyProxy:
    """Stands between an SDK and the server at `target` while the context is open.

    Every request meets the whole of `weather`, one word an attempt, before it passes. A request is known again by the
    id of its first message, since SDKs write a new sentAt into each attempt.
    """

    def __init__(self, target: str, weather: Sequence[str] = ()) -> None:
        self.target = urlsplit(target)
        self.weather = tuple(weather)
        # First message id -> what became of each attempt.
        self.attempts: dict[str, list[str]] = defaultdict(list)
        # The requests, by first message id, whose sender has been given the server's answer.
        self.answered: set[str] = set()
        # (method, path, status of the server) of everything that came through.
        self.calls: list[tuple[str, str, int]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FlakyProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, first: str) -> str:
        with self._lock:
            made = self.attempts[first]
            made.append(self.weather[len(made)] if len(made) < len(self.weather) else PASS)
            return made[-1]

    def is_clear(self) -> bool:
        """Every request that was made has its answer in the end."""
        return self.attempts.keys() == self.answered


def first_message(body: bytes) -> str:
    """The id of a call, or of the first call of a batch."""
    told = json.loads(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
    return str(told.get("batch", [told])[0].get("messageId"))


class _Handler(BaseHTTPRequestHandler):
    proxy: FlakyProxy
    protocol_version = "HTTP/1.1"
    # A sender that keeps an idle connection must not keep its thread for ever.
    timeout = 30

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        first = first_message(body)
        word = self.proxy.next(first)
        if word in REFUSALS:
            self._refuse(int(word), REFUSALS[word].encode())
            return
        answer = self._forward(body)
        if word == CUT:
            self.close_connection = True
            self.connection.close()
        else:
            self._reply(*answer)
            self.proxy.answered.add(first)

    def do_GET(self) -> None:
        self._reply(*self._forward(b""))

    do_HEAD = do_OPTIONS = do_GET

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.proxy.target.netloc, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        connection.request(self.command, self.path, body or None, headers | {"Host": self.headers["Host"]})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.proxy.calls.append((self.command, urlsplit(self.path).path, answer.status))
        return answer.status, answer.getheaders(), data

    def _reply(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        # A 204 has no body, and a length would say that it has one.
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, sentence: bytes) -> None:
        """As the server refuses, CORS included: without it a browser hides the status from the SDK."""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "1")]
        if origin := self.headers.get("Origin"):
            headers += [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", "Retry-After"),
            ]
        self._reply(status, headers, sentence)

    def log_message(self, format: str, *args: Any) -> None:
        """The tests say what went wrong; a line per request would hide it."""
