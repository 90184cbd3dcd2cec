"""Reads one HTTP answer within one deadline, and closes the connection unless the answer is complete and unambiguous.

http.client accepts whatever comes next as the answer. Here it is the answer to the request that was written, or an
exception.
"""

import contextlib
import http
import http.client
import io
import socket
import ssl
import time
from typing import Any

# Bytes of one answer with headers and framing; only the first BODY_LIMIT of the body are read.
MAX_ANSWER = 1024 * 1024
# Interim answers (1xx) before the real one; a proxy or two each send one.
MAX_INTERIM = 100


class DeadlineReader(io.RawIOBase):
    """A socket's reading end with one deadline for all reads instead of a timeout for each."""

    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock, self._raw, self._left = sock, raw, MAX_ANSWER
        left = sock.gettimeout()  # urllib3 has just set what is left of the total
        self._deadline = None if left is None else time.monotonic() + left
        self.is_over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_over:
            return 0
        if self._left <= 0:
            raise http.client.HTTPException("the answer is too long")
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class AnswerReader(io.BufferedReader):
    """Closed at the end of the answer; bytes after the answer end the connection."""

    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock, self._reader = sock, DeadlineReader(sock, raw)
        super().__init__(self._reader)

    def close(self) -> None:
        if not self.closed:
            self._reader.is_over = True
            if self.peek(1):
                give_up(self._sock)
        super().close()


class StrictHTTPResponse(http.client.HTTPResponse):
    """The answer after interim ones. `will_close` is set if its end is uncertain.

    The connection is then closed after reading. Raises HTTPException if its length is contradictory.
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
                raise http.client.HTTPException("the protocol was switched, which nobody had asked for")
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("no answer behind the interim ones")

    def begin(self) -> None:
        super().begin()
        lengths = [value.strip() for value in self.headers.get_all("content-length", ())]
        coded = [value.strip().lower() for value in self.headers.get_all("transfer-encoding", ())]
        if len(set(lengths)) > 1 or any(not (value.isascii() and value.isdigit()) for value in lengths):
            raise http.client.HTTPException("more than one length, or none that is a number")
        if coded and coded != ["chunked"]:
            raise http.client.HTTPException("a transfer encoding that nobody had asked for")
        framed = [*lengths, *coded]
        has_no_body = self.status in {http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED}
        is_doubtful = len(framed) > 1 or bool(self.headers.defects) or (has_no_body and framed not in ([], ["0"]))
        # A server may send 408 on an idle connection while a request is on its way.
        if is_doubtful or self.status == http.HTTPStatus.REQUEST_TIMEOUT:
            self.will_close = True
        if has_no_body:
            self.chunked, self.length = False, 0  # http.client would wait for chunks


def is_quiet(sock: socket.socket) -> bool:
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


def give_up(sock: socket.socket) -> None:
    """Close a connection that other threads may still use."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
