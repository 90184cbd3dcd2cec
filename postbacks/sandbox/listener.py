"""The sandbox's HTTP listener: one thread per connection, keep-alive, all networks on one port."""

import io
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from postbacks.networks.interface.imitation import Answer, Call, Imitation
from postbacks.sandbox import control
from postbacks.sandbox.state import Received, State

HEADER_LIMIT = 64 * 1024  # bytes, of one header
BODY_LIMIT = 8 * 1024 * 1024
HOLD_S = 20.0  # a held connection outlasts the sender's 10 s
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST instead of FIN


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body are sent in one segment
    server: "Server"
    raw_requestline: bytes
    given: dict[str, str]  # header names as the caller wrote them
    named: dict[str, str]  # and in lower case

    def parse_request(self) -> bool:
        """Parse request line and headers. The base class uses the email package, which takes a third of the time."""
        self.requestline = self.raw_requestline.decode("latin-1").strip()
        words = self.requestline.split()
        # For send_error().
        self.command, self.request_version, self.close_connection = words[0] if words else "", "HTTP/1.1", True
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self.send_error(400)
            return False
        self.command, self.path, self.request_version = words
        given = read_headers(self.rfile)
        if given is None:
            return False
        self.given, self.named = given, {name.lower(): value for name, value in given.items()}
        wish = self.named.get("connection", "").lower()
        self.close_connection = wish == "close" or (words[2] == "HTTP/1.0" and wish != "keep-alive")
        if self.named.get("expect", "").lower() == "100-continue":
            self.handle_expect_100()
            self.wfile.flush()
        return True

    def handle_any(self) -> None:
        body = self._read_body()
        if body is not None and len(body) < int(self.named.get("content-length", "0")):
            # The client died; an incomplete body is no request.
            self.close_connection = True
            return None
        if body is None:
            self.close_connection = True
            return self._send(Answer(413, {"error": f"Send a Content-Length of at most {BODY_LIMIT} bytes."}))
        for network, imitation in self.server.state.imitations.items():
            if self.path.startswith(imitation.prefixes):
                return self._network(network, imitation, body)
        return self._send(control.respond(self.server.state, self.command, self.path, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any

    def _network(self, network: str, imitation: Imitation, body: bytes) -> None:
        """Answer as `network` does, or with the next fault; store the request before the answer is sent."""
        state, started = self.server.state, time.monotonic()
        shown = self.path.partition("?")[0]  # some networks take their token in the query
        received_at = state.arrive(network)
        self.server.stopping.wait(state.delay(network))
        fault = state.next_fault(network)
        answer = self._answer(network, imitation, body, fault)
        test = imitation.is_test(control.readable(body))
        duplicate = bool(answer and not test and state.seen(network, answer.events))
        state.keep(
            Received(
                network=network,
                method=self.command,
                path=shown,
                headers=self.given,
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
            self._break(hold=fault == "timeout")
        else:
            self._send(answer)
        took = round((time.monotonic() - started) * 1000)
        said = _summary(answer, fault, test=test, duplicate=duplicate)
        self.server.log(f"sandbox {network} {self.command} {shown} {said} {took} ms")

    def _answer(self, network: str, imitation: Imitation, body: bytes, fault: str | None) -> Answer | None:
        if fault in control.SILENT:
            return None
        if fault == "html_502":
            return control.BAD_GATEWAY
        if fault is not None:
            return imitation.faults[fault](imitation.pixel(self.path, control.readable(body)))
        state = self.server.state
        return imitation.answer(
            Call(
                self.command,
                self.path,
                self.named,
                body,
                state.accounts(network),
                state.clock(),
                state.over_quota(network),
            )
        )

    def _break(self, *, hold: bool) -> None:
        self.close_connection = True
        if hold:
            self.server.stopping.wait(self.server.hold)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

    def _read_body(self) -> bytes | None:
        length = self.named.get("content-length", "0")
        if "transfer-encoding" in self.named or not length.isdigit() or int(length) > BODY_LIMIT:
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: Answer) -> None:
        kind, body = answer.encoded()
        headers = {"Content-Type": kind, **answer.headers}
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
        """Nothing: _network prints one line per request."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # held connections must not delay the shutdown
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], state: State, log: Callable[[str], object], hold: float) -> None:
        self.state, self.log, self.hold = state, log, hold
        self.stopping = threading.Event()
        self.open: set[socket.socket] = set()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # HTTPServer would resolve its host name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(ABORT)) == ABORT:
            request.close()  # without the FIN of an orderly shutdown
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exception(), OSError):
            self.log("sandbox: a client went away before its answer")
        else:
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop accepting, wake held connections, close idle ones."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed by its own thread meanwhile


def _summary(answer: Answer | None, fault: str | None, *, test: bool, duplicate: bool) -> str:
    words = [str(answer.status) if answer else "no answer"]
    words += [f"code={answer.code}"] if answer and answer.code else []
    words += [f"fault={fault}"] if fault else []
    words += ["test"] if test else []
    words += ["duplicate"] if duplicate else []
    return " ".join(words)


def read_headers(stream: io.BufferedIOBase) -> dict[str, str] | None:
    """Return the headers with their names as written; of repeated ones the last. None if the connection ends early."""
    headers: dict[str, str] = {}
    while line := stream.readline(HEADER_LIMIT):
        if line in (b"\r\n", b"\n"):
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    return None
