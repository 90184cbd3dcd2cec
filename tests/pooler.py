"""A pooler in front of PostgreSQL that runs every transaction on another server connection, as PgBouncer does in
transaction mode: session state (a named cursor, SET, an advisory lock) is lost between transactions."""

import contextlib
import itertools
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator

import psycopg

SERVERS = 3
PARAMETERS = {
    "server_version": "18.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}
SSL_REQUEST = 80877103


@contextlib.contextmanager
def pooling(url: str) -> Iterator[str]:
    """Run a pooler for the database at `url` during the context; yield its URL. Clients need no password."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, url), daemon=True).start()
        port = listener.getsockname()[1]
        yield f"postgres://{parts['user']}:any@127.0.0.1:{port}/{parts['dbname']}"


def _accept(listener: socket.socket, url: str) -> None:
    with contextlib.suppress(OSError):  # the listener was closed
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, url), daemon=True).start()


def _serve(client: socket.socket, url: str) -> None:
    with contextlib.ExitStack() as stack, contextlib.suppress(ConnectionError):
        stack.enter_context(client)
        _handshake(client)
        # libpq connects and authenticates; afterward this module uses its sockets.
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(SERVERS)]
        sockets = [socket.socket(fileno=os.dup(server.pgconn.socket)) for server in connections]
        for server in itertools.cycle(sockets):
            server.setblocking(True)
            if not _transaction(client, server):
                return


def _handshake(client: socket.socket) -> None:
    length, code = struct.unpack("!ii", _read(client, 8))
    if code == SSL_REQUEST:
        client.sendall(b"N")
        length, code = struct.unpack("!ii", _read(client, 8))
    _read(client, length - 8)
    answer = b"R" + struct.pack("!ii", 8, 0)
    for name, value in PARAMETERS.items():
        answer += _message(b"S", f"{name}\0{value}\0".encode())
    client.sendall(answer + _message(b"K", struct.pack("!ii", 1, 1)) + _message(b"Z", b"I"))


def _transaction(client: socket.socket, server: socket.socket) -> bool:
    """Forward messages both ways until the transaction ends. Returns False when the client has disconnected."""
    begun = False
    while True:
        ready, _, _ = select.select([client] if not begun else [client, server], [], [])
        if client in ready:
            kind, body = _next(client)
            if kind == b"X":
                return False
            server.sendall(kind + struct.pack("!i", len(body) + 4) + body)
            begun = True
        if server in ready:
            kind, body = _next(server)
            client.sendall(kind + struct.pack("!i", len(body) + 4) + body)
            if kind == b"Z" and body == b"I":
                return True


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _next(source: socket.socket) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!ci", _read(source, 5))
    return kind, _read(source, length - 4)


def _read(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data
