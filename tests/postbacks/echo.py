"""An imitation ad network whose answers repeat the texts of the request, in message, code and request id."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from postbacks.networks import NETWORKS

TOKEN_PATHS = {network.token_path for network in NETWORKS.values() if network.token_path}


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path in TOKEN_PATHS:
            self._answer(200, json.dumps({"access_token": "ya29.echo", "expires_in": 3599}).encode(), "")
            return
        body = json.loads(raw)
        self.server.received.append(body)
        text = " ".join(texts(body))
        answer = json.dumps(
            {
                # The fields of TikTok, then of Reddit, Meta and Google, then of Snapchat and X.
                "code": 40002,
                "message": text,
                "request_id": text,
                "error": {"code": text, "message": text, "status": "INVALID_ARGUMENT"},
                "status": "INVALID",
                "reason": text,
                "errors": [{"event": 0, "message": text, "errors": {"codes": [text], "error_msgs": [text]}}],
            }
        ).encode()
        self._answer(self.server.status, answer, text.encode("ascii", "ignore").decode())

    def _answer(self, status: int, answer: bytes, request_id: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("x-request-id", request_id)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.received = 400, list[Any]()


class Echo:
    """`with Echo() as network: network.url`. It answers 400, or the status set by `answer`."""

    def __init__(self) -> None:
        self._server = _Server()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, status: int) -> None:
        self._server.status = status

    @property
    def received(self) -> list[Any]:
        return self._server.received

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, the player's first, so that they are in a truncated message."""
    if isinstance(value, dict):
        for _, item in sorted(value.items(), key=lambda pair: pair[0] not in ("user", "data", "events", "click_id")):
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str) and len(value) < 64:  # not hashes
        yield value
