"""An imitation ad network that repeats whatever it was sent: in its message, its code and its request id."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(sent))
        said = " ".join(texts(json.loads(sent)))
        answer = json.dumps(
            {
                # TikTok's words, then Reddit's.
                "code": 40002,
                "message": said,
                "request_id": said,
                "error": {"code": said, "message": said},
            }
        ).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("x-request-id", said.encode("ascii", "ignore").decode())
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is for its own words."""


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.received = 400, list[Any]()


class Echo:
    """`with Echo() as network: network.url`. It refuses each event, or with `status` 503 wants it again."""

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
    """Every text in a JSON value, those of the player before the rest, so that a cut message holds them."""
    if isinstance(value, dict):
        for _, each in sorted(value.items(), key=lambda item: item[0] not in ("user", "data", "events", "click_id")):
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str) and len(value) < 64:  # hashes say nothing here
        yield value
