"""Statements sent by the event loop without a thread, and groups of requests written by them."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection
from django.db.models import Sum

from audience.games.keys import NewKey
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.requests import prefetch
from audience.intake.storing import statement, transaction, write_queue
from audience.intake.storing.accept import AcceptResult, accept_all, accept_on_loop
from audience.intake.storing.channel import Channel, ResultRow
from audience.intake.storing.rows import Submission
from audience.intake.storing.statement import Write
from audience.intake.storing.write_queue import WriteQueue
from audience.models import ApiKey, Batch, Event, Kind, Rejection
from tests.audience.concurrency import end_backend
from tests.audience.event_loop import on_loop, web_process
from tests.audience.test_write_queue import NOW, TOO_LONG, message, sent, stored

pytestmark = pytest.mark.django_db(transaction=True)
STATEMENTS = {
    b"add": "INSERT INTO tried VALUES ($1::int) RETURNING number",
    b"length": "SELECT length($1::text), NULL",
    b"echo": "SELECT repeat($1::text, 2000000)",
    b"sleep": "SELECT pg_sleep(60), $1::text",
    b"pid": "SELECT pg_backend_pid(), $1::text",
}
Outcome = list[ResultRow] | Exception
# Raises where a commit can still fail: after the rows were told.
AT_COMMIT = """
CREATE FUNCTION refuse_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'not committed'; END $$;
CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse_at_commit();
"""


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def elsewhere(statement: str) -> None:
    """On a thread, which would keep its connection."""
    try:
        execute(statement)
    finally:
        connection.close()


@pytest.fixture
def tried() -> Iterator[None]:
    execute("CREATE TABLE tried (number int PRIMARY KEY)")
    yield
    execute("DROP TABLE tried; DROP FUNCTION IF EXISTS refuse_at_commit")


def numbers() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM tried ORDER BY 1")
        return [number for (number,) in cursor.fetchall()]


async def ask(channel: Channel, name: bytes, value: bytes) -> Outcome:
    answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    channel.send(name, [value], answered.set_result)
    return await asyncio.wait_for(answered, 20)


def with_channel(work: Callable[[Channel], Coroutine[Any, Any, Any]], statements: Mapping[bytes, str]) -> Any:
    async def run() -> Any:
        channel = await asyncio.to_thread(Channel, statements)
        try:
            return await work(channel)
        finally:
            channel.close()

    return on_loop(run)


def test_a_result_arrives_after_the_commit(tried: None) -> None:
    async def work(channel: Channel) -> list[Outcome]:
        return [await ask(channel, b"add", b"1"), await ask(channel, b"add", b"2")]

    assert with_channel(work, STATEMENTS) == [[(b"1",)], [(b"2",)]]
    assert numbers() == [1, 2]


def test_values_are_read_as_text_and_null_as_none(tried: None) -> None:
    assert with_channel(lambda channel: ask(channel, b"length", "Zoë".encode()), STATEMENTS) == [(b"3", None)]


def test_statements_and_answers_larger_than_the_socket_buffer_are_transferred(tried: None) -> None:
    async def work(channel: Channel) -> tuple[Outcome, Outcome]:
        return await ask(channel, b"length", b"x" * 20_000_000), await ask(channel, b"echo", b"four")

    length, echo = with_channel(work, STATEMENTS)
    assert length == [(b"20000000", None)]
    assert echo == [(b"four" * 2_000_000,)]


def test_a_refusal_closes_the_channel_and_stores_nothing(tried: None) -> None:
    async def work(channel: Channel) -> tuple[Outcome, Outcome, bool]:
        return await ask(channel, b"add", b"1"), await ask(channel, b"add", b"1"), channel.is_open

    first, again, is_open = with_channel(work, STATEMENTS)
    assert first == [(b"1",)]
    assert isinstance(again, psycopg.errors.UniqueViolation)
    assert not is_open


def test_an_error_at_the_commit_is_no_success(tried: None) -> None:
    """The rows are told before the commit, and it fails after them."""
    execute(AT_COMMIT.format(table="tried", when="NEW.number = 2"))

    async def work(channel: Channel) -> tuple[Outcome, Outcome]:
        return await ask(channel, b"add", b"1"), await ask(channel, b"add", b"2")

    good, bad = with_channel(work, STATEMENTS)
    assert good == [(b"1",)]
    assert isinstance(bad, psycopg.errors.RaiseException)
    assert numbers() == [1]


def test_a_connection_lost_during_a_statement_is_an_error(tried: None) -> None:
    async def work(channel: Channel) -> tuple[Outcome, bool]:
        [(pid, _)] = await ask(channel, b"pid", b"")  # type: ignore[misc]
        asyncio.get_running_loop().call_later(0.2, lambda: asyncio.ensure_future(asyncio.to_thread(end, pid)))
        outcome = await ask(channel, b"sleep", b"")
        assert not asyncio.get_running_loop().remove_reader(channel._socket), "the loop still looks at it"
        return outcome, channel.is_open

    def end(pid: bytes | None) -> None:
        end_backend(int(pid or 0))

    outcome, is_open = with_channel(work, STATEMENTS)
    assert isinstance(outcome, psycopg.OperationalError)
    assert not is_open


def test_a_connection_that_ends_while_it_is_idle_is_noticed(tried: None) -> None:
    async def work(channel: Channel) -> None:
        [(pid, _)] = await ask(channel, b"pid", b"")  # type: ignore[misc]
        await asyncio.to_thread(end_backend, int(pid or 0))
        while channel.is_open:
            await asyncio.sleep(0.01)
        assert not asyncio.get_running_loop().remove_reader(channel._socket), "the loop still looks at it"
        with pytest.raises(psycopg.OperationalError):
            channel.send(b"pid", [b""], lambda outcome: None)

    async def soon(channel: Channel) -> None:
        await asyncio.wait_for(work(channel), 15)

    with_channel(soon, STATEMENTS)


def test_an_invalid_statement_fails_when_the_channel_opens() -> None:
    with pytest.raises(psycopg.errors.SyntaxError):
        with_channel(lambda channel: ask(channel, b"odd", b""), {b"odd": "SELEKT 1"})


# Groups


class Crowd:
    """Requests of one process that has a channel."""

    queue: WriteQueue

    def __init__(self, key: NewKey) -> None:
        self.key = key
        self.open_channel: Callable[[], Channel] = partial(Channel, statement.STATEMENTS)
        self.on_thread: list[int] = []

    def counted(self, writes: Sequence[Write]) -> None:
        self.on_thread.append(len(writes))
        transaction.write_all(writes)

    async def ask(self, *messages: Message) -> AcceptResult | BaseException:
        try:
            [result] = await accept_on_loop([sent(self.key, *messages)])
        except Exception as error:
            return error
        return result

    async def open(self) -> None:
        """The first request, which goes by the thread."""
        assert await self.ask(message("m-first")) == AcceptResult(1, 0, 0)
        assert self.on_thread.pop() == 1
        await self.reopened()

    async def reopened(self) -> None:
        """What the thread was asked for is done."""
        await asyncio.wrap_future(self.queue._thread.submit(lambda: None))
        assert self.queue._channel

    async def together(self, *messages: Message) -> list[AcceptResult | BaseException]:
        return list(await asyncio.gather(*(self.ask(one) for one in messages)))

    async def end(self) -> None:
        assert self.queue._channel
        await asyncio.to_thread(end_backend, self.queue._channel._libpq.backend_pid)


@pytest.fixture
def crowd(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    crowd = Crowd(key)
    with web_process(monkeypatch, crowd.counted, lambda: crowd.open_channel()) as crowd.queue:
        yield crowd


def test_small_groups_are_written_by_the_channel_once_it_is_open(crowd: Crowd) -> None:
    async def work() -> list[AcceptResult | BaseException]:
        await crowd.open()
        return await crowd.together(message("m-a"), message("m-b"), message("m-a"), message("m-c"))

    assert on_loop(work) == [AcceptResult(1, 0, 0), AcceptResult(1, 0, 0), AcceptResult(0, 1, 0), AcceptResult(1, 0, 0)]
    assert crowd.on_thread == []
    assert stored() == ["m-a", "m-b", "m-c", "m-first"]
    # Those that are here together are written together.
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM audience_batch WHERE received_at = %s", [NOW])
        assert cursor.fetchone() == (2,)


def test_another_event_with_a_stored_id_is_stored_too(crowd: Crowd) -> None:
    async def work() -> list[list[AcceptResult | BaseException]]:
        await crowd.open()
        group = [message("m-a"), message("m-b"), message("m-a", "user-2"), message("m-a")]
        return [await crowd.together(*group), await crowd.together(*group)]

    first, again = on_loop(work)
    assert first == [AcceptResult(1, 0, 0), AcceptResult(1, 0, 0), AcceptResult(1, 0, 0), AcceptResult(0, 1, 0)]
    assert again == [AcceptResult(0, 1, 0)] * 4
    assert crowd.on_thread == []
    assert sorted(Event.objects.filter(name="").values_list("user_id", flat=True)) == ["user-1"] * 3 + ["user-2"]
    assert stored()[-3:] == ["m-a", "m-b", "m-first"]
    sums = Batch.objects.aggregate(new=Sum("accepted"), copies=Sum("duplicates"))
    assert sums == {"new": 4, "copies": 5}


def test_the_channel_stores_the_same_rows_as_a_transaction(crowd: Crowd) -> None:
    refused = Rejected("m-9", [Violation("type", "UNSUPPORTED_TYPE", "No such type.")], {"userId": "u"})

    def request(name: str) -> list[Submission]:
        untimed = Message(kind=Kind.IDENTIFY, message_id=f"{name}-2", event_at=NOW, day=None, traits={"a": "\u00e9"})
        return [sent(crowd.key, message(f"{name}-1"), untimed, rejected=[refused])]

    def rows(prefix: str) -> list[Any]:
        own = {"id", "message_id"}
        events = Event.objects.filter(message_id__startswith=prefix).order_by("message_id").values()
        return [{name: value for name, value in event.items() if name not in own} for event in events]

    async def work() -> list[AcceptResult]:
        await crowd.open()
        return await accept_on_loop(request("channel"))

    assert on_loop(work) == accept_all(request("thread")) == [AcceptResult(2, 0, 1)]
    assert crowd.on_thread == []
    assert rows("channel") == rows("thread") != []
    own = {"id", "event_ids"}
    last, before = (
        {k: v for k, v in row.items() if k not in own} for row in Batch.objects.order_by("-id").values()[:2]
    )
    assert last == before
    one, other = ({k: v for k, v in row.items() if k != "id"} for row in Rejection.objects.values())
    assert one == other


def test_a_large_group_is_written_in_a_transaction(crowd: Crowd) -> None:
    async def work() -> AcceptResult | BaseException:
        await crowd.open()
        return await crowd.ask(*(message(f"m-{number}") for number in range(statement.MIN_COPY_ROWS)))

    assert on_loop(work) == AcceptResult(statement.MIN_COPY_ROWS, 0, 0)
    assert crowd.on_thread == [1]


def test_a_group_with_long_rows_is_written_in_a_transaction(crowd: Crowd) -> None:
    heavy = message("m-heavy")
    heavy.raw = {"note": "x" * statement.MAX_LOOP_CHARACTERS}

    async def work() -> list[AcceptResult | BaseException]:
        await crowd.open()
        return [await crowd.ask(heavy), await crowd.ask(message("m-light"))]

    assert on_loop(work) == [AcceptResult(1, 0, 0)] * 2
    assert crowd.on_thread == [1]


def test_a_refused_message_fails_only_its_own_request_and_the_channel_reopens(crowd: Crowd) -> None:
    async def work() -> list[list[AcceptResult | BaseException]]:
        await crowd.open()
        first = await crowd.together(message("m-0"), message("m-a"), message("m-bad", TOO_LONG), message("m-b"))
        return [first, await crowd.together(message("m-c"))]

    (zero, a, bad, b), (c,) = on_loop(work)
    assert [zero, a, b, c] == [AcceptResult(1, 0, 0)] * 4
    assert isinstance(bad, DatabaseError)
    assert crowd.on_thread == [4, 1, 1, 1, 1, 1]
    assert stored() == ["m-0", "m-a", "m-b", "m-c", "m-first"]


def test_what_is_not_committed_is_not_acknowledged(crowd: Crowd) -> None:
    execute(AT_COMMIT.format(table="audience_batch", when="NEW.rejected = 0"))
    try:
        [answer] = on_loop(lambda: crowd.together(message("m-a")))
        assert isinstance(answer, DatabaseError)
    finally:
        execute("DROP FUNCTION refuse_at_commit CASCADE")

    async def work() -> list[AcceptResult | BaseException]:
        await crowd.open()
        await asyncio.to_thread(elsewhere, AT_COMMIT.format(table="audience_batch", when="NEW.rejected = 0"))
        return await crowd.together(message("m-b"))

    try:
        [answer] = on_loop(work)
        assert isinstance(answer, DatabaseError)
        assert stored() == ["m-first"]
    finally:
        execute("DROP FUNCTION refuse_at_commit CASCADE")


def test_a_terminated_connection_loses_no_request(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> list[list[AcceptResult | BaseException]]:
        await crowd.open()
        await crowd.end()
        monkeypatch.setattr(write_queue, "REOPEN_SECONDS", 0.0)
        after = await crowd.together(message("m-a"), message("m-b"))
        await crowd.reopened()
        crowd.on_thread.append(0)
        # Over a new channel, whose socket may have the old one's number.
        return [after, await crowd.together(message("m-c"))]

    assert on_loop(work) == [[AcceptResult(1, 0, 0)] * 2, [AcceptResult(1, 0, 0)]]
    assert crowd.on_thread == [2, 0]
    assert stored() == ["m-a", "m-b", "m-c", "m-first"]


def test_attempts_to_open_a_channel_are_a_second_apart(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def refuse() -> Channel:
        asked.append(time.monotonic())
        raise psycopg.OperationalError("too many connections")

    crowd.open_channel = refuse

    async def work() -> None:
        for number in range(10):
            assert await crowd.ask(message(f"m-{number}")) == AcceptResult(1, 0, 0)
        took = time.monotonic() - began
        assert 1 <= len(asked) <= 1 + took // write_queue.REOPEN_SECONDS
        asked.clear()
        monkeypatch.setattr(write_queue, "REOPEN_SECONDS", 0.0)
        assert await crowd.ask(message("m-later")) == AcceptResult(1, 0, 0)
        await asyncio.wrap_future(crowd.queue._thread.submit(lambda: None))

    began = time.monotonic()
    on_loop(work)
    assert len(asked) == 1


def test_without_a_channel_groups_are_written_in_transactions(crowd: Crowd, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Channel:
        raise psycopg.OperationalError("too many connections")

    crowd.open_channel = refuse

    async def work() -> list[AcceptResult | BaseException]:
        return [await crowd.ask(message("m-a")), await crowd.ask(message("m-b"))]

    assert on_loop(work) == [AcceptResult(1, 0, 0)] * 2
    assert crowd.on_thread == [1, 1]


def test_after_an_error_on_the_event_loop_the_next_group_is_written(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong on the loop: the next group is written."""

    def broken(writes: Sequence[Write]) -> Any:
        raise RuntimeError("a mistake of ours")

    async def work() -> list[AcceptResult | BaseException]:
        await crowd.open()
        with monkeypatch.context() as patch:
            patch.setattr(statement, "build", broken)
            bad = await crowd.ask(message("m-a"))
        return [bad, await crowd.ask(message("m-b"))]

    bad, good = on_loop(work)
    assert isinstance(bad, RuntimeError)
    assert good == AcceptResult(1, 0, 0)


def test_a_key_used_through_the_channel_is_marked_as_used(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the loop, where a query would keep everybody waiting."""
    left: list[Callable[[], object]] = []
    monkeypatch.setattr(prefetch, "prefetch", left.append)

    async def work() -> None:
        await crowd.open()
        await crowd.ask(message("m-a"))

    on_loop(work)
    assert ApiKey.objects.get().last_used_at is None
    [mark] = left
    mark()
    assert ApiKey.objects.get().last_used_at == crowd.key.key.last_used_at is not None
