"""The event loop gives the same answers as a thread, and passes requests that would block to a thread."""

import asyncio
import gzip
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from a2wsgi import WSGIMiddleware
from django.conf import LazySettings
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.test import Client
from prometheus_client import REGISTRY

from audience.games.keys import revoke_key
from audience.intake import asgi
from audience.intake.requests import auth, limit
from audience.intake.requests.caller import caller_ip
from audience.intake.storing import accept as accepting
from audience.intake.storing import transaction
from audience.intake.storing.statement import Write
from audience.intake.storing.write_queue import MAX_GROUP_EVENTS, MAX_WAITING_EVENTS, Overloaded, WriteQueue
from audience.models import Batch, Dialect, Event, Game, Rejection
from config.probes import answer_livez
from tests.audience.event_loop import on_loop, web_process
from tests.audience.immutable import message
from tests.audience.test_transport import PATHS, Wire, wire_of
from tests.audience.wire import ORIGIN, compact_json

pytestmark = pytest.mark.django_db(transaction=True)
Message = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes


@dataclass
class Loop:
    """A web process's way in, whose pages say 299 and note what reached them."""

    reached: list[tuple[str, bytes]] = field(default_factory=list)

    async def pages(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        read, more = b"", scope["type"] == "http"
        while more:
            coming = receive()
            assert asyncio.iscoroutine(coming), "the threads of the pages can await nothing else"
            message = await coming
            read += message.get("body", b"")
            more = message.get("more_body", False)
        self.reached.append((scope.get("path", scope["type"]), read))
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"a page"})

    def ask(
        self,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        scheme: str = "http",
    ) -> Answer:
        """One request; a body in parts comes without its size."""
        parts = [body] if isinstance(body, bytes) else list(body)
        sized = {"Content-Length": str(len(body))} if isinstance(body, bytes) else {"Transfer-Encoding": "chunked"}
        raw = [(k.lower().encode(), v.encode()) for k, v in {**sized, **(headers or {})}.items()]
        path, _, query = path.partition("?")
        scope: Message = {"type": "http", "http_version": "1.1", "method": method, "path": path, "headers": raw}
        scope |= {
            "query_string": query.encode(),
            "scheme": scheme,
            "client": ("127.0.0.1", 5),
            "server": ("testserver", 80),
        }
        return on_loop(lambda: self._asked(scope, parts))

    async def _asked(self, scope: Message, parts: list[bytes]) -> Answer:
        coming = [
            {"type": "http.request", "body": part, "more_body": place < len(parts)}
            for place, part in enumerate(parts, start=1)
        ]
        sent: list[Message] = []

        def receive() -> asyncio.Future[Message]:
            """As Granian does, no coroutine."""
            told: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            told.set_result(coming.pop(0) if coming else {"type": "http.disconnect"})
            return told

        async def send(message: Message) -> None:
            sent.append(message)

        await asgi.IngestApp(self.pages)(scope, receive, send)
        start, *rest = sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        plain = [name for name, _ in start["headers"] if name != b"set-cookie"]
        assert len(set(plain)) == len(plain), "no header twice, except cookies"
        return Answer(start["status"], headers, b"".join(part["body"] for part in rest))


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr(auth, "KEY_CACHE_SECONDS", 60.0)
    monkeypatch.setattr(limit, "LEASE_SIZE_SECONDS", 4.0)
    monkeypatch.setattr(limit, "LEASE_EXPIRY_SECONDS", 60.0)
    redis.Redis.from_url(django_settings.CELERY_BROKER_URL).flushdb()
    limit.get_limiter.cache_clear()
    with web_process(monkeypatch):
        yield Loop()
    auth.clear_key_cache()
    limit.get_limiter.cache_clear()


@pytest.fixture(params=list(PATHS), ids=lambda dialect: dialect.value)
def wire(request: pytest.FixtureRequest, game: Game) -> Wire:
    return wire_of(game, request.param)


@pytest.fixture
def immutable(game: Game) -> Wire:
    return wire_of(game, Dialect.IMMUTABLE)


