"""A server that gives the same answer to every request."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from postbacks.networks import NETWORKS

TOKEN = json.dumps({"access_token": "ya29.canned", "expires_in": 3599}).encode()


@contextmanager
def answering(status: int, body: Any, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Run a server with this answer to every POST but one for an access token; yield its URL.

    A `body` that is not a text is sent as JSON.
    """
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    content_type = "text/html" if isinstance(body, str) else "application/json"
    token_paths = {network.token_path for network in NETWORKS.values() if network.token_path}

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path in token_paths:
                code, kind, raw, further = 200, "application/json", TOKEN, {}
            else:
                code, kind, raw, further = status, content_type, content, headers or {}
            self.send_response(code)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **further}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = handle_any

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
