"""A reverse proxy with faults: it refuses the first attempts, or closes the connection after the server's commit."""

import gzip
import http.client
import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# The outcome of an attempt. With CUT the connection is closed without an answer, although the server has stored the
# events.
PASS, UNAVAILABLE, LIMITED, CUT = "pass", "503", "429", "cut"
REFUSALS = {UNAVAILABLE: "storage is temporarily unavailable, send this again", LIMITED: "max requests limit reached"}
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "server", "date"}


class FlakyProxy:
    """Forwards requests of an SDK to the server at `target` while the context is open.

    The first attempts of every request have the outcomes in `faults`, in order; further ones pass. A request is
    identified by the id of its first message, since SDKs write a new sentAt into each attempt.
    """

    def __init__(self, target: str, faults: Sequence[str] = ()) -> None:
        self.target = urlsplit(target)
        self.faults = tuple(faults)
        # Outcomes of the attempts, by first message id.
        self.attempts: dict[str, list[str]] = defaultdict(list)
        # First message ids of the requests whose sender received the server's answer.
        self.answered: set[str] = set()
        # (method, path, status) of each request that was forwarded.
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
            attempts = self.attempts[first]
            attempts.append(self.faults[len(attempts)] if len(attempts) < len(self.faults) else PASS)
            return attempts[-1]

    def all_answered(self) -> bool:
        """Whether every request was answered by the server in the end."""
        return self.attempts.keys() == self.answered


def first_message(body: bytes) -> str:
    """Return the message id of a call, or of the first call of a batch."""
    message = json.loads(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
    return str(message.get("batch", [message])[0].get("messageId"))


class _Handler(BaseHTTPRequestHandler):
    proxy: FlakyProxy
    protocol_version = "HTTP/1.1"
    # A sender that keeps an idle connection must not keep its thread for ever.
    timeout = 30

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        first = first_message(body)
        outcome = self.proxy.next(first)
        if outcome in REFUSALS:
            self._refuse(int(outcome), REFUSALS[outcome].encode())
            return
        answer = self._forward(body)
        if outcome == CUT:
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
        # A 204 has no body and must not have a Content-Length.
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: int, sentence: bytes) -> None:
        """Answer as the server does, with CORS headers: without them a browser hides the status from the SDK."""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "1")]
        if origin := self.headers.get("Origin"):
            headers += [
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", "Retry-After"),
            ]
        self._reply(status, headers, sentence)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a line per request would hide the failures."""
