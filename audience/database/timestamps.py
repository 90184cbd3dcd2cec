"""Reads times from PostgreSQL with `datetime.fromisoformat`.

Django's loader takes ten times as long: a tenth of the digest's time, which reads five times per event.
"""

from datetime import UTC, datetime
from typing import Any

from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader


class TimestampLoader(TimestamptzLoader):
    """A loader of `timestamptz`. Django replaces it if `timezone` is not that of the connection."""

    timezone = UTC

    def load(self, data: Buffer) -> datetime:
        try:
            return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)
        except ValueError:
            return super().load(data)  # raises psycopg's error for years that Python does not have


def register(connection: Any, **kwargs: Any) -> None:
    """Use the loader in a new connection. A receiver of Django's signal `connection_created`."""
    connection.connection.adapters.register_loader("timestamptz", TimestampLoader)
