"""Requests turned away: counted by all web processes together, without adding to the load."""

import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings

from audience.games.keys import NewKey
from audience.intake import overload
from audience.intake.storing import store
from audience.intake.storing.group import Overloaded
from audience.models import Batch
from tests.audience.immutable import message, send

NOWHERE = "redis://127.0.0.1:1/0"


class Clock:
    """Stands still until a test moves it: so that a word to Redis is due when it says so."""

    def __init__(self) -> None:
        self.seconds = time.time()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(overload, "time", found)
    monkeypatch.setattr(overload, "clock", found)
    return found


def test_what_is_turned_away_is_told_once_a_second(clock: Clock) -> None:
    for _ in range(5):
        overload.note()
    tally = overload._the_tally()
    assert tally.number == 4
    assert overload.lately() == 1
    clock.seconds += overload.EVERY
    assert overload.lately() == 5
    assert tally.number == 0


def test_other_processes_are_counted_too(clock: Clock) -> None:
    overload.note()
    note = f"import django; django.setup(); from audience import overload; overload.NAME = {overload.NAME!r}"
    env_run = f"{note}; overload.note(); overload.note(); import time; time.sleep(1.1); overload.lately()"
    subprocess.run([sys.executable, "-c", env_run], check=True)
    clock.seconds = time.time()  # it may be the next minute by now
    assert overload.lately() == 3


def test_minutes_of_long_ago_are_forgotten(clock: Clock) -> None:
    overload.note()
    clock.seconds += 60 * (overload.MINUTES - 1)
    assert overload.lately() == 1
    clock.seconds += 60
    assert overload.lately() == 0


def test_without_redis_nothing_is_told_and_nothing_fails(clock: Clock) -> None:
    with override_settings(CELERY_BROKER_URL=NOWHERE):
        overload.note()
        overload.note()
        assert overload.lately() == 0
        # Kept for when it is back.
        assert overload._the_tally().number == 2


def test_a_request_that_cannot_be_stored_is_counted(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise Overloaded

    monkeypatch.setattr(store, "write", full)
    answer = send(key, message())
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert overload.lately() == 1
    assert Batch.objects.count() == 0


def test_one_that_is_stored_is_not(key: NewKey) -> None:
    assert send(key, message()).status_code == 200
    assert overload.lately() == 0


def test_a_probe_that_says_no_turns_nobody_away() -> None:
    request = HttpRequest()
    request.path_info = overload.READY
    overload.OverloadMiddleware(lambda _: HttpResponse(status=503))(request)
    assert overload.lately() == 0
