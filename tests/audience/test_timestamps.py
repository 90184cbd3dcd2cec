"""Times are read from PostgreSQL as Django reads them."""

from datetime import UTC, datetime

import pytest
from django.db import DataError, connection

from audience.database.timestamps import TimestampLoader

pytestmark = pytest.mark.django_db


def read(text: str) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        (value,) = cursor.fetchone()
        assert isinstance(value, datetime)
        return value


def test_every_connection_has_the_loader() -> None:
    connection.ensure_connection()
    loader = connection.connection.adapters.get_loader(1184, 0)
    assert loader is TimestampLoader
    assert loader.timezone == connection.timezone


@pytest.mark.parametrize("fraction", [0, 1, 120_000, 123_456])
def test_a_time_is_read_in_utc_to_the_microsecond(fraction: int) -> None:
    moment = datetime(2026, 4, 8, 12, 30, 59, fraction, tzinfo=UTC)
    assert read(moment.isoformat()) == moment
    assert read(moment.isoformat()).tzinfo is UTC


def test_the_offset_of_another_time_zone_is_respected() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TimeZone = 'Asia/Kathmandu'")
    assert read("2026-04-08T12:00:00+00:00") == datetime(2026, 4, 8, 12, tzinfo=UTC)


def test_a_year_that_python_does_not_have_is_refused_as_before() -> None:
    with pytest.raises(DataError):
        read("10000-01-01T00:00:00Z")
