"""Requests that come together share a transaction, and nothing else: not a failure, not an answer before the commit."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, OperationalError, connection

from audience.intake import group, store
from audience.intake.accept import Receipt, accept
from audience.intake.message import Message
from audience.intake.rows import Sent
from audience.intake.store import Write
from audience.keys import NewKey
from audience.models import Batch, Dialect, Event, Kind
from tests.audience.concurrency import in_thread

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 4, 8, tzinfo=UTC)
# Longer than a row of the index by user may be, and PostgreSQL cannot make it smaller.
TOO_LONG = secrets.token_hex(8_000)
Asked = dict[str, Receipt | BaseException]


def message(message_id: str, user_id: str = "user-1") -> Message:
    return Message(kind=Kind.TRACK, message_id=message_id, event_at=NOW, day=NOW.date(), user_id=user_id)


def sent(key: NewKey, *messages: Message) -> Sent:
    return Sent(key=key.key, dialect=Dialect.IMMUTABLE, received_at=NOW, messages=messages)


class Crowd:
    """Requests of one moment: the first holds its transaction back until all the others wait behind it."""

    def __init__(self, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key = key
        self.answers: Asked = {}
        self.sizes: list[int] = []
        self.first_may_go = threading.Event()
        self.group = group.Group()
        monkeypatch.setattr(group, "_group", self.group)
        monkeypatch.setattr(store, "write", self.counted(store.write))

    def counted(self, write: Callable[[Sequence[Write]], None]) -> Callable[[Sequence[Write]], None]:
        def counting(writes: Sequence[Write]) -> None:
            self.sizes.append(len(writes))
            if len(self.sizes) == 1:
                assert self.first_may_go.wait(15)
            write(writes)

        return counting

    def ask(self, name: str, *messages: Message) -> None:
        try:
            self.answers[name] = accept(key=self.key.key, dialect=Dialect.IMMUTABLE, messages=messages, received_at=NOW)
        except DatabaseError as error:
            self.answers[name] = error

    def come(self, **requests: Message) -> Asked:
        threads = [in_thread(lambda: self.ask("first", message("m-first")))]
        self.wait_until(lambda: len(self.sizes) == 1)
        for place, (name, one) in enumerate(requests.items(), start=1):
            threads.append(in_thread(lambda name=name, one=one: self.ask(name, one)))  # type: ignore[misc]
            self.wait_until(lambda place=place: len(self.group._waiting) == place)  # type: ignore[misc]
        assert self.answers == {}
        self.first_may_go.set()
        for thread in threads:
            thread.join(30)
        return self.answers

    @staticmethod
    def wait_until(comes: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not comes():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def crowd(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    return Crowd(key, monkeypatch)


def stored() -> list[str]:
    return sorted(Event.objects.values_list("message_id", flat=True))


def test_those_that_wait_are_written_together(crowd: Crowd) -> None:
    answers = crowd.come(a=message("m-a"), b=message("m-b"), c=message("m-c"))

    assert answers == dict.fromkeys(("first", "a", "b", "c"), Receipt(new=1, duplicates=0, rejected=0))
    assert crowd.sizes == [1, 3]
    assert stored() == ["m-a", "m-b", "m-c", "m-first"]
    assert sorted(Batch.objects.values_list("accepted", flat=True)) == [1, 1, 1, 1]


def test_a_copy_in_the_same_group_is_told_from_the_first_one(crowd: Crowd) -> None:
    answers = crowd.come(a=message("m-a"), again=message("m-a"), b=message("m-b"))

    assert (answers["a"], answers["again"], answers["b"]) == (Receipt(1, 0, 0), Receipt(0, 1, 0), Receipt(1, 0, 0))
    assert stored() == ["m-a", "m-b", "m-first"]


def test_a_message_that_postgresql_refuses_fails_no_neighbour(crowd: Crowd) -> None:
    answers = crowd.come(a=message("m-a"), bad=message("m-bad", TOO_LONG), b=message("m-b"))

    assert isinstance(answers["bad"], DatabaseError)
    assert (answers["a"], answers["b"]) == (Receipt(1, 0, 0), Receipt(1, 0, 0))
    assert stored() == ["m-a", "m-b", "m-first"]
    assert Batch.objects.count() == 3


def test_a_group_is_no_larger_than_a_transaction_should_be(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "LARGEST", 2)
    crowd.come(a=message("m-a"), b=message("m-b"), c=message("m-c"))

    assert crowd.sizes == [1, 2, 1]


def test_when_the_database_goes_away_nobody_is_told_that_it_is_stored(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(writes: Sequence[Write]) -> None:
        crowd.sizes.append(len(writes))
        if len(crowd.sizes) == 1:
            assert crowd.first_may_go.wait(15)
        connection.close()
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(store, "write", gone)
    monkeypatch.setattr(type(connection._connections[connection._alias]), "is_usable", lambda self: False)
    answers = crowd.come(a=message("m-a"), b=message("m-b"))

    assert [type(answer) for answer in answers.values()] == [OperationalError] * 3
    assert stored() == []


def test_what_would_wait_too_long_is_refused_and_the_rest_is_written(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "MOST_WAITING", 1)
    refused: list[bool] = []

    def one_too_many() -> None:
        crowd.wait_until(lambda: len(crowd.group._waiting) == 1)
        with pytest.raises(group.Overloaded):
            crowd.group.write([Write(sent(crowd.key, message("m-late")))])
        refused.append(True)
        crowd.first_may_go.set()

    late = in_thread(one_too_many)
    first = in_thread(lambda: crowd.ask("first", message("m-first")))
    crowd.wait_until(lambda: len(crowd.sizes) == 1)
    second = in_thread(lambda: crowd.ask("second", message("m-second")))
    for thread in (late, first, second):
        thread.join(30)

    assert refused == [True]
    assert stored() == ["m-first", "m-second"]


def test_the_next_group_is_written_after_one_that_failed(crowd: Crowd) -> None:
    crowd.come(bad=message("m-bad", TOO_LONG))
    crowd.ask("later", message("m-later"))

    assert crowd.answers["later"] == Receipt(1, 0, 0)
    assert stored() == ["m-first", "m-later"]