def at_hand(wire: Wire) -> None:
    """A thread has looked the key up and taken tokens for it."""
    assert wire.post(wire.sent({})).status_code == wire.success
    truncate()


def scope_of(wire: Wire, body: bytes) -> Message:
    """Of a request that says how large its body is."""
    headers = {**wire.authorised(), "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": wire.path, "query_string": b""}
    return {**scope, "headers": raw}


async def posted(web: asgi.IngestApp, wire: Wire, body: bytes) -> int:
    """The status of one request, which has been read to its end."""
    coming, statuses = [{"type": "http.request", "body": body}], []

    async def receive() -> Message:
        await asyncio.sleep(0)
        return coming.pop()

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    await web(scope_of(wire, body), receive, send)
    assert coming == []
    return int(statuses[0])


def truncate() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE audience_event, audience_batch, audience_rejection")


def stored() -> tuple[list[Any], list[Any], list[Any]]:
    own = {"id", "received_at", "next_attempt_at", "event_ids", "event_at", "day", "first_day", "last_day"}
    tables = [table.objects.order_by("pk").values() for table in (Event, Batch, Rejection)]
    events, batches, rejections = ([{k: v for k, v in row.items() if k not in own} for row in rows] for rows in tables)
    for row in rejections:
        if isinstance(row["raw"], dict):
            row["raw"].pop("request", None)
    return events, batches, rejections


def alike(content: bytes) -> bytes:
    """Without what differs from answer to answer."""
    return re.sub(rb'"trace_id":"[0-9a-f]{32}"', b'"trace_id":""', content)


def alike_headers(headers: dict[str, str]) -> dict[str, str]:
    assert len(headers["x-request-id"]) == 32
    return {name: value for name, value in headers.items() if name != "x-request-id"}


ASKED: dict[str, Callable[[Wire], tuple[bytes, dict[str, str]]]] = {
    "a good one": lambda wire: (wire.sent({"a": 1}), {}),
    "one from a browser": lambda wire: (wire.sent({"a": 1}), {"Origin": ORIGIN, "User-Agent": "Browser/1.0"}),
    "one that came over a proxy": lambda wire: (wire.sent({}), {"X-Forwarded-For": "203.0.113.7"}),
    "compressed": lambda wire: (gzip.compress(wire.sent({"a": 1}), mtime=0), {"Content-Encoding": "gzip"}),
    "one with a fault": lambda wire: (wire.sent({}, user_id=["no text"]), {}),
    "no JSON": lambda wire: (b"{", {}),
    "an empty body": lambda wire: (b"", {}),
    "an unknown packing": lambda wire: (wire.sent({}), {"Content-Encoding": "br"}),
    "no list": lambda wire: (b'{"messages":5,"batch":5}', {}),
}


def test_the_loop_answers_and_stores_what_a_thread_does(loop: Loop, wire: Wire) -> None:
    at_hand(wire)
    for name, asked in ASKED.items():
        body, more = asked(wire)
        headers = {"Content-Type": "application/json", **wire.authorised(), **more}
        theirs = Client().generic("POST", wire.path, body, "application/json", headers={**wire.authorised(), **more})
        left = stored()
        truncate()
        ours = loop.ask(wire.path, body, headers=headers)

        assert (name, ours.status, alike(ours.content)) == (name, theirs.status_code, alike(theirs.content))
        assert alike_headers(ours.headers) == alike_headers({name.lower(): value for name, value in theirs.items()})
        assert (name, stored()) == (name, left)
        truncate()
    assert loop.reached == []


def test_the_loop_answers_other_methods_as_a_thread_does(loop: Loop, wire: Wire) -> None:
    for method in ("GET", "PUT", "OPTIONS"):
        theirs = Client().generic(method, wire.path, b"", headers={"Origin": ORIGIN})
        ours = loop.ask(wire.path, method=method, headers={"Origin": ORIGIN})

        assert (ours.status, alike(ours.content)) == (theirs.status_code, alike(theirs.content))
        assert alike_headers(ours.headers) == alike_headers({name.lower(): value for name, value in theirs.items()})


