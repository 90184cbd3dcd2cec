"""The connections that all calls are made over: to a host, within one deadline, kept for the next call.

urllib3 and the socket time out per operation, so a peer that drips one byte a second would hold a worker for ever; and
a connection that is kept may hold what belongs to no request. Hence answer.py.
"""

import errno
import os
import socket
import threading
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url
from urllib3.util.connection import create_connection

from postbacks.http.answer import Answer, is_quiet

# Idle connections kept per host: more than a worker has lanes, since a call that finds none opens its own and closes it
# after use. What a network closes meanwhile is noticed when it is taken out.
POOL_SIZE = 256
POOLS_MAX = 16  # hosts; one network has one


class _Call(threading.local):
    """The call that a thread makes or made last: whether some of its request was written to a connection."""

    is_written = False


call = _Call()


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


class InOnePiece:
    """Sends head and body of a request together: as two they are two system calls, and two packets on the way.

    It sends over a connection on which nothing is unread, and connects before it sends, so that a failure to connect is
    never taken for one of a request that was written.
    """

    _head: bytes | None = None
    _holding = False

    @property
    def is_connected(self: Any) -> bool:
        """Whether it is worth taking out of the pool; `request` looks closer, at the last moment."""
        return self.sock is not None

    def request(self: Any, *args: Any, **given: Any) -> None:
        if self.sock is not None and not is_quiet(self.sock):
            self.close()  # what came is not the answer to this request
        if self.sock is None:
            self.connect()
        super().request(*args, **given)  # type: ignore[misc]

    def endheaders(self: Any, *args: Any, **given: Any) -> None:
        self._holding = True
        super().endheaders(*args, **given)  # type: ignore[misc]
        self._holding = False

    def send(self: Any, data: Any) -> None:
        if self._holding:
            self._head = (self._head or b"") + data
            return
        head, self._head = self._head, None
        call.is_written = True
        super().send(data if head is None else head + data)  # type: ignore[misc]

    def getresponse(self: Any, *args: Any, **given: Any) -> Any:
        if self._head is not None:
            self.send(b"")
        return super().getresponse(*args, **given)  # type: ignore[misc]

    def close(self: Any) -> None:
        self._head, self._holding = None, False
        super().close()  # type: ignore[misc]


class Plain(InOnePiece, Connecting, HTTPConnection):
    response_class = Answer


class Secure(InOnePiece, Connecting, HTTPSConnection):
    response_class = Answer


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = Secure


_pools: dict[str, HTTPConnectionPool] = {}
_pools_lock = threading.Lock()


def pool_of(origin: str) -> HTTPConnectionPool:
    """The connections to a host, asked directly: a PoolManager looks for them anew, by the URL, for each call."""
    pool = _pools.get(origin)
    if pool is None:
        with _pools_lock:
            if len(_pools) >= POOLS_MAX:
                _pools.clear()
            pool = _pools.setdefault(origin, _new_pool(origin))
    return pool


def _new_pool(origin: str) -> HTTPConnectionPool:
    parts = parse_url(origin)
    kind = _SecurePool if parts.scheme == "https" else _PlainPool
    return kind(parts.host or "", parts.port, maxsize=POOL_SIZE, retries=False)


def _forget_connections() -> None:
    global _pools, _pools_lock  # a forked worker must not write into its parent's sockets
    _pools, _pools_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_forget_connections)
