"""The behavior common to all four dialects: bodies, encodings, text, numbers, methods, limits, outages."""

import gzip
import random
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from prometheus_client import REGISTRY

from audience.games.keys import NewKey, create_key
from audience.intake.requests import body, limit
from audience.models import Batch, Dialect, Event, Game
from tests.audience.test_immutable_outage import broker_away, closed_port, postgresql_away
from tests.audience.wire import ORIGIN, assert_nothing_stored, authorised, body_of, compact_json

pytestmark = pytest.mark.django_db
# Losing the connection needs a database whose rows are committed.
committed = pytest.mark.django_db(transaction=True)
MB = 1024 * 1024
CONTEXT = {"library": "test", "libraryVersion": "1"}


@dataclass(frozen=True)
class Wire:
    """How one dialect takes one track event."""

    key: NewKey
    path: str
    success: int

    def sent(self, properties: Any, user_id: Any = "user-1") -> bytes:
        """One track event; the properties lie at the same depth in all dialects."""
        message_id = "0d9c1a52-6a3c-4b8e-8f5e-0a9f5a6f7b01"
        track = {"type": "track", "messageId": message_id, "userId": user_id, "properties": properties}
        return compact_json(
            {
                "immutable": {
                    "messages": [{**track, "eventName": "e", "eventTimestamp": _now(), "context": CONTEXT}],
                },
                "rudderstack": {"batch": [{**track, "event": "e"}]},
                "metarouter": {"batch": [{**track, "event": "e"}]},
                "parcelvoy": [{"external_id": user_id, "name": "e", "data": properties, "message_id": message_id}],
            }[self.key.key.dialect]
        )

    def post(self, sent: bytes, content_type: str = "application/json", **headers: str) -> HttpResponse:
        headers = {**self.authorised(), **headers}
        return Client().generic("POST", self.path, sent, content_type, headers=headers)

    def authorised(self) -> dict[str, str]:
        if self.key.key.dialect == "immutable":
            return {"x-immutable-publishable-key": self.key.value}
        return authorised(self.key)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))


PATHS = {
    Dialect.IMMUTABLE: "/v1/audience/messages",
    Dialect.RUDDERSTACK: "/v1/batch",
    Dialect.METAROUTER: "/v1/batch",
    Dialect.PARCELVOY: "/api/client/events",
}
# What too large a body is told; and any other that cannot be read is 400.
TOO_LARGE = {"immutable": 413, "rudderstack": 400, "metarouter": 413, "parcelvoy": 400}


def wire_of(game: Game, dialect: Dialect) -> Wire:
    key = create_key(game=game, name=dialect.value, dialect=dialect)
    return Wire(key, PATHS[dialect], 204 if dialect == Dialect.PARCELVOY else 200)


@pytest.fixture(params=list(PATHS), ids=lambda dialect: dialect.value)
def wire(request: pytest.FixtureRequest, game: Game) -> Wire:
    return wire_of(game, request.param)


@pytest.fixture(autouse=True)
def _a_limiter_of_its_own() -> Iterator[None]:
    """A pause or a bucket of one test is none of the next one's."""
    limit.get_limiter.cache_clear()
    redis.Redis.from_url(settings.CELERY_BROKER_URL).flushdb()
    yield
    limit.get_limiter.cache_clear()


def assert_taken(wire: Wire, answer: HttpResponse) -> None:
    assert (answer.status_code, Event.objects.count()) == (wire.success, 1), answer.content


# Encodings


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", ""],
)
def test_the_content_type_is_not_looked_at(wire: Wire, content_type: str) -> None:
    assert_taken(wire, wire.post(wire.sent({"a": 1}), content_type))


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress), ("identity", bytes), ("", bytes)],
)
def test_a_packed_body_is_unpacked(wire: Wire, encoding: str, pack: Any) -> None:
    assert_taken(wire, wire.post(pack(wire.sent({"a": 1})), **{"Content-Encoding": encoding}))
    assert Event.objects.get().properties == {"a": 1}


def raw_deflate(data: bytes) -> bytes:
    """What .NET's DeflateStream writes."""
    pack = zlib.compressobj(wbits=-15)
    return pack.compress(data) + pack.flush()


def in_members(data: bytes, count: int) -> bytes:
    size = len(data) // count + 1
    return b"".join(gzip.compress(data[start : start + size]) for start in range(0, len(data), size))


