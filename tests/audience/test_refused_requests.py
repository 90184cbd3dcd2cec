"""Requests that are refused as a whole leave a Rejection, which has no content and is limited in number."""

import gzip
import json
import math
from base64 import b64encode
from urllib.parse import quote

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audience.games.keys import NewKey, create_key
from audience.intake.rejections import RevalidationStatus, revalidate_rejection, revalidation_obstacle
from audience.intake.storing import allowance
from audience.models import Batch, Dialect, Event, Game, Rejection, Role
from tests import hub
from tests.audience.immutable import CONSENT, MESSAGES, message
from tests.audience.test_intake_asgi import Loop
from tests.audience.wire import authorised, basic, body_of, get, post

pytestmark = pytest.mark.django_db
KB = 1024


def key_of(game: Game, dialect: Dialect) -> NewKey:
    return create_key(game=game, name=dialect.value, dialect=dialect)


def immutable(key: NewKey, path: str, sent: bytes, method: str = "POST", **headers: str) -> HttpResponse:
    headers = {"x-immutable-publishable-key": key.value, **headers}
    return Client().generic(method, path, sent, "application/json", headers=headers)


def not_kept() -> list[tuple[str, str, int]]:
    """The route, the code and the size of each Rejection, oldest first; none has any content."""
    rows = list(Rejection.objects.order_by("id"))
    assert all(row.raw.keys() == {"not_kept", "bytes", "request"} for row in rows)
    assert all(row.subjects == [] and row.message_id == "" for row in rows)
    return [(row.route, row.errors[0]["code"], row.raw["bytes"]) for row in rows]


