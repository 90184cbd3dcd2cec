"""The days of the event table."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from audience import partitions, tasks
from audience.intake.accept import accept
from audience.intake.message import Message
from audience.keys import NewKey
from audience.models import Dialect, Event, Kind
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock

pytestmark = pytest.mark.django_db
# Far from the days that the migration made.
DAY = date(2031, 5, 1)
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


def store(key: NewKey, message_id: str, day: date) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    message = Message(kind=Kind.TRACK, message_id=message_id, event_at=at, day=day, user_id="user-1")
    accept(key=key.key, dialect=Dialect.IMMUTABLE, messages=[message], received_at=at)


def homes() -> Counter[str]:
    """How many events lie in which partition."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, count(*) FROM audience_event GROUP BY 1")
        return Counter(dict(cursor.fetchall()))


def indexes_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
        return {definition.partition(" USING ")[2] for (definition,) in cursor.fetchall()}


def test_the_migration_made_31_days_back_and_7_ahead(key: NewKey) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audience_event'::regclass "
            "AND inhrelid <> 'audience_event_default'::regclass"
        )
        assert cursor.fetchone()[0] >= 39
    today = datetime.now(UTC).date()
    for offset in (-31, 0, 7):
        store(key, f"m{offset}", today + timedelta(days=offset))

    assert homes() == {f"audience_event_{today + timedelta(days=offset):%Y%m%d}": 1 for offset in (-31, 0, 7)}


def test_it_makes_today_and_seven_days_ahead_once() -> None:
    with time_machine.travel(NOON, tick=False):
        assert partitions.make_ahead() == [DAY + timedelta(days=offset) for offset in range(8)]
        assert partitions.make_ahead() == []
    with time_machine.travel(NOON + timedelta(days=2), tick=False):
        assert partitions.make_ahead() == [DAY + timedelta(days=8), DAY + timedelta(days=9)]


def test_the_day_is_that_of_greenwich() -> None:
    with time_machine.travel(datetime.fromisoformat("2031-05-01T23:30:00-05:00"), tick=False):
        assert partitions.make_ahead()[0] == DAY + timedelta(days=1)


def test_the_task_makes_them() -> None:
    with time_machine.travel(NOON, tick=False):
        tasks.make_partitions()

        assert partitions.make_ahead() == []


def test_an_event_of_a_day_without_a_partition_is_taken_by_the_default_one(key: NewKey) -> None:
    store(key, "import", date(2019, 1, 1))

    assert homes() == {"audience_event_default": 1}
    assert Event.objects.get().day == date(2019, 1, 1)


def test_a_new_partition_takes_over_its_day_from_the_default_one(key: NewKey) -> None:
    for number in range(3):
        store(key, f"m{number}", DAY)
    store(key, "next", DAY + timedelta(days=1))
    before = list(Event.objects.order_by("id").values())

    assert partitions.make(DAY) is True
    assert partitions.make(DAY) is False
    assert homes() == {"audience_event_20310501": 3, "audience_event_default": 1}
    assert list(Event.objects.order_by("id").values()) == before


def test_a_new_partition_has_the_indexes_and_stores_a_message_once(key: NewKey) -> None:
    partitions.make(DAY)
    store(key, "m1", DAY)
    store(key, "m1", DAY)
    store(key, "m2", DAY)

    assert homes() == {"audience_event_20310501": 2}
    assert indexes_of("audience_event_20310501") == indexes_of("audience_event_default")
    assert len(indexes_of("audience_event_20310501")) == 6
    assert Event.objects.values("id").distinct().count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_make_a_partition_once(key: NewKey) -> None:
    made: list[Any] = []
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audience_event partitions'))")
        threads = [in_thread(lambda: made.append(partitions.make(DAY))) for _ in range(2)]
        wait_for_a_lock()
        other.rollback()
        for thread in threads:
            thread.join(20)
    try:
        assert sorted(made) == [False, True]
        store(key, "m1", DAY)
        assert homes() == {"audience_event_20310501": 1}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audience_event_20310501")