@pytest.mark.parametrize("count", [2, 3, 50])
def test_the_members_of_a_gzip_body_are_one_body(wire: Wire, count: int) -> None:
    sent = wire.sent({"note": "x" * 1000})

    assert_taken(wire, wire.post(in_members(sent, count), **{"Content-Encoding": "gzip"}))
    assert Event.objects.get().properties == {"note": "x" * 1000}


def test_a_member_may_begin_anywhere_and_be_empty(wire: Wire) -> None:
    """Around the place where the body is cut to be unpacked."""
    sent = wire.sent({"a": 1})
    # Noise that does not get smaller, so that the first member ends right before, at and behind the cut.
    noise = random.Random(1).randbytes(body.CHUNK_BYTES)
    for length in range(body.CHUNK_BYTES - 40, body.CHUNK_BYTES, 7):
        spaces = gzip.compress(b" " * length, compresslevel=0)
        compressed = b"".join([spaces, gzip.compress(b""), gzip.compress(sent)])
        assert_taken(wire, wire.post(compressed, **{"Content-Encoding": "gzip"}))
    assert wire.post(gzip.compress(noise), **{"Content-Encoding": "gzip"}).status_code == 400


@pytest.mark.parametrize("encoding", ["deflate", "DEFLATE"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_raw_deflate_is_recognised_by_its_first_byte(wire: Wire, encoding: str, level: int) -> None:
    pack = zlib.compressobj(level, wbits=-15)
    sent = pack.compress(wire.sent({"a": 1})) + pack.flush()

    assert_taken(wire, wire.post(sent, **{"Content-Encoding": encoding}))
    assert Event.objects.get().properties == {"a": 1}


@pytest.mark.parametrize(
    ("pack", "encoding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (raw_deflate, "deflate")]
)
@pytest.mark.parametrize(
    "behind",
    [
        b"\n",
        b"\0" * 8,
        b"junk",
        zlib.compress(b" "),
        gzip.compress(b" and something else", mtime=0),
        gzip.compress(b" ", mtime=0)[:-1],
    ],
    ids=["newline", "zeros", "text", "zlib", "another gzip member", "cut gzip member"],
)
def test_bytes_behind_the_last_member_refuse_the_body(wire: Wire, pack: Any, encoding: str, behind: bytes) -> None:
    """Also a further member of what is not gzip; one of gzip is read, and this one leaves no JSON."""
    is_blank_member = pack is gzip.compress and behind == gzip.compress(b" ")
    assert not is_blank_member
    assert wire.post(pack(wire.sent({})) + behind, **{"Content-Encoding": encoding}).status_code == 400
    assert_nothing_stored()


def test_a_bomb_in_many_members_is_refused(wire: Wire) -> None:
    member = gzip.compress(b" " * (MB // 2))
    started = time.monotonic()

    answer = wire.post(member * 100, **{"Content-Encoding": "gzip"})
    assert answer.status_code == TOO_LARGE[wire.key.key.dialect]
    assert wire.post(gzip.compress(b"") * 20_000, **{"Content-Encoding": "gzip"}).status_code == 400
    assert time.monotonic() - started < 5
    assert_nothing_stored()


def test_the_limit_holds_across_members(game: Game) -> None:
    wire = wire_of(game, Dialect.PARCELVOY)
    for size, status in ((MB, 204), (MB + 1, 400)):
        sent = wire.sent({"a": 1})
        padded = sent + b" " * (size - len(sent))
        assert wire.post(in_members(padded, 3), **{"Content-Encoding": "gzip"}).status_code == status
    assert Event.objects.count() == 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress, raw_deflate], ids=["plain", "gzip", "deflate"])
def test_a_byte_order_mark_is_skipped(wire: Wire, pack: Any) -> None:
    """C#'s Encoding.UTF8 and PowerShell write one."""
    encoding = {bytes: "identity", gzip.compress: "gzip"}.get(pack, "deflate")
    sent = pack(b"\xef\xbb\xbf" + wire.sent({"a": 1}))

    assert_taken(wire, wire.post(sent, **{"Content-Encoding": encoding}))
    assert Event.objects.get().properties == {"a": 1}


def test_another_byte_order_mark_is_refused_with_a_sentence(game: Game) -> None:
    wire = wire_of(game, Dialect.IMMUTABLE)
    for encoding in ("utf-16", "utf-32"):
        answer = wire.post(wire.sent({}).decode().encode(encoding))
        assert answer.status_code == 400
        assert body_of(answer)["message"] == "The body is not valid JSON: it is UTF-16 or UTF-32 and must be UTF-8."
    assert_nothing_stored()


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        (b"no gzip", "gzip"),
        (raw_deflate(b"[{}]"), "gzip"),
        (b"", "deflate"),
        (b"x", "deflate"),
        (raw_deflate(b"[{}]")[:-1], "deflate"),
        (b"", "gzip"),
        (gzip.compress(b"[{}]", mtime=0)[:-9], "gzip"),
        (gzip.compress(b"[{}]", mtime=0)[:-8] + b"12345678", "gzip"),
        (b"[{}]", "br"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_400(wire: Wire, sent: bytes, encoding: str) -> None:
    assert wire.post(sent, **{"Content-Encoding": encoding}).status_code == 400
    assert_nothing_stored()


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    """10 MB that unpack to 10 GB, and 400 kB, which no size on the wire gives away, to 400 MB."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = pack.compress(b" " * (100 * MB)) + pack.flush(zlib.Z_FULL_FLUSH)
    header = gzip.compress(b"", mtime=0)[:10]
    return {"small": header + 4 * block, "large": header + 103 * block}


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_bomb_is_refused_in_bounded_memory(wire: Wire, bombs: dict[str, bytes], size: str) -> None:
    wire.post(wire.sent({}))  # so that nothing is imported for the first time below
    tracemalloc.start()
    try:
        started = time.monotonic()
        answer = wire.post(bombs[size], **{"Content-Encoding": "gzip"})
        took, peak = time.monotonic() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert answer.status_code == TOO_LARGE[wire.key.key.dialect]
    assert peak < len(bombs[size]) + 16 * MB
    assert took < 5
    assert Event.objects.count() == 1


# Text, numbers and depth


@pytest.mark.parametrize(
    ("escaped", "kept"),
    [
        (rb"a\u0000b", "a\ufffdb"),
        (rb"a\\u0000b", r"a\u0000b"),
        (rb"cut emoji \ud83d", "cut emoji \ufffd"),
        (rb"\ude00 and \u0000", "\ufffd and \ufffd"),
        (rb"whole emoji \ud83d\ude00", "whole emoji 😀"),
        (b"caf\xe9", "caf\ufffd"),
        (b"a\xed\xa0\xbdb", "a\ufffd\ufffd\ufffdb"),
        (b"\xf0\x9f\x98\x80", "😀"),
    ],
)
def test_text_that_postgresql_cannot_hold_is_replaced(wire: Wire, escaped: bytes, kept: str) -> None:
    sent = wire.sent({"note": "HERE", "HERE": 1}).replace(b"HERE", escaped)

    assert_taken(wire, wire.post(sent))
    assert Event.objects.get().properties == {"note": kept, kept: 1}


def test_of_a_repeated_key_the_last_one_counts(wire: Wire) -> None:
    sent = wire.sent({"a": 1}).replace(b'{"a":1}', b'{"a":1,"b":{"c":1,"c":2},"a":3}')

    assert_taken(wire, wire.post(sent))
    assert Event.objects.get().properties == {"a": 3, "b": {"c": 2}}


def nested(wire: Wire, levels: int) -> bytes:
    """The event with properties so deep that the whole body is `levels` deep."""
    above = 2 if wire.key.key.dialect == "parcelvoy" else 3
    deep = b'{"a":' * (levels - above) + b"1" + b"}" * (levels - above)
    return wire.sent("HERE").replace(b'"HERE"', deep)


def test_nesting_to_64_levels_is_taken_and_65_is_not(wire: Wire) -> None:
    assert wire.post(nested(wire, body.MAX_NESTING + 1)).status_code == 400
    assert_nothing_stored()
    assert_taken(wire, wire.post(nested(wire, body.MAX_NESTING)))


@pytest.mark.parametrize("sent", [b"[" * 200_000, b'{"a":' * 200_000, b"[" * 200_000 + b"]" * 200_000])
def test_absurd_nesting_is_400(wire: Wire, sent: bytes) -> None:
    assert wire.post(sent).status_code == 400
    assert_nothing_stored()


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_nan_is_null_in_a_batch(wire: Wire, number: bytes) -> None:
    assert_taken(wire, wire.post(wire.sent({"n": "HERE"}).replace(b'"HERE"', number)))
    assert Event.objects.get().properties == {"n": None}


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 400, b"1" * 5000])
def test_a_number_beyond_float64_is_400(wire: Wire, number: bytes) -> None:
    assert wire.post(wire.sent({"n": "HERE"}).replace(b'"HERE"', number)).status_code == 400
    assert_nothing_stored()


@pytest.mark.parametrize(
    "number", [b"1e308", b"-0.0", b"1E-400", b"9007199254740993", b"18446744073709551616", b"1" * 300]
)
def test_any_number_within_float64_is_taken(wire: Wire, number: bytes) -> None:
    assert_taken(wire, wire.post(wire.sent({"n": "HERE"}).replace(b'"HERE"', number)))


@pytest.mark.parametrize("sent", [b"", b" ", b"{", b"[", b"\xff\xfe", b"null x", b'{"a":1,}', b"'a'", b'"\x00"'])
def test_what_is_no_json_is_400(wire: Wire, sent: bytes) -> None:
    assert wire.post(sent).status_code == 400
    assert_nothing_stored()


# Methods and paths


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_another_method_is_405(wire: Wire, method: str) -> None:
    answer = Client().generic(method, wire.path, wire.sent({}), "application/json", headers=wire.authorised())

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert method != "HEAD" or answer.content == b""
    assert_nothing_stored()


def test_options_needs_no_key_and_stores_nothing(wire: Wire) -> None:
    answer = Client().options(wire.path, headers={"Origin": ORIGIN})

    assert (answer.status_code, answer.content, answer.headers["Allow"]) == (204, b"", "POST, OPTIONS")
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", ORIGIN}


@pytest.mark.parametrize("shape", ["/{}", "{}/", "///{}//"])
def test_doubled_and_trailing_slashes_are_no_redirect(wire: Wire, shape: str) -> None:
    url = f"http://testserver{shape.format(wire.path)}"
    answer = Client().generic("POST", url, wire.sent({}), "application/json", headers=wire.authorised())

    assert_taken(wire, answer)


def test_an_odd_accept_header_and_a_hub_session_cost_nothing(wire: Wire) -> None:
    assert_taken(wire, wire.post(wire.sent({}), Accept="application/xml", Cookie="sessionid=zzz; csrftoken=x"))


# Outages


@committed
@pytest.mark.parametrize("sent", ["good", "bad"])
def test_it_is_503_while_postgresql_is_away_and_the_retry_is_stored_once(wire: Wire, sent: str) -> None:
    good = wire.sent({})
    with postgresql_away():
        answer = wire.post(good if sent == "good" else b"{", Origin=ORIGIN)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", ORIGIN}
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert_nothing_stored()

    for _ in range(2):
        assert_taken(wire, wire.post(good))


@committed
def test_the_503_has_the_dialects_format(game: Game) -> None:
    wires = {dialect.value: wire_of(game, dialect) for dialect in PATHS}
    with postgresql_away():
        bodies = {name: body_of(each.post(each.sent({}))) for name, each in wires.items()}
        short = Client().post("/v1/t", {}, "application/json", headers=wires["metarouter"].authorised())

    assert bodies["rudderstack"] == "storage is temporarily unavailable, send this again"
    assert bodies["parcelvoy"] == {
        "status": "error",
        "error": "Storage is temporarily unavailable. Send the request again.",
    }
    assert bodies["immutable"]["code"] == "INTERNAL_SERVER_ERROR"
    assert (short.status_code, short.json()["Message"]) == (503, "Storage is temporarily unavailable")


@committed
@pytest.mark.parametrize("path", ["/sourceConfig", "/v1/projects/x/settings", "/v1/pixel/track?data=e30&writeKey=x"])
def test_what_browsers_load_is_503_too(db: None, path: str) -> None:
    with postgresql_away():
        answer = Client().get(path, headers={"Authorization": "Basic eDo=", "Origin": ORIGIN})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


@committed
def test_ingestion_goes_on_without_redis(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    # In this order: Celery's settings are Django's until they are changed, and go back to what they were then.
    with broker_away(monkeypatch):
        monkeypatch.setattr(settings, "CELERY_BROKER_URL", f"redis://127.0.0.1:{closed_port()}/0")
        started = time.monotonic()
        answers = [wire.post(wire.sent({})) for _ in range(5)]
        took = time.monotonic() - started

    assert {answer.status_code for answer in answers} == {wire.success}
    assert took < 3
    assert_taken(wire, answers[0])


# Rate limits


def limited(wire: Wire, rate: int) -> None:
    wire.key.key.rate_limit = rate
    wire.key.key.save(update_fields=["rate_limit"])


def refused(wire: Wire) -> HttpResponse:
    """The first answer that is a 429."""
    answers = (wire.post(wire.sent({}), Origin=ORIGIN) for _ in range(100))
    return next(answer for answer in answers if answer.status_code == 429)


def calls(wire: Wire, count: int) -> list[int]:
    return [wire.post(wire.sent({})).status_code for _ in range(count)]


def test_a_key_that_calls_too_often_is_429_until_its_bucket_refills(wire: Wire) -> None:
    limited(wire, 2)
    at_once = 2 * limit.BURST_SECONDS
    assert calls(wire, at_once) == [wire.success] * at_once
    # A slow machine's bucket refills between two calls: go on until it is empty.
    answer = refused(wire)

    assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Reset"]) == ("1", "1")
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", ORIGIN}
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert Event.objects.count() == 1
    time.sleep(1.1)
    assert wire.post(wire.sent({})).status_code == wire.success


def test_the_429_has_the_dialects_format(game: Game) -> None:
    answers = {}
    for dialect in PATHS:
        wire = wire_of(game, dialect)
        limited(wire, 1)
        answers[dialect.value] = refused(wire)

    assert body_of(answers["rudderstack"]) == "max requests limit reached"
    assert body_of(answers["parcelvoy"]) == {"status": "error", "error": "Too many requests."}
    assert body_of(answers["immutable"])["code"] == "TOO_MANY_REQUESTS_ERROR"
    words = {"Error": "Too Many Requests", "Message": "Too many requests", "Details": "see Retry-After"}
    assert body_of(answers["metarouter"]) == {
        "Success": False,
        "Errors": [words],
        "code": "429",
        "message": "Too many requests",
    }


def test_two_keys_share_no_bucket(game: Game) -> None:
    first, second = (wire_of(game, Dialect.RUDDERSTACK) for _ in range(2))
    limited(first, 1)
    limited(second, 1)

    assert 429 in calls(first, 10)
    assert second.post(second.sent({})).status_code == 200


def test_a_key_without_a_limit_of_its_own_has_a_generous_one(wire: Wire) -> None:
    assert set(calls(wire, 40)) == {wire.success}


def test_a_refused_call_stores_nothing(game: Game) -> None:
    wire = wire_of(game, Dialect.PARCELVOY)
    limited(wire, 1)
    before = len([status for status in calls(wire, 12) if status == 204])

    assert before < 12
    assert Batch.objects.count() == before


def test_the_wait_is_as_long_as_the_limit_says(game: Game) -> None:
    """At 1 a second, a spent bucket has its next token within a second."""
    wire = wire_of(game, Dialect.RUDDERSTACK)
    limited(wire, 1)
    waits = [limit.seconds_to_wait(wire.key.key) for _ in range(limit.BURST_SECONDS + 2)]

    assert waits == [0] * limit.BURST_SECONDS + [1, 1]


def test_a_busy_key_reserves_tokens_and_does_not_exceed_its_limit(game: Game) -> None:
    wire = wire_of(game, Dialect.RUDDERSTACK)
    limited(wire, 200)
    started = time.monotonic()
    admitted = [limit.seconds_to_wait(wire.key.key) for _ in range(200 * limit.BURST_SECONDS + 400)].count(0)
    passed = time.monotonic() - started

    assert 200 * limit.BURST_SECONDS <= admitted <= 200 * (limit.BURST_SECONDS + passed) + 1


def test_reserved_tokens_expire(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = wire_of(game, Dialect.RUDDERSTACK)
    limited(wire, 100)
    assert limit.seconds_to_wait(wire.key.key) == 0
    lease = limit.get_limiter().leases[wire.key.key.pk]
    assert lease.remaining > 0
    assert lease.spend(time.monotonic() + limit.LEASE_EXPIRY_SECONDS + 1) is False


# The short way in


def test_a_wire_route_touches_no_session_and_its_answer_is_data(wire: Wire) -> None:
    answer = wire.post(wire.sent({}))

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert "Content-Security-Policy" not in answer.headers
    assert not answer.cookies


def test_wire_routes_are_counted_for_prometheus(wire: Wire) -> None:
    labels = {"route": wire.path, "status": str(wire.success)}
    before = REGISTRY.get_sample_value("afterclick_intake_requests_total", labels) or 0
    wire.post(wire.sent({}))

    assert REGISTRY.get_sample_value("afterclick_intake_requests_total", labels) == before + 1
    assert REGISTRY.get_sample_value("afterclick_intake_seconds_count", {"route": wire.path})