LARGE = b'{"userId":"u","event":"e","properties":{"a":"' + b"x" * 40 * KB + b'"}}'
REFUSED: dict[str, tuple[Dialect, str, bytes, int, tuple[str, str, int]]] = {
    "half a call": (Dialect.RUDDERSTACK, "/v1/track", b"{", 400, ("track", "BAD_JSON", 1)),
    "NaN in a call": (
        Dialect.RUDDERSTACK,
        "/v1/track",
        b'{"userId":"u","event":"e","properties":{"fps":NaN}}',
        400,
        ("track", "BAD_JSON", 51),
    ),
    "a large call": (Dialect.RUDDERSTACK, "/v1/track", LARGE, 400, ("track", "TOO_LARGE", len(LARGE))),
    "a large short call": (Dialect.METAROUTER, "/v1/t", LARGE, 413, ("track", "TOO_LARGE", len(LARGE))),
    "an empty batch": (Dialect.RUDDERSTACK, "/v1/batch", b'{"batch":[]}', 400, ("batch", "EMPTY_BATCH", 12)),
    "no batch": (Dialect.METAROUTER, "/v1/import", b'{"a":1}', 400, ("batch", "NOT_AN_EVENT", 7)),
    "a list for a call": (Dialect.METAROUTER, "/v1/track", b"[]", 400, ("track", "NOT_AN_EVENT", 2)),
    "a webhook": (Dialect.METAROUTER, "/v1/webhook", b"[1]", 400, ("webhook", "NOT_AN_EVENT", 3)),
    "half an item": (Dialect.PARCELVOY, "/api/client/events", b"[{", 400, ("track", "BAD_JSON", 2)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_leaves_its_route_reason_and_size(game: Game, case: str) -> None:
    dialect, path, sent, status, expected = REFUSED[case]

    assert post(path, sent, key_of(game, dialect)).status_code == status
    assert not_kept() == [expected]
    row = Rejection.objects.get()
    assert (row.dialect, row.key and row.key.name) == (dialect.value, dialect.value)
    assert [(batch.accepted, batch.rejected) for batch in Batch.objects.all()] == [(0, 1)]


def test_a_refused_batch_of_the_immutable_dialect_leaves_the_same(game: Game) -> None:
    key = key_of(game, Dialect.IMMUTABLE)
    assert immutable(key, MESSAGES, b'{"messages":').status_code == 400
    assert immutable(key, MESSAGES, b'{"messages":[]}').status_code == 400
    assert immutable(key, MESSAGES, b" " * (2 * KB * KB + 1)).status_code == 413
    assert immutable(key, CONSENT, b'{"anonymousId":"a"}', "PUT").status_code == 400

    sizes = [(route, size) for route, _, size in not_kept()]
    assert sizes == [("messages", 12), ("messages", 15), ("messages", 2 * KB * KB + 1), ("tracking-consent", 19)]
    codes = [code for _, code, _ in not_kept()]
    assert codes == ["BAD_JSON", "NOT_AN_EVENT", "TOO_LARGE", "MISSING_REQUIRED_FIELD"]


def test_the_size_is_that_of_the_body_as_sent(game: Game) -> None:
    sent = gzip.compress(LARGE)
    post("/v1/track", sent, key_of(game, Dialect.RUDDERSTACK), **{"Content-Encoding": "gzip"})

    assert not_kept() == [("track", "TOO_LARGE", len(sent))]


def test_a_body_that_does_not_unpack_leaves_a_rejection(game: Game) -> None:
    post("/v1/track", b"no gzip", key_of(game, Dialect.RUDDERSTACK), **{"Content-Encoding": "gzip"})

    assert not_kept() == [("track", "BAD_ENCODING", 7)]
    assert Rejection.objects.get().errors[0]["message"] == "The body is not valid gzip."


def test_a_pixel_that_cannot_be_read_leaves_a_rejection(game: Game) -> None:
    key = key_of(game, Dialect.METAROUTER)
    data = b64encode(b"{").decode()

    assert get(f"/v1/pixel/track?data={data}", **basic(key.value)).status_code == 400
    assert get(f"/v1/pixel/track?data=*&writeKey={key.value}").status_code == 400
    assert not_kept() == [("track", "BAD_JSON", 0)] * 2


def test_a_request_without_a_known_key_leaves_none(game: Game) -> None:
    for headers in ({}, basic("unknown")):
        assert post("/v1/track", b"{", **headers).status_code == 400
    assert immutable(key_of(game, Dialect.RUDDERSTACK), "/v1/track", b"{").status_code == 400
    assert not Rejection.objects.exists()


def test_the_page_of_the_rejection_names_route_size_and_request(game: Game) -> None:
    answer = post("/v1/track", b"{", key_of(game, Dialect.RUDDERSTACK))
    row = Rejection.objects.get()
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/events/rejections/{row.pk}/").content.decode()

    assert "route track" in page
    assert "The body is not valid JSON" in page
    assert row.raw["request"] == answer.headers["X-Request-ID"]
    assert answer.headers["X-Request-ID"] in page
    assert revalidation_obstacle(row).startswith("The whole request was rejected")
    assert revalidate_rejection(rejection=row, requested_by="ada").status is RevalidationStatus.IMPOSSIBLE


def test_the_list_of_events_shows_a_refused_request_with_its_route_and_size(game: Game) -> None:
    answer = post("/v1/track", b"{", key_of(game, Dialect.RUDDERSTACK))
    client = hub.member(game, Role.VIEWER)
    listed = client.get(f"/g/{game.slug}/events/").content.decode()
    searched = client.get(f"/g/{game.slug}/events/", {"name": answer.headers["X-Request-ID"]}).content.decode()

    for page in (listed, searched):
        assert "Whole request" in page
        assert "RudderStack / Segment · route track · 1 bytes" in page


# Limits


def test_broken_requests_beyond_the_allowance_write_nothing(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MAX_REQUESTS_PER_KEY", 2)
    key = key_of(game, Dialect.RUDDERSTACK)
    for _ in range(2):
        post("/v1/track", b"{", key)
    with CaptureQueriesContext(connection) as queries:
        assert post("/v1/track", b"{", key).status_code == 400

    assert [query for query in queries if not query["sql"].startswith("SELECT")] == []
    assert (Rejection.objects.count(), Batch.objects.count()) == (2, 2)


def test_a_flood_with_one_key_hides_nothing_of_another(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MAX_REQUESTS_PER_KEY", 1)
    for key in (key_of(game, Dialect.RUDDERSTACK), key_of(game, Dialect.METAROUTER)):
        for _ in range(2):
            post("/v1/track", b"{", key)

    assert [row.key and row.key.name for row in Rejection.objects.order_by("id")] == ["rudderstack", "metarouter"]


def test_the_allowance_for_refused_requests_refills_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(allowance.time, "monotonic", lambda: now[0])
    assert [allowance.take_request(-1) for _ in range(101)] == [True] * 100 + [False]
    now[0] += 6
    assert [allowance.take_request(-1) for _ in range(2)] == [True, False]


# NaN


def batch_with(constant: bytes) -> bytes:
    good = b'{"type":"track","event":"%s","anonymousId":"n"}'
    odd = b'{"type":"track","event":"b","anonymousId":"n","properties":{"fps":%s,"level":3}}' % constant
    return b'{"batch":[' + b",".join([good % b"a", odd, good % b"c"]) + b"]}"


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("dialect", [Dialect.RUDDERSTACK, Dialect.METAROUTER])
def test_a_batch_with_one_nan_keeps_all_its_events(game: Game, dialect: Dialect, constant: bytes) -> None:
    assert post("/v1/batch", batch_with(constant), key_of(game, dialect)).status_code == 200

    events = {event.name: event.properties for event in Event.objects.all()}
    assert events == {"a": {}, "b": {"fps": None, "level": 3}, "c": {}}
    assert not Rejection.objects.exists()


def test_messages_with_one_nan_are_kept(game: Game) -> None:
    sent = json.dumps({"messages": [message(properties={"fps": math.nan}), message()]}).encode()
    answer = immutable(key_of(game, Dialect.IMMUTABLE), MESSAGES, sent)

    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    assert Event.objects.filter(properties={"fps": None}).count() == 1


def test_a_batch_with_large_ids_and_a_nan_keeps_the_digits(game: Game) -> None:
    sent = b'{"batch":[{"type":"track","event":"a","userId":110169484474386276334,"properties":{"x":NaN}}]}'
    assert post("/v1/batch", sent, key_of(game, Dialect.RUDDERSTACK)).status_code == 200

    assert Event.objects.get().user_id == "110169484474386276334"


@pytest.mark.parametrize("sent", [b'{"batch":[NaN]}', b'{"batch":NaN}', b'{"batch":[{"x":NaN}', b"[NaN]"])
def test_a_nan_in_place_of_an_event_is_no_json(game: Game, sent: bytes) -> None:
    assert post("/v1/batch", sent, key_of(game, Dialect.RUDDERSTACK)).content == b"invalid json"
    assert [code for _, code, _ in not_kept()] == ["BAD_JSON"]


def test_the_key_in_the_body_of_a_batch_with_a_nan_is_read(game: Game) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    sent = b'{"writeKey":"%s",' % key.value.encode() + batch_with(b"NaN")[1:]

    assert post("/v1/batch", sent).status_code == 200
    assert Event.objects.count() == 3


@pytest.mark.parametrize("constant", [b"NaN", b"-Infinity"])
def test_a_list_of_parcelvoy_events_with_one_nan_keeps_all_of_them(game: Game, constant: bytes) -> None:
    key = key_of(game, Dialect.PARCELVOY)
    odd = b'{"name":"b","external_id":"u","data":{"fps":[1,[%s]],"text":"NaN"}}' % constant
    sent = b'[{"name":"a","external_id":"u"},%s]' % odd
    assert post("/api/client/events", sent, key).status_code == 204

    events = {event.name: event.properties for event in Event.objects.all()}
    assert events == {"a": {}, "b": {"fps": [1, [None]], "text": "NaN"}}


def test_one_object_of_parcelvoy_with_a_nan_is_refused(game: Game) -> None:
    sent = b'{"external_id":"u","data":{"fps":NaN}}'
    assert post("/api/client/identify", sent, key_of(game, Dialect.PARCELVOY)).status_code == 400

    assert not_kept() == [("identify", "BAD_JSON", 38)]


@pytest.mark.parametrize(
    "text",
    [
        '{"fps":NaN,"level":3}',
        json.dumps('{"fps":-Infinity,"level":3}'),
        json.dumps(json.dumps('{"fps":NaN,"level":3}')),
    ],
)
@pytest.mark.parametrize("dialect", [Dialect.RUDDERSTACK, Dialect.METAROUTER, Dialect.PARCELVOY])
def test_properties_within_strings_are_read_with_null_for_nan(game: Game, dialect: Dialect, text: str) -> None:
    path = "/api/client/track" if dialect == Dialect.PARCELVOY else "/v1/track"
    call = {"userId": "u", "external_id": "u", "event": "a", "properties": text}
    assert post(path, call, key_of(game, dialect)).status_code in (200, 204)

    assert Event.objects.get().properties == {"fps": None, "level": 3}


@pytest.mark.parametrize(
    "text", ["", "{", '"', '"{"', "[1]", "NaN", '"NaN"', '"' * 9, "[" * 99, '{"a":' * 70 + "1" + "}" * 70]
)
def test_a_string_that_holds_no_object_states_no_properties(game: Game, text: str) -> None:
    call = {"userId": "u", "event": "a", "properties": text}
    assert post("/v1/track", call, key_of(game, Dialect.RUDDERSTACK)).status_code == 200

    assert Event.objects.get().properties == {}
    assert Event.objects.get().raw["properties"] == text


def test_a_context_within_a_string_is_read(game: Game) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    context = json.dumps({"page": {"url": "https://g.example/?ttclid=E.C.P.1"}})
    post("/v1/track", {"userId": "u", "event": "a", "context": context}, key)
    post("/v1/batch", {"batch": [{"type": "track", "userId": "u", "event": "b"}], "context": context}, key)

    urls = [event.context["page_url"] for event in Event.objects.order_by("id")]
    assert urls == ["https://g.example/?ttclid=E.C.P.1"] * 2


# Limits at the byte


def call_of(size: int) -> bytes:
    start, end = b'{"userId":"u","event":"e","properties":{"a":"', b'"}}'
    return start + b"x" * (size - len(start) - len(end)) + end


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t", "/v1/track/", "//v1/t"])
def test_a_call_of_32_kb_is_taken_and_one_of_a_byte_more_is_refused(game: Game, path: str) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    assert post(path, call_of(32 * KB), key).content == b"OK"
    refused = post(path, call_of(32 * KB + 1), key)

    assert (refused.status_code, refused.content) == (400, b"request size exceeds max limit")
    assert not_kept() == [("track", "TOO_LARGE", 32 * KB + 1)]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import"])
def test_a_member_of_32_kb_is_taken_and_one_of_a_byte_more_is_rejected(game: Game, path: str) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    members = [b'{"type":"track",' + call_of(size - len(b'"type":"track",'))[1:] for size in (32 * KB, 32 * KB + 1)]
    assert post(path, b'{"batch":[%s]}' % b",".join(members), key).content == b"OK"

    assert Event.objects.count() == 1
    assert [row.errors[0]["code"] for row in Rejection.objects.all()] == ["TOO_LARGE"]


@pytest.mark.parametrize(("digits", "size"), [("9" * 18, 10**18 - 1), ("9" * 19, 10**18), ("9" * 5000, 10**18)])
@pytest.mark.parametrize("dialect", [Dialect.RUDDERSTACK, Dialect.IMMUTABLE, Dialect.PARCELVOY])
def test_an_absurd_content_length_is_refused_as_too_large(game: Game, dialect: Dialect, digits: str, size: int) -> None:
    key = key_of(game, dialect)
    path = {Dialect.IMMUTABLE: MESSAGES, Dialect.PARCELVOY: "/api/client/events"}.get(dialect, "/v1/batch")
    headers = {"x-immutable-publishable-key": key.value} if dialect == Dialect.IMMUTABLE else authorised(key)
    answer = Client().generic("POST", path, b"", CONTENT_LENGTH=digits, headers=headers)

    assert answer.status_code == (413 if dialect == Dialect.IMMUTABLE else 400)
    assert [(code, stated) for _, code, stated in not_kept()] == [("TOO_LARGE", size)]
    # The event loop answers none of these bodies, whose keys are not in its cache, and reads none of them.
    loop = Loop()
    assert loop.ask(path, b"{}", headers={**headers, "Content-Length": digits}).status == 299
    assert loop.reached == [(path, b"")]


@pytest.mark.parametrize("value", ["Basic é", "Basic \xff\xfe", "Basic ====", "Basic ", "Bearer é", "Bearer pk_é", "é"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/b", "/api/client/events", "/sourceConfig"])
def test_a_key_that_is_no_text_is_an_unknown_key(game: Game, path: str, value: str) -> None:
    for ask in (post, lambda path, body, **headers: get(path, **headers)):
        answer = ask(path, b"{}", Authorization=value)
        assert answer.status_code in (400, 401, 405), answer.content


# Beacons, methods and slashes


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "", "a/b"]
)
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/batch/", "/beacon/v1/batch"])
def test_json_is_read_whatever_its_content_type(game: Game, path: str, kind: str) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    sent = b'{"batch":[{"type":"track","event":"e","anonymousId":"a"}]}'
    answer = Client().generic("POST", f"http://testserver{path}?writeKey={key.value}", sent, kind)

    assert (answer.status_code, answer.content, Event.objects.count()) == (200, b"OK", 1)


@pytest.mark.parametrize(
    "sent", [b"batch=%5B%5D", b"data=%7B%7D", b"--x\r\nContent-Disposition: form-data\r\n\r\n{}\r\n--x--"]
)
def test_a_form_is_no_json_and_leaves_a_rejection(game: Game, sent: bytes) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    for path in ("/v1/batch", "/v1/batch/"):
        url = f"http://testserver{path}?writeKey={key.value}"
        answer = Client(enforce_csrf_checks=True).generic("POST", url, sent, "multipart/form-data; boundary=x")
        assert (answer.status_code, answer.content) == (400, b"invalid json")

    assert not_kept() == [("batch", "BAD_JSON", len(sent))] * 2


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get_", "DISPATCH", "ANSWER", "_"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/track/", "/v1/b", "/api/api/client/track/", MESSAGES])
def test_an_unusual_method_is_answered_405_with_those_that_are_served(game: Game, path: str, method: str) -> None:
    answer = Client().generic(method, f"http://testserver{path}", b"{}")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    assert len(answer.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/v1/\x00", "/v1/%00%ff\r\nX: y", "/api/é", "/v1/" + "x" * 10_000, "/v1//", "//api//"]
)
def test_an_unknown_path_with_any_method_is_answered_in_json(game: Game, path: str, method: str) -> None:
    answer = Client().generic(method, f"http://testserver{quote(path)}", b"{}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    if method != "HEAD":
        assert len(body_of(answer)["message"]) < 300


@pytest.mark.parametrize("base", ["/api", "/api/api", "//api/api"])
@pytest.mark.parametrize("end", ["", "/", "//"])
def test_parcelvoy_routes_may_end_with_slashes(game: Game, base: str, end: str) -> None:
    key = key_of(game, Dialect.PARCELVOY)
    body = {"external_id": "u", "event": "e"}
    assert post(f"{base}/client/track{end}", body, key).status_code == 204
    assert post(f"{base}/client/events{end}", [body], key).status_code == 204
    assert post(f"{base}/client/identify{end}", {"external_id": "u"}, key).status_code == 204
    assert post(f"{base}/client/alias{end}", {"external_id": "u", "anonymous_id": "a"}, key).status_code == 204

    assert Event.objects.count() == 4


# A flood


def test_a_flood_of_refused_requests_of_every_kind_stores_a_bounded_number_of_rows(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "MAX_REQUESTS_PER_KEY", 3)
    monkeypatch.setattr(allowance, "MAX_PER_KEY", 4)
    monkeypatch.setattr(allowance, "MAX_PER_GAME", 5)
    rudder, parcelvoy = key_of(game, Dialect.RUDDERSTACK), key_of(game, Dialect.PARCELVOY)
    for _ in range(10):
        post("/v1/track", b"{", rudder)
        post("/v1/t", LARGE, rudder)
        post("/v1/batch", b'{"batch":[]}', rudder)
        post("/v1/track", b'{"event":""}', rudder)
        post("/api/client/events", b"[{", parcelvoy)
        post("/api/client/events", b"[{}]", parcelvoy)

    assert Rejection.objects.count() == 4 + 4 + 5


def test_a_header_of_the_client_is_in_no_answer_and_no_row(game: Game) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    for value in ("x" * 10_240, "a\r\nSet-Cookie: b=c", "\x00", "é"):
        answer = post("/v1/track", b"{", key, **{"X-Request-ID": value})
        assert (answer.status_code, len(answer.headers["X-Request-ID"])) == (400, 32)

    assert {len(row.raw["request"]) for row in Rejection.objects.all()} == {32}
