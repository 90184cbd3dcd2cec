"""Slow, fragmented, endless and too many bodies: read within limits, or refused."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from audience.intake import asgi, bodies
from audience.intake.bodies import Bodies, BodyAborted, BodyTimeout, ClientDisconnected, ServerBusy
from audience.models import Batch, Event, Game, Rejection
from config.probes import answer_livez
from tests.audience.event_loop import on_loop
from tests.audience.test_transport import PATHS, Wire, wire_of

Message = dict[str, Any]


class Sender:
    """A body in parts, behind which nothing comes; `ends` says whether the last part says so."""

    def __init__(self, *parts: bytes, ends: bool = True) -> None:
        self._parts, self._ends = list(parts), ends

    async def receive(self) -> Message:
        if not self._parts:
            await asyncio.Event().wait()
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts) or not self._ends}


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "CHECK_SECONDS", 0.05)


async def came_to(body: Awaitable[bytes]) -> bytes | type[BodyAborted]:
    try:
        return await body
    except BodyAborted as why:
        return type(why)


# One body ---------------------------------------------------------------------------------------------


def test_a_body_in_parts_is_joined_and_its_buffer_released() -> None:
    async def read() -> tuple[bytes, int]:
        known = Bodies()
        return await known.read(Sender(b"one ", b"two ", b"three").receive, limit=100), known.held_bytes

    assert on_loop(read) == (b"one two three", 0)


def test_a_body_that_does_not_arrive_times_out(hurry: None) -> None:
    async def read() -> tuple[Any, float, int]:
        known, loop = Bodies(), asyncio.get_running_loop()
        began = loop.time()
        outcome = await came_to(known.read(Sender(b"half", ends=False).receive, limit=100))
        return outcome, loop.time() - began, known.held_bytes

    outcome, seconds, held = on_loop(read)
    assert (outcome, held) == (BodyTimeout, 0)
    assert 0.19 < seconds < 2


def test_received_bytes_extend_the_time_allowed_for_a_body(hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MIN_BYTES_PER_SECOND", 10)

    async def read() -> tuple[Any, Any]:
        known = Bodies()

        async def steady() -> Message:
            """10 bytes in 0.1 s, where 10 bytes a second would do."""
            await asyncio.sleep(0.1)
            sent.append(10)
            return {"type": "http.request", "body": b"x" * 10, "more_body": len(sent) < 6}

        async def drip() -> Message:
            """A byte at a time, at once and then never: less than the rate."""
            await asyncio.sleep(0.15)
            return {"type": "http.request", "body": b"", "more_body": True}

        sent: list[int] = []
        return await came_to(known.read(steady, limit=100)), await came_to(known.read(drip, limit=100))

    assert on_loop(read) == (b"x" * 60, BodyTimeout)


def test_the_time_is_twenty_seconds_and_a_second_for_each_8_kib() -> None:
    assert (bodies.BODY_SECONDS, bodies.MIN_BYTES_PER_SECOND, bodies.CHECK_SECONDS) == (20.0, 8192, 1.0)


def test_a_disconnect_is_distinguished_from_the_end_of_a_body() -> None:
    messages = [
        {"type": "http.request", "body": b'{"type":"track"}', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    assert on_loop(lambda: came_to(Bodies().read(receive, limit=100))) is ClientDisconnected


def test_reading_stops_once_a_body_exceeds_the_limit() -> None:
    sender = [b"x" * 60] * 50

    async def receive() -> Message:
        return {"type": "http.request", "body": sender.pop(), "more_body": True}

    assert len(on_loop(lambda: _read(receive))) == 120  # type: ignore[arg-type]
    assert len(sender) == 48


async def _read(receive: Callable[[], Awaitable[Message]]) -> bytes:
    return await Bodies().read(receive, limit=100)


def test_a_cancelled_request_is_not_reported_as_slow() -> None:
    async def read() -> tuple[bool, int]:
        known = Bodies()
        task = asyncio.create_task(known.read(Sender(b"half", ends=False).receive, limit=100))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled(), known.held_bytes

    assert on_loop(read) == (True, 0)


# All of them together ---------------------------------------------------------------------------------


def test_the_largest_incoming_body_is_dropped_when_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 100)

    async def read() -> tuple[list[Any], Any, int]:
        known = Bodies()
        greedy = [
            asyncio.create_task(came_to(known.read(Sender(b"x" * size, ends=False).receive, limit=1000)))
            for size in (30, 60)
        ]
        await asyncio.sleep(0)
        honest = await came_to(known.read(Sender(b"a" * 10, b"b" * 10).receive, limit=1000))
        await asyncio.sleep(0)
        outcomes = [task.result() if task.done() else "still coming" for task in greedy]
        greedy[0].cancel()
        return outcomes, honest, known.held_bytes

    assert on_loop(read) == (["still coming", ServerBusy], b"a" * 10 + b"b" * 10, 30)


def test_a_new_body_that_is_the_largest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 100)

    async def read() -> tuple[Any, Any, int]:
        known = Bodies()
        with known.reserve(90):
            outcome = await came_to(known.read(Sender(b"x" * 8, b"x" * 8, b"x").receive, limit=1000))
            small = await came_to(known.read(Sender(b"x" * 5, b"x" * 5).receive, limit=1000))
        return outcome, small, known.held_bytes

    assert on_loop(read) == (ServerBusy, b"x" * 10, 0)


def test_bodies_in_use_are_kept_and_further_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 100)
    known = Bodies()

    async def use() -> None:
        with known.reserve(60):
            with pytest.raises(ServerBusy), known.reserve(60):
                raise AssertionError("there is no room for this")
            assert known.held_bytes == 60

    on_loop(use)
    assert known.held_bytes == 0


# At the edge ------------------------------------------------------------------------------------------


@dataclass
class Edge:
    """A IngestApp whose pages note the body that reached them, and the answers it gave."""

    reached: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.asgi = asgi.IngestApp(self._pages, quick={"/livez": answer_livez})

    async def _pages(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert not message.get("more_body", False), "a page never waits for more"
        self.reached.append((scope["path"], message["body"]))
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, path: str, receive: Any, *, method: str = "POST", version: str = "1.1", **headers: str) -> Any:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "http_version": version, "method": method, "path": path, "headers": raw}
        scope |= {"query_string": b"", "scheme": "http", "client": ("127.0.0.1", 5), "server": ("testserver", 80)}
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await self.asgi(scope, receive, send)
        if not sent:
            return None
        found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture(params=list(PATHS), ids=lambda dialect: dialect.value)
def wire(request: pytest.FixtureRequest, game: Game) -> Wire:
    return wire_of(game, request.param)


@pytest.fixture
def nothing_is_stored(transactional_db: None) -> Iterator[None]:
    yield
    assert [model.objects.count() for model in (Event, Batch, Rejection)] == [0, 0, 0]


@pytest.mark.parametrize("headers", [{"content_length": "100"}, {"transfer_encoding": "chunked"}], ids=["sized", "not"])
def test_a_wire_route_asks_a_slow_sender_to_come_back_and_closes(
    hurry: None, nothing_is_stored: None, wire: Wire, headers: dict[str, str]
) -> None:
    async def ask() -> Any:
        return await Edge().ask(wire.path, Sender(wire.sent({})[:-1], ends=False).receive, **headers)

    status, found, body = on_loop(ask)
    assert (status, found["retry-after"], found["connection"]) == (503, "5", "close")
    assert b"again" in body.lower()


def test_a_page_answers_a_slow_sender_408_and_closes(hurry: None) -> None:
    edge = Edge()
    half = Sender(b"login=", ends=False)
    status, found, body = on_loop(lambda: edge.ask("/accounts/login/", half.receive, content_length="100"))
    assert (status, found["connection"], body) == (408, "close", b"The request took too long to arrive.\n")
    assert edge.reached == []


def test_a_disconnected_sender_gets_no_answer_and_leaves_no_state(nothing_is_stored: None, wire: Wire) -> None:
    messages = [{"type": "http.request", "body": wire.sent({}), "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return messages.pop(0)

    edge = Edge()
    assert on_loop(lambda: edge.ask(wire.path, receive, transfer_encoding="chunked")) is None
    assert edge.reached == []


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.1", {"content_length": "20"}), ("1.1", {"transfer_encoding": "chunked"}), ("2", {})],
    ids=["sized", "chunked", "HTTP/2"],
)
def test_a_page_gets_its_body_whole_whatever_the_framing(version: str, headers: dict[str, str]) -> None:
    edge = Edge()
    parts = Sender(b"0123456789", b"0123456789")
    status, *_ = on_loop(lambda: edge.ask("/accounts/login/", parts.receive, version=version, **headers))
    assert (status, edge.reached) == (299, [("/accounts/login/", b"01234567890123456789")])
    assert edge.asgi.bodies.held_bytes == 0


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.1", {"content_length": str(asgi.MAX_BODY_BYTES + 1)}), ("1.1", {"transfer_encoding": "chunked"}), ("2", {})],
    ids=["sized", "chunked", "HTTP/2"],
)
def test_a_page_refuses_a_body_over_the_limit_whatever_the_framing(version: str, headers: dict[str, str]) -> None:
    edge = Edge()
    given: list[int] = []

    async def endless() -> Message:
        given.append(1024 * 1024)
        return {"type": "http.request", "body": b"x" * 1024 * 1024, "more_body": True}

    status, found, _ = on_loop(lambda: edge.ask("/accounts/login/", endless, version=version, **headers))
    assert (status, found.get("connection")) == (413, "close" if version == "1.1" else None)
    assert sum(given) <= asgi.MAX_BODY_BYTES + 1024 * 1024
    assert edge.reached == []


def test_a_request_that_says_it_has_no_body_is_not_waited_for() -> None:
    edge = Edge()
    silent = Sender(ends=False)
    status, *_ = on_loop(lambda: edge.ask("/accounts/login/", silent.receive, method="GET"))
    assert (status, edge.reached) == (299, [("/accounts/login/", b"")])


def test_slow_senders_do_not_delay_other_requests() -> None:
    """Sixteen chunked ones did."""
    edge = Edge()

    async def ask() -> int:
        slow = [
            asyncio.create_task(edge.ask(path, Sender(b"x", ends=False).receive, **headers))
            for path in ("/v1/track", "/accounts/login/")
            for headers in ({"content_length": "100"}, {"transfer_encoding": "chunked"})
            for _ in range(50)
        ]
        await asyncio.sleep(0.05)
        status, *_ = await asyncio.wait_for(
            edge.ask("/accounts/login/", Sender(b"a", b"b").receive, transfer_encoding="chunked"), 2
        )
        for task in slow:
            task.cancel()
        return int(status)

    assert on_loop(ask) == 299
    assert edge.reached == [("/accounts/login/", b"ab")]


def test_livez_is_answered_without_a_thread_or_a_body() -> None:
    edge = Edge()
    silent = asyncio.Event

    async def ask(method: str) -> Any:
        return await asyncio.wait_for(edge.ask("/livez", silent().wait, method=method, content_length="100"), 2)

    for method, body in (("GET", b"ok"), ("HEAD", b"")):
        status, headers, sent = on_loop(lambda method=method: ask(method))
        assert len(headers.pop("x-request-id")) == 32
        assert (status, headers, sent) == (200, {"content-type": "text/plain", "content-length": "2"}, body)
    assert on_loop(lambda: ask("POST"))[0] == 405
    assert edge.reached == []
