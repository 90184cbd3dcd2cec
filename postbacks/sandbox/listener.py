"""The sandbox's HTTP server: one thread per connection, keep-alive, all networks on one port."""

import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from postbacks.networks.interface.imitation import Imitation, ImitationRequest, ImitationResponse
from postbacks.sandbox import control, steam
from postbacks.sandbox.request_headers import read_headers
from postbacks.sandbox.state import ReceivedRequest, SandboxState
from postbacks.sandbox.steam import SteamImitation

MAX_BODY_BYTES = 8 * 1024 * 1024
HOLD_SECONDS = 20.0  # longer than the sender's timeout of 10 s
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST instead of FIN
Logger = Callable[[str], object]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered, so that headers and body are sent in one segment
    server: "SandboxServer"
    raw_requestline: bytes
    sent_headers: dict[str, str]  # by name as sent
    lower_headers: dict[str, str]  # by lower-case name

    def parse_request(self) -> bool:
        """Read the request line and the headers. The base class would take a third of a request's time for that."""
        self.requestline = self.raw_requestline.decode("latin-1").strip()
        parts = self.requestline.split()
        # send_error() reads these.
        self.command, self.request_version, self.close_connection = parts[0] if parts else "", "HTTP/1.1", True
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            self.send_error(400)
            return False
        self.command, self.path, self.request_version = parts
        headers = read_headers(self.rfile)
        if headers is None:
            return False
        self.sent_headers, self.lower_headers = headers, {name.lower(): value for name, value in headers.items()}
        connection = self.lower_headers.get("connection", "").lower()
        self.close_connection = connection == "close" or (parts[2] == "HTTP/1.0" and connection != "keep-alive")
        if self.lower_headers.get("expect", "").lower() == "100-continue":
            self.handle_expect_100()
            self.wfile.flush()
        return True

    def handle_any(self) -> None:
        body = self._read_body()
        if body is not None and len(body) < int(self.lower_headers.get("content-length", "0")):
            # The connection ended within the body: the request is not recorded.
            self.close_connection = True
            return None
        if body is None:
            self.close_connection = True
            error = f"Send a Content-Length of at most {MAX_BODY_BYTES} bytes."
            return self._send(ImitationResponse(413, {"error": error}))
        for network, imitation in self.server.state.imitations.items():
            if self.path.startswith(imitation.prefixes):
                return self._serve_network(network, imitation, body)
        if self.path.startswith(steam.PREFIX):
            return self._send(self.server.steam.respond(self.command, self.path, body, self.server.state.clock()))
        return self._send(control.respond(self.server.state, self.command, self.path, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any

    def _serve_network(self, network: str, imitation: Imitation, body: bytes) -> None:
        """Answer as the network does or with the next fault. The request is recorded before the answer is sent."""
        state, started = self.server.state, time.monotonic()
        path = self.path.partition("?")[0]  # without the query, in which some networks take their token
        received_at = state.count_request(network)
        self.server.stopping.wait(state.delay(network))
        fault = state.next_fault(network)
        answer = self._answer(network, imitation, body, fault)
        test = imitation.takes_as_test(path, control.decoded_body(body))
        duplicate = bool(answer and not test and state.record_events(network, answer.events))
        state.record(
            ReceivedRequest(
                network=network,
                method=self.command,
                path=path,
                headers=self.sent_headers,
                body=body,
                test=test,
                received_at=received_at,
                status=answer.status if answer else None,
                response=answer.body if answer else None,
                duplicate=duplicate,
                fault=fault,
            ),
            code=answer.code if answer else "",
        )
        if answer is None:
            self._break_connection(hold=fault == "timeout")
        else:
            self._send(answer)
        duration_ms = round((time.monotonic() - started) * 1000)
        outcome = _summary(answer, fault, test=test, duplicate=duplicate)
        self.server.log(f"sandbox {network} {self.command} {path} {outcome} {duration_ms} ms")

    def _answer(self, network: str, imitation: Imitation, body: bytes, fault: str | None) -> ImitationResponse | None:
        if fault in control.UNANSWERED_FAULTS:
            return None
        if fault == "html_502":
            return control.BAD_GATEWAY
        if fault is not None:
            return imitation.faults[fault](imitation.pixel(self.path, control.decoded_body(body)))
        state = self.server.state
        return imitation.answer(
            ImitationRequest(
                self.command,
                self.path,
                self.lower_headers,
                body,
                state.accounts(network),
                state.clock(),
                state.over_quota(network),
            )
        )

    def _break_connection(self, *, hold: bool) -> None:
        self.close_connection = True
        if hold:
            self.server.stopping.wait(self.server.hold)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

    def _read_body(self) -> bytes | None:
        length = self.lower_headers.get("content-length", "0")
        if "transfer-encoding" in self.lower_headers or not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: ImitationResponse) -> None:
        content_type, body = answer.encoded()
        headers = {"Content-Type": content_type, **answer.headers}
        if answer.status != 204:
            headers["Content-Length"] = str(len(body))
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(body)

    def version_string(self) -> str:
        return "afterclick-sandbox"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, since _serve_network logs each request."""


class SandboxServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # so that a held connection does not delay the shutdown
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], state: SandboxState, log: Logger, hold: float) -> None:
        self.state, self.log, self.hold = state, log, hold
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()
        super().__init__(address, Handler)
        self.steam = SteamImitation(f"http://{address[0]}:{self.server_port}")

    def server_bind(self) -> None:
        # HTTPServer's method would look up the host name in DNS.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(ABORT)) == ABORT:
            request.close()  # without the FIN of an orderly shutdown
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exception(), OSError):
            self.log("sandbox: a client closed the connection before its answer")
        else:
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop accepting connections, and close held and idle ones."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed by its thread already


def _summary(answer: ImitationResponse | None, fault: str | None, *, test: bool, duplicate: bool) -> str:
    parts = [str(answer.status) if answer else "no answer"]
    parts += [f"code={answer.code}"] if answer and answer.code else []
    parts += [f"fault={fault}"] if fault else []
    parts += ["test"] if test else []
    parts += ["duplicate"] if duplicate else []
    return " ".join(parts)