def test_simultaneous_requests_share_a_transaction(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    bodies = [immutable.sent({"n": n}).replace(b"0d9c1a52", b"%08d" % n) for n in range(20)]

    async def together() -> list[Answer]:
        return list(await asyncio.gather(*(loop._asked(scope_of(immutable, body), [body]) for body in bodies)))

    answers = on_loop(together)

    assert {answer.status for answer in answers} == {immutable.success}
    assert (Event.objects.count(), Batch.objects.count()) == (20, 20)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM audience_batch")
        assert cursor.fetchone()[0] < 20


# What goes on to a thread


def test_a_request_whose_key_is_not_cached_goes_to_a_thread(loop: Loop, immutable: Wire) -> None:
    body = immutable.sent({"a": 1})

    assert loop.ask(immutable.path, body, headers=immutable.authorised()).status == 299
    assert loop.reached == [(immutable.path, body)]
    assert stored() == ([], [], [])


def test_a_request_whose_key_has_no_tokens_left_goes_to_a_thread(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    limit.get_limiter().leases.clear()

    assert loop.ask(immutable.path, immutable.sent({}), headers=immutable.authorised()).status == 299
    assert stored() == ([], [], [])


def test_a_revoked_key_is_not_read_from_the_cache(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    revoke_key(key=immutable.key.key)

    assert loop.ask(immutable.path, immutable.sent({}), headers=immutable.authorised()).status == 299


def test_a_large_body_goes_to_a_thread(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    body = immutable.sent({"long": "x" * asgi.MAX_LOOP_BODY_BYTES})

    assert loop.ask(immutable.path, body, headers=immutable.authorised()).status == 299
    assert loop.reached == [(immutable.path, body)]


def test_a_large_body_without_content_length_goes_to_a_thread(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    body = immutable.sent({"long": "x" * asgi.MAX_LOOP_BODY_BYTES})

    assert loop.ask(immutable.path, [body[:7], body[7:9000], body[9000:]], headers=immutable.authorised()).status == 299
    assert loop.reached == [(immutable.path, body)]


def test_reading_an_endless_body_stops_at_the_limit(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    loop.ask(immutable.path, [b"x" * 1024 * 1024] * 50, headers=immutable.authorised())

    assert asgi.MAX_BODY_BYTES < len(loop.reached[0][1]) <= asgi.MAX_BODY_BYTES + 1024 * 1024


def test_a_small_body_without_content_length_is_answered_on_the_loop(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    body = immutable.sent({"a": 1})

    assert (
        loop.ask(immutable.path, [body[:7], body[7:], b""], headers=immutable.authorised()).status == immutable.success
    )
    assert Event.objects.get().properties == {"a": 1}


def test_other_paths_are_passed_on_unchanged(loop: Loop) -> None:
    paths = ["/", "/healthz", "/v1/audience/messages/", "//v1/batch", "/v1/projects/x/settings"]

    assert [loop.ask(path).status for path in paths] == [299] * len(paths)


def test_a_request_to_be_redirected_to_https_goes_to_a_thread(
    loop: Loop, immutable: Wire, settings: LazySettings
) -> None:
    at_hand(immutable)
    settings.SECURE_SSL_REDIRECT = True

    assert loop.ask(immutable.path, immutable.sent({}), headers=immutable.authorised()).status == 299
    assert (
        loop.ask(immutable.path, immutable.sent({}), headers=immutable.authorised(), scheme="https").status
        == immutable.success
    )


def test_the_lifespan_scope_is_passed_on(loop: Loop) -> None:
    on_loop(lambda: asgi.IngestApp(loop.pages)({"type": "lifespan"}, None, _nothing))  # type: ignore[arg-type]

    assert loop.reached == [("lifespan", b"")]


async def _nothing(message: Any) -> None:
    """Nobody listens."""


# And the rest


def test_a_client_that_disconnects_within_its_body_stores_nothing(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    body = immutable.sent({"a": 1})
    coming = [{"type": "http.request", "body": body[:40], "more_body": True}, {"type": "http.disconnect"}]

    async def gone() -> None:
        async def receive() -> Message:
            return coming.pop(0)

        await asgi.IngestApp(loop.pages)(scope_of(immutable, body), receive, _nothing)

    on_loop(gone)

    assert stored() == ([], [], [])


def test_a_key_in_a_header_with_underscores_is_ignored(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    spoofed = {name.replace("-", "_"): value for name, value in immutable.authorised().items()}

    assert loop.ask(immutable.path, immutable.sent({}), headers=spoofed).status == 400


def test_a_full_write_queue_is_answered_503_in_every_dialect(
    loop: Loop, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(writes: object) -> None:
        raise Overloaded

    at_hand(wire)
    monkeypatch.setattr(accepting.write_queue, "commit", full)
    answer = loop.ask(wire.path, wire.sent({}), headers={**wire.authorised(), "Origin": ORIGIN})

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["access-control-allow-origin"] in {"*", ORIGIN}
    assert stored() == ([], [], [])


def test_an_incomplete_body_does_not_block_other_requests(
    loop: Loop, immutable: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand(immutable)
    body = immutable.sent({})
    monkeypatch.setattr(asgi, "MAX_IN_FLIGHT_BYTES", len(body) + 10)
    web = asgi.IngestApp(loop.pages)

    async def beside_a_slow_one() -> int:
        never = asyncio.Event().wait
        slow = asyncio.create_task(web(scope_of(immutable, body), never, _nothing))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        status = await posted(web, immutable, body)
        slow.cancel()
        return status

    assert on_loop(beside_a_slow_one) == immutable.success


def test_a_request_beyond_the_in_flight_limit_is_503_and_the_others_are_stored(
    loop: Loop, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand(wire)
    body = wire.sent({})
    monkeypatch.setattr(asgi, "MAX_IN_FLIGHT_BYTES", len(body) + 10)
    web = asgi.IngestApp(loop.pages)

    async def two() -> list[int]:
        return list(await asyncio.gather(posted(web, wire, body), posted(web, wire, body)))

    assert on_loop(two) == [wire.success, 503]
    assert (Event.objects.count(), web.in_flight_bytes) == (1, 0)


@pytest.mark.long
def test_under_more_load_than_it_can_take_it_answers_503_and_stores_all_that_it_acknowledged(
    loop: Loop, immutable: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand(immutable)
    database_answers = threading.Event()

    def write(writes: Sequence[Write]) -> None:
        assert database_answers.wait(60)
        transaction.write_all(writes)

    async def burst(web: asgi.IngestApp) -> Counter[int]:
        """250 batches of 100 messages at once, and how they were answered."""
        database_answers.clear()
        bodies = [compact_json({"messages": [message() for _ in range(100)]}) for _ in range(250)]
        waiting = [asyncio.create_task(answered(web, scope_of(immutable, body), body)) for body in bodies]
        while not any(task.done() for task in waiting):
            await asyncio.sleep(0.01)
        assert (await answered(web, LIVEZ, b"")).content == b"ok"
        database_answers.set()
        answers = await asyncio.gather(*waiting)
        assert {answer.headers.get("retry-after") for answer in answers if answer.status == 503} == {"5"}
        return Counter(answer.status for answer in answers)

    async def bursts() -> list[Counter[int]]:
        web = asgi.IngestApp(loop.pages, quick={"/livez": answer_livez})
        return [await burst(web), await burst(web)]

    with web_process(monkeypatch, write):
        first, second = on_loop(bursts)

    # As many as wait at most, and those of the transaction that is being written.
    assert MAX_WAITING_EVENTS // 100 <= first[200] <= (MAX_WAITING_EVENTS + MAX_GROUP_EVENTS) // 100
    assert first[200] + first[503] == 250
    # Nothing of the first burst is left to keep others out.
    assert second == first
    assert Event.objects.count() == 100 * (first[200] + second[200])


LIVEZ: Message = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/livez", "query_string": b""}
LIVEZ |= {"headers": []}


async def answered(web: asgi.IngestApp, scope: Message, body: bytes) -> Answer:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await web(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, sent[1]["body"])


def test_a_request_is_not_parsed_while_the_write_queue_is_full(
    loop: Loop, immutable: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WriteQueue, "is_full", True)

    assert loop.ask(immutable.path, b"{", headers=immutable.authorised()).status == 503
    assert loop.reached == []


def test_a_preflight_request_is_answered_while_the_write_queue_is_full(
    loop: Loop, immutable: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WriteQueue, "is_full", True)
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = loop.ask(immutable.path, method="OPTIONS", headers=asked)

    assert (answer.status, answer.headers["access-control-expose-headers"]) == (204, "Retry-After, X-Request-ID")


def test_requests_answered_on_the_loop_are_counted(loop: Loop, immutable: Wire) -> None:
    at_hand(immutable)
    labels = {"route": immutable.path, "status": str(immutable.success)}
    before = REGISTRY.get_sample_value("afterclick_intake_requests_total", labels) or 0
    loop.ask(immutable.path, immutable.sent({}), headers=immutable.authorised())

    assert REGISTRY.get_sample_value("afterclick_intake_requests_total", labels) == before + 1


def test_a_forwarded_for_header_with_underscores_is_ignored(loop: Loop, game: Game, settings: LazySettings) -> None:
    """To WSGI both spellings are one name, and a proxy replaces one of them only."""
    settings.TRUSTED_PROXIES = ["127.0.0.1/32"]
    wire, name = wire_of(game, Dialect.RUDDERSTACK), "X_Forwarded_For"
    at_hand(wire)
    headers = {**wire.authorised(), name: "198.51.100.1"}
    assert loop.ask(wire.path, wire.sent({}), headers=headers).status == wire.success
    assert Event.objects.get().request_ip == "127.0.0.1"

    noted, through = web_pages()
    for forwarded in ({}, {"X-Forwarded-For": "203.0.113.9"}):
        through.ask("/g/", method="GET", headers={name: "198.51.100.1", **forwarded})
        through.ask("/g/", method="GET", headers={**forwarded, name: "198.51.100.1"})
    assert noted == ["127.0.0.1", "127.0.0.1", "203.0.113.9", "203.0.113.9"]


def web_pages() -> tuple[list[str], Loop]:
    """The way of a page, over the WSGI bridge, to a view that notes whose address it sees; and the notes."""
    noted: list[str] = []

    def view(environ: Any, start_response: Any) -> list[bytes]:
        noted.append(caller_ip(WSGIRequest(environ)))
        start_response("200 OK", [])
        return [b""]

    through = Loop()
    through.pages = WSGIMiddleware(view)  # type: ignore[method-assign,assignment]
    return noted, through


def test_several_forwarded_for_headers_are_read_in_their_order(settings: LazySettings) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1/32", "10.0.0.0/8"]
    noted, through = web_pages()
    names = ("X-Forwarded-For", "x-forwarded-for", "X-FORWARDED-FOR")  # of one dict, and three headers on the wire
    values = ("198.51.100.1", "203.0.113.9:80", "10.0.0.1")
    through.ask("/g/", method="GET", headers=dict(zip(names, values, strict=True)))

    assert noted == ["203.0.113.9"]


def test_a_query_that_is_not_percent_encoded_is_read_like_one_that_is() -> None:
    seen: list[Any] = []

    def view(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(WSGIRequest(environ).GET.dict())
        start_response("200 OK", [])
        return [b""]

    through = Loop()
    through.pages = WSGIMiddleware(view)  # type: ignore[method-assign,assignment]
    for query in ("name=Käse&a=%25+b", "name=K%C3%A4se&a=%25+b"):
        assert through.ask(f"/g/?{query}", method="GET").status == 200

    assert seen == [{"name": "Käse", "a": "% b"}] * 2
