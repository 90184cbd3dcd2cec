"""Calls to the ad networks, and the connections that all calls are made over.

A call never raises for what the network does: every failure becomes a Response without a status. The whole call is
bounded by one deadline. urllib3 and the socket time out per operation, so a peer that drips one byte a second would
hold a worker for ever; hence the reader below. Redirects are not followed and nothing is retried here: a repeat is a
row in the database (postbacks/sending/retry.py), not a loop.
"""

import errno
import http.client
import io
import logging
import os
import socket
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util.connection import create_connection

from postbacks.networks.base import Request, Response

CONNECT_TIMEOUT = 5.0  # seconds, over all addresses of the host together
BODY_LIMIT = 64 * 1024  # bytes; both networks answer in well under 1 KB
POOL_SIZE = 64  # idle connections kept per host; threads above it open their own and close them after use
SHORTEST_SECRET = 6

# At DEBUG urllib3 logs every request line; there are better logs of what was sent.
logging.getLogger("urllib3").setLevel(logging.INFO)


class _DeadlineReader(io.RawIOBase):
    """A socket's reading end with one deadline for all reads instead of a time-out for each."""

    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock, self._raw = sock, raw
        left = sock.gettimeout()  # urllib3 has just set what is left of the total
        self._deadline = None if left is None else time.monotonic() + left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach()))


class Connecting:
    """Makes the connect time-out count once, not once for every address the host's name resolves to."""

    def _new_conn(self: Any) -> socket.socket:
        deadline = time.monotonic() + self.timeout
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        last: OSError = OSError(errno.EHOSTUNREACH, "no address")
        for address in self._usable([str(address[0]) for *_, address in found]):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                return create_connection((address, self.port), left, socket_options=self.socket_options)
            except OSError as error:
                last = error
        if isinstance(last, TimeoutError) or time.monotonic() >= deadline:
            raise ConnectTimeoutError(self, "no connection in time") from last
        raise NewConnectionError(self, str(last)) from last

    def _usable(self, addresses: list[str]) -> list[str]:
        """Those that may be connected to; an exception when that is none of the host's."""
        return addresses


class Plain(Connecting, HTTPConnection):
    response_class = _DeadlineResponse


class Secure(Connecting, HTTPSConnection):
    response_class = _DeadlineResponse


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = Secure


def _new_pool() -> urllib3.PoolManager:
    pool = urllib3.PoolManager(num_pools=10, maxsize=POOL_SIZE, retries=False)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return pool


_pool = _new_pool()


def _forget_connections() -> None:
    global _pool  # a forked worker must not write into its parent's sockets
    _pool = _new_pool()


os.register_at_fork(after_in_child=_forget_connections)


def post(request: Request, *, timeout: float = 10.0) -> Response:
    """Send `request` and return what came back, within `timeout` seconds for connecting, sending and reading together.

    `latency_ms` is the wall time of the whole call. The request's secrets are blanked out of the answer, so that no
    log can repeat a token that the network echoed.
    """
    started = time.monotonic()
    try:
        status, headers, body = exchange(_pool, request, request.url, timeout)
    except (HTTPError, ValueError) as error:
        return Response(None, {}, b"", since(started), failure(error))
    for secret in filter(_worth_hiding, request.secrets):
        body = body.replace(secret.encode(), b"[hidden]")
        headers = {name: value.replace(secret, "[hidden]") for name, value in headers.items()}
    return Response(status, headers, body, since(started))


def exchange(
    pool: urllib3.PoolManager | HTTPConnectionPool, request: Request, target: str, timeout: float
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in lower case, and body, cut at BODY_LIMIT. urllib3's HTTPError, or ValueError."""
    answer = pool.request(
        request.method,
        target,
        body=request.body,
        headers=request.headers,
        timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), total=timeout),
        redirect=False,
        retries=False,
        preload_content=False,
    )
    try:
        body = answer.read(BODY_LIMIT)
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
    finally:
        # A body read to its end has given its connection back already; any other connection is of no more use.
        answer.close()


def failure(error: Exception) -> str:
    """One word for a call without an answer. A ValueError is http.client refusing to write a header."""
    cause = error.__cause__
    if isinstance(error, NameResolutionError):
        return "dns"
    if isinstance(error, NewConnectionError):  # before its parent class, a time-out
        return "refused" if isinstance(cause, ConnectionRefusedError) else "network"
    if isinstance(error, Urllib3TimeoutError):
        return "timeout"
    if isinstance(error, SSLError):
        return "tls"
    if isinstance(error, ProtocolError):
        return "reset"
    return "network" if isinstance(error, HTTPError) else "unsendable"


def _worth_hiding(secret: str) -> bool:
    # A short or all-digit test code would be blanked out of the provider's own numbers and break the answer.
    return len(secret) >= SHORTEST_SECRET and not secret.isdigit()


def since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
