"""A process whose clock is wrong by an hour writes the database's time, and logs the difference."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.database import clock
from audience.games.keys import NewKey
from audience.models import ApiKey, Batch, Conversion, Erasure, Event, Heartbeat, ProcessKind, Rejection
from config.heartbeat import HeartbeatThread
from tests import factories
from tests.audience import immutable

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
hours_off = pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])


@pytest.fixture
def skewed(off: timedelta) -> Iterator[None]:
    """This process's clock is off, and it has measured that, as it does when it starts."""
    with time_machine.travel(timezone.now() + off, tick=True):
        clock.synchronise()
        yield
    clock.synchronise()


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


def is_now(at: datetime | None) -> bool:
    return at is not None and abs(database_time() - at) < timedelta(seconds=30)


@hours_off
def test_events_are_received_at_the_time_of_the_database(skewed: None, key: NewKey) -> None:
    said = database_time().isoformat()
    answer = immutable.send(key, immutable.message(eventTimestamp=said), immutable.message(messageId="no uuid"))
    assert answer.json()["accepted"] == 1
    batch, event, rejection = Batch.objects.get(), Event.objects.get(), Rejection.objects.get()
    assert [is_now(at) for at in (batch.received_at, batch.next_attempt_at, event.received_at)] == [True] * 3
    assert is_now(rejection.received_at)
    assert abs(event.event_at - datetime.fromisoformat(said)) < timedelta(seconds=3)
    assert is_now(ApiKey.objects.get().last_used_at)
    assert list(Batch.objects.due().values_list("pk", flat=True)) == [batch.pk]


@hours_off
def test_an_erasure_is_due_at_once_and_covers_what_was_done_before_it(skewed: None, secret_key: NewKey) -> None:
    asked = Client().delete(f"{immutable.DATA}?userId=user-123", headers={"x-immutable-api-key": secret_key.value})
    assert asked.status_code == 202
    erasure = Erasure.objects.get()
    assert [is_now(erasure.requested_at), is_now(erasure.next_attempt_at)] == [True, True]


@hours_off
def test_a_row_without_a_time_gets_the_time_of_the_database(skewed: None) -> None:
    person = factories.person(factories.game())
    made = Conversion.objects.create(
        game=person.game,
        person=person,
        trigger="purchase",
        message_id="m",
        event_day="2026-11-28",
        event_at=clock.now(),
    )
    assert is_now(made.created_at)


@hours_off
def test_the_skew_is_logged_once_with_its_seconds(off: timedelta, caplog: pytest.LogCaptureFixture) -> None:
    with time_machine.travel(timezone.now() + off, tick=True):
        clock.synchronise()
        clock.synchronise()
    logged = [record.msg for record in caplog.records]
    clock.synchronise()
    assert [(line["event"], line["seconds_behind_database"]) for line in logged] == [
        ("clock_skew", -round(off.total_seconds()))
    ]


@hours_off
@pytest.mark.django_db(transaction=True)
def test_a_web_process_measures_its_clock_before_it_answers(off: timedelta) -> None:
    with time_machine.travel(timezone.now() + off, tick=True):
        thread = HeartbeatThread(ProcessKind.WEB, names=["skewed"])
        thread.measure_clock_and_start()
        assert is_now(clock.now())
        thread.stop()
        thread.join(timeout=30)
        assert is_now(Heartbeat.objects.get(name="skewed").seen_at)
    clock.synchronise()
