"""Requests that are refused as a whole leave a Rejection, which has no content and is limited in number."""

import gzip
import json
import math
from base64 import b64encode

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
from tests.audience.wire import basic, get, post

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
    assert revalidation_obstacle(row).startswith("The request was refused as a whole")
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
