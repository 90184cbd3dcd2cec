"""Concurrent requests share a transaction, but not a failure, nor an answer before the commit."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, OperationalError, connection, connections

from audience.games.keys import NewKey
from audience.intake.messages.message import Message, Rejected
from audience.intake.storing import transaction, write_queue
from audience.intake.storing.accept import AcceptResult, accept_on_loop
from audience.intake.storing.rows import Submission
from audience.intake.storing.statement import Write
from audience.models import Batch, Dialect, Event, Kind
from tests.audience.concurrency import end_backend
from tests.audience.event_loop import on_loop, web_process

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 4, 8, tzinfo=UTC)
# Longer than a row of the index by user may be, and PostgreSQL cannot make it smaller.
TOO_LONG = secrets.token_hex(8_000)
Asked = dict[str, AcceptResult | BaseException]


def message(message_id: str, user_id: str = "user-1") -> Message:
    return Message(kind=Kind.TRACK, message_id=message_id, event_at=NOW, day=NOW.date(), user_id=user_id)


def sent(key: NewKey, *messages: Message, rejected: Sequence[Rejected] = ()) -> Submission:
    return Submission(key=key.key, dialect=Dialect.IMMUTABLE, received_at=NOW, messages=messages, rejected=rejected)


class Crowd:
    """Requests of one moment: the first holds its transaction back until all the others wait behind it."""

    queue: write_queue.WriteQueue

    def __init__(self, key: NewKey) -> None:
        self.key = key
        self.answers: Asked = {}
        self.sizes: list[int] = []
        self.first_may_go = threading.Event()
        self.write = transaction.write_all

    def counted(self, writes: Sequence[Write]) -> None:
        self.sizes.append(len(writes))
        if len(self.sizes) == 1:
            assert self.first_may_go.wait(15)
        self.write(writes)

    async def ask(self, name: str, *messages: Message) -> None:
        try:
            [self.answers[name]] = await accept_on_loop([sent(self.key, *messages)])
        except (DatabaseError, InterfaceError, write_queue.Overloaded) as error:
            self.answers[name] = error

    def come(self, **requests: Message) -> Asked:
        on_loop(lambda: self.coming(requests))
        return self.answers

    async def coming(self, requests: dict[str, Message]) -> None:
        tasks = [asyncio.create_task(self.ask("first", message("m-first")))]
        await self.wait_until(lambda: len(self.sizes) == 1)
        for name, one in requests.items():
            tasks.append(asyncio.create_task(self.ask(name, one)))
            await asyncio.sleep(0)
        assert len(self.queue._waiting) + len(self.answers) == len(requests)
        assert AcceptResult not in {type(answer) for answer in self.answers.values()}
        self.first_may_go.set()
        await asyncio.gather(*tasks)

    @staticmethod
    async def wait_until(comes: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not comes():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)


@pytest.fixture
def crowd(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    crowd = Crowd(key)
    with web_process(monkeypatch, crowd.counted) as crowd.queue:
        yield crowd


def stored() -> list[str]:
    return sorted(Event.objects.values_list("message_id", flat=True))


def test_waiting_requests_are_written_together(crowd: Crowd) -> None:
    answers = crowd.come(a=message("m-a"), b=message("m-b"), c=message("m-c"))

    assert answers == dict.fromkeys(("first", "a", "b", "c"), AcceptResult(new=1, duplicates=0, rejected=0))
    assert crowd.sizes == [1, 3]
    assert stored() == ["m-a", "m-b", "m-c", "m-first"]
    assert sorted(Batch.objects.values_list("accepted", flat=True)) == [1, 1, 1, 1]


@pytest.mark.parametrize(("enough", "sizes"), [(64, [5]), (3, [3, 2])])
def test_a_request_that_arrives_while_another_is_read_is_written_with_it(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, enough: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(write_queue, "MIN_GROUP_EVENTS", enough)
    crowd.first_may_go.set()

    async def come(turn: int) -> None:
        for _ in range(turn):
            await asyncio.sleep(0)
        await crowd.ask(f"{turn}", message(f"m-{turn}"))

    async def all_come() -> None:
        await asyncio.gather(*map(come, reversed(range(5))))

    on_loop(all_come)
    assert crowd.answers == {str(turn): AcceptResult(1, 0, 0) for turn in range(5)}
    assert crowd.sizes == sizes


def test_a_message_twice_in_a_group_is_reported_as_a_duplicate(crowd: Crowd) -> None:
    answers = crowd.come(a=message("m-a"), again=message("m-a"), b=message("m-b"))

    assert (answers["a"], answers["again"], answers["b"]) == (
        AcceptResult(1, 0, 0),
        AcceptResult(0, 1, 0),
        AcceptResult(1, 0, 0),
    )
    assert stored() == ["m-a", "m-b", "m-first"]


def test_a_message_that_postgresql_refuses_fails_only_its_own_request(crowd: Crowd) -> None:
    answers = crowd.come(a=message("m-a"), bad=message("m-bad", TOO_LONG), b=message("m-b"))

    assert isinstance(answers["bad"], DatabaseError)
    assert (answers["a"], answers["b"]) == (AcceptResult(1, 0, 0), AcceptResult(1, 0, 0))
    assert stored() == ["m-a", "m-b", "m-first"]
    assert Batch.objects.count() == 3


def test_a_group_has_at_most_the_maximum_number_of_events(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "MAX_GROUP_EVENTS", 2)
    crowd.come(a=message("m-a"), b=message("m-b"), c=message("m-c"))

    assert crowd.sizes == [1, 2, 1]


def test_a_lost_connection_fails_every_request_of_the_group(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(writes: Sequence[Write]) -> None:
        connection.close()
        raise OperationalError("the connection is lost")

    crowd.write = gone
    monkeypatch.setattr(type(connections[DEFAULT_DB_ALIAS]), "is_usable", lambda self: False)
    answers = crowd.come(a=message("m-a"), b=message("m-b"))

    assert [type(answer) for answer in answers.values()] == [OperationalError] * 3
    assert crowd.sizes == [1, 2]
    assert stored() == []


def test_a_connection_that_was_ended_is_replaced_before_the_next_group_is_written(crowd: Crowd) -> None:
    async def twice() -> None:
        await crowd.ask("before", message("m-before"))
        pid = crowd.queue._thread.submit(backend).result(15)
        await asyncio.to_thread(end_backend, pid)
        await crowd.ask("after", message("m-after"))

    def backend() -> int:
        return int(connection.connection.info.backend_pid)

    crowd.first_may_go.set()
    on_loop(twice)

    assert (crowd.answers["before"], crowd.answers["after"]) == (AcceptResult(1, 0, 0), AcceptResult(1, 0, 0))
    assert stored() == ["m-after", "m-before"]


def test_an_error_before_the_first_attempt_is_not_taken_for_a_commit(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("before anything was written")

    monkeypatch.setattr(transaction, "close_old_connections", broken)
    crowd.first_may_go.set()
    with pytest.raises(RuntimeError, match="before anything was written"):
        on_loop(lambda: crowd.ask("first", message("m-first")))

    assert (crowd.sizes, stored()) == ([], [])


def test_a_request_beyond_the_waiting_limit_is_refused_and_the_others_are_written(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "MAX_WAITING_EVENTS", 1)
    monkeypatch.setattr(write_queue, "MIN_GROUP_EVENTS", 1)
    answers = crowd.come(second=message("m-second"), late=message("m-late"))

    assert isinstance(answers["late"], write_queue.Overloaded)
    assert stored() == ["m-first", "m-second"]


def test_the_largest_batch_is_accepted_beside_a_gathering_group(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_queue, "MAX_WAITING_EVENTS", 3)
    monkeypatch.setattr(write_queue, "MIN_GROUP_EVENTS", 2)
    crowd.first_may_go.set()

    async def come() -> None:
        large = [message(f"m-{number}") for number in range(3)]
        await asyncio.gather(crowd.ask("one", message("m-one")), crowd.ask("large", *large))

    on_loop(come)
    assert crowd.answers == {"one": AcceptResult(1, 0, 0), "large": AcceptResult(3, 0, 0)}


def test_the_next_group_is_written_after_one_that_failed(crowd: Crowd) -> None:
    crowd.come(bad=message("m-bad", TOO_LONG))
    on_loop(lambda: crowd.ask("later", message("m-later")))

    assert crowd.answers["later"] == AcceptResult(1, 0, 0)
    assert stored() == ["m-first", "m-later"]
