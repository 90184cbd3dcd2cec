"""A connection to PostgreSQL that the event loop watches itself: a statement goes out, its answer calls back.

A thread that waits for the database and the event loop take the interpreter from each other several times a statement,
which was a fifth of what a small request costs. libpq does the work, by way of psycopg.pq
(psycopg.org/psycopg3/docs/api/pq.html); here is only the waiting for the socket.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

ResultRow = tuple[bytes | None, ...]
# Called once, on the event loop: with the rows when what was sent is committed, else with the reason.
Callback = Callable[[list[ResultRow] | Exception], None]


class Channel:
    """One statement at a time, each a transaction of its own. Whatever goes wrong closes it, and when the connection
    was lost nobody knows whether the statement was committed."""

    def __init__(self, statements: Mapping[bytes, str]) -> None:
        """Connect as Django does and prepare `statements` by name, which keeps a thread waiting; raises what the
        database raises."""
        wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
        wrapper.ensure_connection()
        self._connection: psycopg.Connection = wrapper.connection
        self._libpq = self._connection.pgconn
        self._answered: Callback | None = None
        self._results: list[PGresult] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        # Kept, since libpq closes and forgets the socket of a lost connection before anybody else learns of it.
        self._socket = self._libpq.socket
        try:
            for name, text in statements.items():
                _raise_if_refused(self._libpq.prepare(name, text.encode()))
        except psycopg.Error:
            self._connection.close()
            raise
        self._libpq.nonblocking = 1

    @property
    def is_open(self) -> bool:
        return not self._connection.closed

    def send(self, statement: bytes, values: Sequence[bytes], answered: Callback) -> None:
        """Run a prepared statement with these texts. Of the event loop that calls first, and of no other.

        Raises psycopg.Error when it cannot even be sent; then nobody is called.
        """
        assert self._answered is None, "one statement at a time"
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
        self._answered, self._results = answered, []

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop and not loop.is_closed():
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
        self._connection.close()

    def _flush(self) -> None:
        """Hand the rest over when the socket takes more, should it not take all of it at once."""
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
        answered, self._answered = self._answered, None
        assert answered
        answered(rows)

    def _is_complete(self) -> bool:
        """Whether PostgreSQL is ready for the next statement. Nothing is answered before: the commit follows the rows,
        and an error there follows them as well."""
        self._libpq.consume_input()
        # Without a statement it is a notice, or the first half of a farewell.
        while self._answered and not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                return True
            self._results.append(result)
            _raise_if_refused(result)
        return False

    def _fail(self, error: Exception) -> None:
        answered, self._answered = self._answered, None
        self.close()
        if answered:
            answered(error)


def _raise_if_refused(result: PGresult) -> None:
    if result.status not in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
        raise psycopg.errors.error_from_result(result)


def _rows(result: PGresult) -> list[ResultRow]:
    columns = range(result.nfields)
    return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]
