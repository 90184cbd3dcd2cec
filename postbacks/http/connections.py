"""The connections of all calls, kept for the next call to the same host.

Timeouts of urllib3 and sockets apply per operation, so that a peer that sends one byte a second would block a thread
for ever, and a kept connection may hold bytes that belong to no request. answer.py handles both.
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

from postbacks.http.answer import StrictHTTPResponse, is_quiet

# Idle connections kept per host: more than sending.MAX_IN_FLIGHT, since a call that finds none opens its own and closes
# it after use. What a network closes meanwhile is noticed when it is taken out.
POOL_SIZE = 512
MAX_POOLS = 16  # hosts; one network has one


class _Call(threading.local):
    """The current or last call of a thread: whether any byte of its request was written."""

    is_written = False


call = _Call()


class Connection:
    """Mixin for requirements beyond urllib3.

    The connect timeout applies once, not to each address of the host. A request is sent only on a connection without
    unread bytes, and after connecting, so that a failed connection is never taken for a failed request.
    """

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
        """Return the addresses to connect to. May raise if the host must not be called."""
        return addresses

    @property
    def is_connected(self: Any) -> bool:
        """Whether the pool may return it; `request` checks again immediately before use."""
        return self.sock is not None

    def request(self: Any, *args: Any, **given: Any) -> None:
        if self.sock is not None and not is_quiet(self.sock):
            self.close()  # what came is not the answer to this request
        if self.sock is None:
            self.connect()
        super().request(*args, **given)  # type: ignore[misc]

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


def _forget_connections() -> None:
    global pools  # a forked worker must not write into its parent's sockets
    pools = _new_pools()


pools = _new_pools()
os.register_at_fork(after_in_child=_forget_connections)
