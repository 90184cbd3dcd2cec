"""Requests of browser SDKs besides events: source config, settings, metrics, beacon, pixels, CORS."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import Dialect, Game
from tests.audience.wire import (
    ORIGIN,
    assert_echoes_cors,
    assert_nothing_stored,
    assert_rejected,
    basic,
    body_of,
    compact_json,
    get,
    only_event,
    post,
    stored,
)

pytestmark = pytest.mark.django_db
NO_ID = "request neither has anonymousId nor userId"


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)


def track(**changes: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "user-1", "event": "Sign In", **changes}


# Source config


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/", "//sourceConfig", "/sourceConfig/?p=npm&v=3"])
def test_the_source_config_lets_the_sdk_run(key: NewKey, path: str) -> None:
    answer = get(path, **basic(key.value), Origin=ORIGIN)

    updated_at = key.key.created_at.isoformat()
    off = {"enabled": False}
    assert (answer.status_code, body_of(answer)) == (
        200,
        {
            "source": {
                "id": str(key.key.pk),
                "name": "web",
                "writeKey": key.value,
                "enabled": True,
                "workspaceId": str(key.key.game_id),
                "updatedAt": updated_at,
                "config": {"statsCollection": {"errors": off, "metrics": off}},
                "dataplanes": {},
                "destinations": [],
            },
            "updatedAt": updated_at,
        },
    )
    assert_echoes_cors(answer)


def test_a_source_config_without_a_key_is_401(key: NewKey) -> None:
    for headers in ({}, basic(""), {"Authorization": "Bearer x"}):
        answer = get("/sourceConfig", Origin=ORIGIN, **headers)

        assert (answer.status_code, body_of(answer)) == (401, {"message": "Writekey not found in basic auth"})
        assert_echoes_cors(answer)


def test_a_source_config_of_an_unknown_revoked_or_secret_key_is_400(key: NewKey, secret_key: NewKey) -> None:
    revoke_key(key=key.key)
    for value in ("unknown", key.value, secret_key.value):
        answer = get("/sourceConfig", **basic(value))
        assert (answer.status_code, body_of(answer)) == (400, {"message": "Invalid write key"})


@pytest.mark.parametrize("path", ["/sourceConfig?view=ad", "/sourceConfig/?view=ad"])
def test_the_probe_for_ad_blockers_is_204(db: None, path: str) -> None:
    answer = Client().head(path, headers={"Origin": ORIGIN})

    assert (answer.status_code, answer.content) == (204, b"")
    assert_echoes_cors(answer)


# Metrics and project settings


@pytest.mark.parametrize("sent", [b"", b"{", b'{"metrics":[]}'])
def test_the_sdks_metrics_are_answered_200(db: None, sent: bytes) -> None:
    answer = post("/rsaMetrics", sent)

    assert (answer.status_code, body_of(answer)) == (200, {})
    assert_nothing_stored()


@pytest.mark.parametrize(("secure", "protocol"), [(False, "http"), (True, "https")])
def test_the_project_settings_name_us_as_the_host(key: NewKey, secure: bool, protocol: str) -> None:
    answer = Client().get(
        f"/v1/projects/{key.value}/settings", secure=secure, headers={"Origin": ORIGIN, "Host": "testserver:8080"}
    )

    assert answer.status_code == 200
    sender = answer.json()["integrations"]["Segment.io"]
    assert {name: sender[name] for name in ("apiKey", "apiHost", "protocol")} == {
        "apiKey": key.value,
        "apiHost": "testserver:8080/v1",
        "protocol": protocol,
    }
    assert list(answer.json()["integrations"]) == ["Segment.io"]
    assert isinstance(answer.json()["plan"], dict)
    assert_echoes_cors(answer)


def test_the_settings_of_an_unknown_project_are_400(key: NewKey, secret_key: NewKey) -> None:
    for value in ("unknown", secret_key.value):
        answer = get(f"/v1/projects/{value}/settings")
        assert (answer.status_code, body_of(answer)) == (400, {"message": "Invalid write key"})


# The beacon


@pytest.mark.parametrize("path", ["/beacon/v1/batch", "//beacon/v1/batch/"])
def test_a_beacon_is_a_batch_as_text_with_the_key_in_the_query(key: NewKey, path: str) -> None:
    client = Client(headers={"Origin": ORIGIN, "Cookie": "rl_user_id=abc; sessionid=zzz"})
    sent = compact_json({"batch": [track(), {"type": "page", "anonymousId": "a"}]})
    answer = client.generic("POST", f"http://testserver{path}?writeKey={key.value}", sent, "text/plain;charset=UTF-8")

    assert (answer.status_code, body_of(answer)) == (200, "OK")
    assert [event.kind for event in stored()] == ["track", "page"]
    assert_echoes_cors(answer)


def test_a_beacons_refusals_are_a_batchs(key: NewKey) -> None:
    path = f"/beacon/v1/batch?writeKey={key.value}"
    assert body_of(post("/beacon/v1/batch", {"batch": [track()]})) == "failed to read writekey from header"
    assert body_of(post("/beacon/v1/batch?writeKey=unknown", {"batch": [track()]})) == "invalid write key"
    assert body_of(post(path, {"batch": []})) == "empty batch payload"
    assert body_of(post(path, track())) == "event is not a valid rudder event"
    assert_nothing_stored()


# Plain pixels


def assert_gif(answer: HttpResponse) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content[:10] == b"GIF89a\x01\x00\x01\x00"


@pytest.mark.parametrize("path", ["/pixel/v1/track", "//pixel/v1/track/"])
def test_a_query_is_a_track_event(key: NewKey, path: str) -> None:
    query = "anonymousId=a-1&event=Opened&campaign=spring&properties=%7B%22value%22%3A5%7D&messageId=m-1"
    assert_gif(get(f"{path}?writeKey={key.value}&{query}&timestamp=2026-04-08T10:00:00Z"))

    event = only_event()
    assert (event.kind, event.name, event.anonymous_id, event.message_id) == ("track", "Opened", "a-1", "m-1")
    assert event.properties == {"campaign": "spring", "value": 5}
    assert event.event_at.isoformat() == "2026-04-08T10:00:00+00:00"


def test_a_query_is_a_page_view(key: NewKey) -> None:
    assert_gif(get(f"/pixel/v1/page?writeKey={key.value}&userId=u&name=Home&properties=no+json"))
    event = only_event()
    assert (event.kind, event.name, event.properties) == ("page", "Home", {"properties": "no json"})


@pytest.mark.parametrize("query", ["", "event=e&userId=u", "writeKey=unknown&event=e&userId=u", "writeKey="])
def test_a_pixel_without_a_good_key_is_an_image_all_the_same(key: NewKey, query: str) -> None:
    assert_gif(get(f"/pixel/v1/track?{query}"))
    assert_nothing_stored()


def test_a_pixel_with_a_bad_message_is_an_image_and_the_reason_is_kept(key: NewKey) -> None:
    assert_gif(get(f"/pixel/v1/track?writeKey={key.value}&event=e"))
    assert_rejected({"field": "userId", "code": "MISSING_REQUIRED_FIELD", "message": NO_ID})


def test_the_head_of_a_pixel_has_no_body(key: NewKey) -> None:
    answer = Client().head(f"/pixel/v1/track?writeKey={key.value}&event=e&userId=u")
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "image/gif", b"")


# CORS

ROUTES = ["/v1/track", "/v1/t", "/v1/batch", "/v1/webhook", "/beacon/v1/batch", "/rsaMetrics"]
ROUTES += ["/api/client/alias", "/api/client/identify", "/api/client/devices", "/api/client/events", "/devices"]
GETS = ["/v1/pixel/track", "/pixel/v1/page", "/sourceConfig", "/v1/projects/x/settings"]


@pytest.mark.parametrize("path", [*ROUTES, *GETS])
def test_a_preflight_is_answered_without_a_key(db: None, path: str) -> None:
    asked = "authorization,anonymousid,content-type,x-of-their-own"
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    answer = Client().options(path, headers=headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert_echoes_cors(answer, requested=asked)
    assert answer.headers["Allow"] == ("GET, HEAD, OPTIONS" if path in GETS else "POST, OPTIONS")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("sent", [b"{", b"[]", b""])
def test_an_error_can_be_read_by_a_browser(key: NewKey, path: str, sent: bytes) -> None:
    assert_echoes_cors(post(path, sent, Origin=ORIGIN))
    assert_echoes_cors(post(path, sent, key, Origin=ORIGIN))
    assert_echoes_cors(Client().delete(path, headers={"Origin": ORIGIN}))


def test_an_answer_can_be_read_by_a_browser_and_the_browser_is_the_players(key: NewKey) -> None:
    answer = post("/v1/track", track(), key, **{"Origin": ORIGIN, "User-Agent": "Mozilla/5.0"})

    assert_echoes_cors(answer)
    assert only_event().context == {"ip": "127.0.0.1", "user_agent": "Mozilla/5.0"}


def test_a_request_without_an_origin_gets_no_cors_headers(key: NewKey) -> None:
    answer = post("/v1/track", track(), key)

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


ALLOWED = dict.fromkeys(ROUTES, "POST, OPTIONS") | dict.fromkeys(GETS, "GET, HEAD, OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, allowed in ALLOWED.items() for method in METHODS if method not in allowed],
)
def test_another_method_is_405_with_those_that_are_served(key: NewKey, path: str, method: str) -> None:
    answer = Client().generic(method, path, json.dumps(track()), "application/json", headers=basic(key.value))

    assert (answer.status_code, answer.headers["Allow"]) == (405, ALLOWED[path])
    assert_nothing_stored()
