"""Reads one HTTP answer within one deadline, and closes the connection unless the answer is complete and unambiguous.

http.client accepts any bytes that come next as the answer. This reader raises an exception unless they answer the
request that was written.
"""

import contextlib
import http
import http.client
import io
import socket
import ssl
import time
from typing import Any

# Of one answer with headers and framing; only the first BODY_LIMIT bytes of the body are read.
MAX_ANSWER_BYTES = 1024 * 1024
# Interim answers (1xx) before the final one; a proxy or two may each send one.
MAX_INTERIM = 100


class DeadlineReader(io.RawIOBase):
    """Reads a socket with one deadline for all reads instead of a timeout for each."""

    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock, self._raw, self._remaining = sock, raw, MAX_ANSWER_BYTES
        seconds = sock.gettimeout()  # urllib3 has just set the remainder of the total timeout
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_over:
            return 0
        if self._remaining <= 0:
            raise http.client.HTTPException("the answer is too long")
        if self._deadline is not None:
            seconds = self._deadline - time.monotonic()
            if seconds <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(seconds)
        count: int | None = self._raw.readinto(buffer)
        self._remaining -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class AnswerReader(io.BufferedReader):
    """A reader that is closed at the end of the answer, and closes the connection if more bytes follow."""

    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock, self._reader = sock, DeadlineReader(sock, raw)
        super().__init__(self._reader)

    def close(self) -> None:
        if not self.closed:
            self._reader.is_over = True
            if self.peek(1):
                shut_down(self._sock)
        super().close()


class StrictHTTPResponse(http.client.HTTPResponse):
    """The final answer. If its end is uncertain, `will_close` is set, so that the connection is closed after reading.

    Raises HTTPException if its length is contradictory.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = AnswerReader(sock, self.fp.detach())

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("a switch of protocols that was not requested")
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("too many interim answers")

    def begin(self) -> None:
        super().begin()
        lengths = [value.strip() for value in self.headers.get_all("content-length", ())]
        codings = [value.strip().lower() for value in self.headers.get_all("transfer-encoding", ())]
        if len(set(lengths)) > 1 or any(not (value.isascii() and value.isdigit()) for value in lengths):
            raise http.client.HTTPException("a contradictory or invalid content length")
        if codings and codings != ["chunked"]:
            raise http.client.HTTPException("a transfer encoding that was not requested")
        framing = [*lengths, *codings]
        has_no_body = self.status in {http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED}
        is_doubtful = len(framing) > 1 or bool(self.headers.defects) or (has_no_body and framing not in ([], ["0"]))
        # A server may send 408 on an idle connection while a request is in flight.
        if is_doubtful or self.status == http.HTTPStatus.REQUEST_TIMEOUT:
            self.will_close = True
        if has_no_body:
            self.chunked, self.length = False, 0  # http.client would wait for chunks


def is_idle(sock: socket.socket) -> bool:
    """Whether the peer has neither sent anything nor closed. A received byte is consumed, so that False is final."""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(timeout)
    return False


def shut_down(sock: socket.socket) -> None:
    """Close a connection that other threads may still use."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
