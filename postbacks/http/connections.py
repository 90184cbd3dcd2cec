"""Connection pools: a connection is reused by later calls to the same host.

Timeouts of urllib3 and sockets apply per operation, so that a peer that sends one byte a second would block a thread
forever, and a reused connection may have unread bytes of no request. answer.py handles both.
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
from urllib3.poolmanager import PoolManager
from urllib3.util.connection import create_connection

from postbacks.http.answer import StrictHTTPResponse, is_idle

# Idle connections per host: more than sending.MAX_IN_FLIGHT, since a call without one opens a connection and closes it
# after use. A connection that the network has closed is detected before the next use.
POOL_SIZE = 512
MAX_POOLS = 16  # one per host; a network has one host


class _Call(threading.local):
    """Whether any byte of the request of a thread's current or last call was written."""

    is_written = False


call = _Call()


class Connection:
    """Mixin for requirements beyond urllib3.

    The connect timeout is for all addresses of the host together. A request is sent only on a connection without unread
    bytes, and only after connecting, so that a failed connection is never reported as a failed request.
    """

    def _new_conn(self: Any) -> socket.socket:
        deadline = time.monotonic() + self.timeout
        try:
            infos = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        last: OSError = OSError(errno.EHOSTUNREACH, "no address")
        for address in self._usable([str(address[0]) for *_, address in infos]):
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                break
            try:
                return create_connection((address, self.port), seconds, socket_options=self.socket_options)
            except OSError as error:
                last = error
        if isinstance(last, TimeoutError) or time.monotonic() >= deadline:
            raise ConnectTimeoutError(self, "no connection in time") from last
        raise NewConnectionError(self, str(last)) from last

    def _usable(self, addresses: list[str]) -> list[str]:
        """Return the addresses to connect to. May raise if the host must not be called."""
        return addresses

    @property
    def is_connected(self: Any) -> bool:
        """Whether the pool may return it; `request` checks again immediately before use."""
        return self.sock is not None

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None and not is_idle(self.sock):
            self.close()  # the received bytes are not the answer to this request
        if self.sock is None:
            self.connect()
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self: Any, data: Any) -> None:
        call.is_written = True
        super().send(data)  # type: ignore[misc]


class PlainConnection(Connection, HTTPConnection):
    response_class = StrictHTTPResponse


class TLSConnection(Connection, HTTPSConnection):
    response_class = StrictHTTPResponse


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = TLSConnection


def _new_pools() -> PoolManager:
    pools = PoolManager(MAX_POOLS, maxsize=POOL_SIZE, retries=False)
    pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return pools


def _reset_pools() -> None:
    global pools  # a forked worker must not write into its parent's sockets
    pools = _new_pools()


pools = _new_pools()
os.register_at_fork(after_in_child=_reset_pools)
