"""A non-blocking connection to PostgreSQL on the event loop: a statement is sent, and its result is passed to a
callback.

With a thread that waits for the database, the interpreter lock passes between the thread and the event loop several
times per statement, which took a fifth of the time of a small request. libpq implements the protocol, through
psycopg.pq (psycopg.org/psycopg3/docs/api/pq.html); this module waits for the socket.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

ResultRow = tuple[bytes | None, ...]
# Called once, on the event loop: with the rows once the statement is committed, else with the error.
Callback = Callable[[list[ResultRow] | Exception], None]


class Channel:
    """Runs one statement at a time, each in its own transaction. Every error closes the channel. After a lost
    connection it is unknown whether the statement was committed."""

    def __init__(self, statements: Mapping[bytes, str]) -> None:
        """Connect with Django's settings and prepare `statements` by name. Blocks, and raises the errors of the
        database."""
        wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
        wrapper.ensure_connection()
        self._connection: psycopg.Connection = wrapper.connection
        self._libpq = self._connection.pgconn
        self._callback: Callback | None = None
        self._results: list[PGresult] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        # libpq drops the socket of a lost connection, but it is needed to remove the reader from the event loop.
        self._socket = self._libpq.socket
        try:
            for name, query in statements.items():
                _raise_if_refused(self._libpq.prepare(name, query.encode()))
        except psycopg.Error:
            self._connection.close()
            raise
        self._libpq.nonblocking = 1

    @property
    def is_open(self) -> bool:
        return not self._connection.closed

    def send(self, statement: bytes, values: Sequence[bytes], callback: Callback) -> None:
        """Run a prepared statement with these parameters. To be called on one event loop only.

        Raises psycopg.Error when it cannot be sent; the callback is then not called.
        """
        assert self._callback is None, "one statement at a time"
        if not self.is_open:
            raise psycopg.OperationalError("the channel is closed")
        try:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
                self._loop.add_reader(self._socket, self._read)
            self._libpq.send_query_prepared(statement, values)
            self._flush()
        except Exception:
            self.close()
            raise
        self._callback, self._results = callback, []

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop and not loop.is_closed():
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
        self._connection.close()

    def _flush(self) -> None:
        """Send the rest when the socket is writable again, if it does not accept all of it at once."""
        assert self._loop
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        assert self._loop
        self._loop.remove_writer(self._socket)
        try:
            self._flush()
        except Exception as error:
            self._fail(error)

    def _read(self) -> None:
        try:
            if not self._is_complete():
                return
            rows = [row for result in self._results for row in _rows(result)]
        except Exception as error:
            self._fail(error)
            return
        callback, self._callback = self._callback, None
        assert callback
        callback(rows)

    def _is_complete(self) -> bool:
        """Whether PostgreSQL is ready for the next statement. Only then is the result passed to the callback, since the
        commit, and an error of the commit, follow the rows."""
        self._libpq.consume_input()
        # Input while no statement runs is a notice, or the end of the connection.
        while self._callback and not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                return True
            self._results.append(result)
            _raise_if_refused(result)
        return False

    def _fail(self, error: Exception) -> None:
        callback, self._callback = self._callback, None
        self.close()
        if callback:
            callback(error)


def _raise_if_refused(result: PGresult) -> None:
    if result.status not in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
        raise psycopg.errors.error_from_result(result)


def _rows(result: PGresult) -> list[ResultRow]:
    columns = range(result.nfields)
    return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]
