"""Restrictions of keys: the answer of each dialect to a refusal, and what it stores."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from audience.games.keys import NewKey, Restrictions, change_key, create_key, rotate_key
from audience.intake.dialects import refusing
from audience.intake.rejections import RevalidationStatus, revalidate_rejection, revalidation_obstacle
from audience.intake.requests import restrictions
from audience.intake.storing import allowance
from audience.models import Batch, Dialect, Erasure, Event, Game, KeyKind, Rejection
from consent.models import ConsentDecision
from tests.audience.immutable import CONSENT, DATA, MESSAGES, identify, message
from tests.audience.wire import basic, bearer, body_of

pytestmark = pytest.mark.django_db

EVENT, ORIGIN, ADDRESS = "EVENT_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED", "ADDRESS_NOT_ALLOWED"
SENTENCES = {
    EVENT: "this key is not allowed to send events of this name",
    ORIGIN: "this key is not allowed to be used from this origin",
    ADDRESS: "this key is not allowed to be used from this IP address",
    "KEY_ENDED": "this key is past its end",
}
SITE = "https://game.example"
# What breaks one restriction, and the headers that a caller sends who breaks no other.
RESTRICTED = {
    EVENT: Restrictions(events=["progression"]),
    ORIGIN: Restrictions(origins=[SITE]),
    ADDRESS: Restrictions(addresses=["192.0.2.0/24"]),
}


@pytest.fixture(autouse=True)
def _nothing_was_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusing, "EXPIRED_KEY_INTERVAL_SECONDS", 0.0)


def call(method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
    data = b"" if body is None else json.dumps(body).encode()
    return Client().generic(method, path, data, "application/json", headers=headers)


def purchase() -> dict[str, Any]:
    return {"event": "purchase", "anonymousId": "anon-1", "messageId": str(uuid4()), "properties": {"value": 1}}


def by_immutable(key: NewKey, **headers: str) -> HttpResponse:
    sent = message(messageId="7b2f6f9e-0000-4000-8000-000000000001", eventName="purchase")
    return call("POST", MESSAGES, {"messages": [sent]}, **{"x-immutable-publishable-key": key.value}, **headers)


def by_segment(key: NewKey, **headers: str) -> HttpResponse:
    return call("POST", "/v1/track", purchase(), **basic(key.value), **headers)


def by_body(key: NewKey, **headers: str) -> HttpResponse:
    return call("POST", "/v1/track", {**purchase(), "writeKey": key.value}, **headers)


def by_batch(key: NewKey, **headers: str) -> HttpResponse:
    return call("POST", "/v1/batch", {"batch": [{"type": "track", **purchase()}]}, **basic(key.value), **headers)


def by_beacon(key: NewKey, **headers: str) -> HttpResponse:
    batch = {"batch": [{"type": "track", **purchase()}]}
    return call("POST", f"/beacon/v1/batch?writeKey={key.value}", batch, **headers)


def by_pixel(key: NewKey, **headers: str) -> HttpResponse:
    return call("GET", f"/pixel/v1/track?writeKey={key.value}&anonymousId=anon-1&event=purchase", **headers)


def by_data_pixel(key: NewKey, **headers: str) -> HttpResponse:
    data = b64encode(json.dumps({"writeKey": key.value, **purchase()}).encode(), altchars=b"-_").decode()
    return call("GET", f"/v1/pixel/track?data={data}", **headers)


def by_webhook(key: NewKey, **headers: str) -> HttpResponse:
    return call("POST", f"/v1/webhook?writeKey={key.value}", {"amount": 5}, **headers)


def by_parcelvoy(key: NewKey, **headers: str) -> HttpResponse:
    item = [{"name": "purchase", "anonymous_id": "anon-1"}]
    return call("POST", "/api/client/events", item, **bearer(key.value), **headers)


GIF = b"GIF89a"
Answers = tuple[Dialect, Callable[..., HttpResponse], Callable[[HttpResponse, str], None]]


def says_immutable(answer: HttpResponse, code: str) -> None:
    why = {"field": "", "code": code, "message": SENTENCES[code]}
    refused = {"messageId": "7b2f6f9e-0000-4000-8000-000000000001", "errors": [why]}
    assert answer.status_code == 200
    assert body_of(answer) == {"success": True, "accepted": 0, "rejected": 1, "rejections": [refused]}


def says_a_sentence(answer: HttpResponse, code: str) -> None:
    assert (answer.status_code, body_of(answer)) == (400, SENTENCES[code])


def metarouter_error(code: str) -> dict[str, str]:
    text = SENTENCES[code]
    return {"Error": "Bad Request", "Message": text, "Details": "", "code": "400", "message": text}


def says_metarouter(answer: HttpResponse, code: str) -> None:
    assert (answer.status_code, body_of(answer)) == (400, metarouter_error(code))


def says_a_metarouter_batch(answer: HttpResponse, code: str) -> None:
    body = body_of(answer)
    assert answer.status_code == 400
    assert (body["Success"], body["code"], body["message"]) == (False, "400", SENTENCES[code])
    assert [{**metarouter_error(code), **error} == error for error in body["Errors"]] == [True]


def says_nothing(answer: HttpResponse, code: str) -> None:
    assert (answer.status_code, answer.content[:6]) == (200, GIF)


def says_parcelvoy(answer: HttpResponse, code: str) -> None:
    if code == EVENT:
        assert (answer.status_code, body_of(answer)) == (422, {"status": "error", "error": SENTENCES[code]})
    else:
        unauthorised = {"status": "error", "error": "Authorization error.", "code": 1000}
        assert (answer.status_code, body_of(answer)) == (401, unauthorised)


ROUTES: dict[str, Answers] = {
    "immutable": (Dialect.IMMUTABLE, by_immutable, says_immutable),
    "rudderstack": (Dialect.RUDDERSTACK, by_segment, says_a_sentence),
    "rudderstack, key in the body": (Dialect.RUDDERSTACK, by_body, says_a_sentence),
    "rudderstack batch": (Dialect.RUDDERSTACK, by_batch, says_a_sentence),
    "rudderstack beacon": (Dialect.RUDDERSTACK, by_beacon, says_a_sentence),
    "rudderstack pixel": (Dialect.RUDDERSTACK, by_pixel, says_nothing),
    "metarouter": (Dialect.METAROUTER, by_segment, says_metarouter),
    "metarouter batch": (Dialect.METAROUTER, by_batch, says_a_metarouter_batch),
    "metarouter pixel": (Dialect.METAROUTER, by_data_pixel, says_metarouter),
    "metarouter webhook": (Dialect.METAROUTER, by_webhook, says_metarouter),
    "parcelvoy": (Dialect.PARCELVOY, by_parcelvoy, says_parcelvoy),
}


@pytest.mark.parametrize("code", RESTRICTED)
@pytest.mark.parametrize("route", ROUTES)
def test_what_a_key_does_not_allow_is_refused_in_the_dialects_format_and_stored_once(
    game: Game, route: str, code: str
) -> None:
    dialect, send, check = ROUTES[route]
    key = create_key(game=game, name="web", dialect=dialect, restrictions=RESTRICTED[code])

    check(send(key, Origin="https://evil.example"), code)

    (kept,) = Rejection.objects.all()
    assert [(error["code"], error["message"]) for error in kept.errors] == [(code, SENTENCES[code])]
    assert (kept.key_id, kept.origin, kept.request_ip) == (key.key.pk, "https://evil.example", "127.0.0.1")
    assert not Event.objects.exists()
    assert [(b.accepted, b.rejected) for b in Batch.objects.all()] == [(0, 1)]


@pytest.mark.parametrize("route", ROUTES)
def test_what_a_key_allows_is_accepted(game: Game, route: str) -> None:
    dialect, send, _ = ROUTES[route]
    allowed = Restrictions(events=["purchase", "webhook"], origins=[SITE], addresses=["127.0.0.1", "2001:db8::/48"])
    key = create_key(game=game, name="web", dialect=dialect, restrictions=allowed)

    assert send(key, Origin=SITE).status_code in (200, 204)

    (event,) = Event.objects.all()
    assert (event.key_id, event.origin) == (key.key.pk, SITE)
    assert not Rejection.objects.exists()


@pytest.mark.parametrize("route", ROUTES)
def test_a_key_without_restrictions_takes_anything_from_anywhere(game: Game, route: str) -> None:
    dialect, send, _ = ROUTES[route]
    assert send(create_key(game=game, name="web", dialect=dialect)).status_code in (200, 204)
    assert [event.origin for event in Event.objects.all()] == [""]
    assert not Rejection.objects.exists()


# Parts of a request


def test_the_messages_of_a_batch_that_its_key_allows_are_stored(game: Game) -> None:
    key = create_key(game=game, name="web", dialect=Dialect.METAROUTER, restrictions=RESTRICTED[EVENT])
    members = [{"type": "track", **purchase()}, {"type": "track", **purchase(), "event": "progression"}]
    answer = call("POST", "/v1/batch", {"batch": members}, **basic(key.value))

    assert (answer.status_code, [error["index"] for error in body_of(answer)["Errors"]]) == (207, [0])
    assert [event.name for event in Event.objects.all()] == ["progression"]
    assert [rejection.raw["event"] for rejection in Rejection.objects.all()] == ["purchase"]


def test_names_restrict_track_events_only(game: Game) -> None:
    key = create_key(game=game, name="web", restrictions=RESTRICTED[EVENT])
    headers = {"x-immutable-publishable-key": key.value}
    answer = call("POST", MESSAGES, {"messages": [identify("user-1", "anon-1")]}, **headers)

    assert body_of(answer)["accepted"] == 1
    assert [event.kind for event in Event.objects.all()] == ["identify"]


def test_a_message_of_a_batch_is_judged_by_its_own_key(game: Game, other_game: Game) -> None:
    free = create_key(game=game, name="free", dialect=Dialect.RUDDERSTACK)
    bound = create_key(game=other_game, name="bound", dialect=Dialect.RUDDERSTACK, restrictions=RESTRICTED[ORIGIN])
    members = [{"type": "track", "writeKey": key.value, **purchase()} for key in (free, bound)]

    assert call("POST", "/v1/batch", {"batch": members}).status_code == 200
    assert [event.key_id for event in Event.objects.all()] == [free.key.pk]
    assert [(r.game_id, r.key_id) for r in Rejection.objects.all()] == [(other_game.pk, bound.key.pk)]


# Origins


@pytest.mark.parametrize(
    ("allowed", "named", "passes"),
    [
        ("https://game.example", "https://game.example", True),
        ("https://game.example", "https://GAME.example", True),
        ("https://game.example", "http://game.example", False),
        ("https://game.example", "https://game.example:8443", False),
        ("https://game.example", "https://game.example.evil.example", False),
        ("https://game.example:8443", "https://game.example:8443", True),
        ("https://*.game.example", "https://play.game.example", True),
        ("https://*.game.example", "https://a.b.game.example", True),
        ("https://*.game.example", "https://game.example", False),
        ("https://*.game.example", "https://evilgame.example", False),
        ("https://*.game.example", "http://play.game.example", False),
        ("https://*.game.example", "https://play.game.example:8443", False),
        ("https://game.example", "null", False),
        ("https://game.example", "", False),
    ],
)
def test_an_origin_matches_by_scheme_host_and_port(game: Game, allowed: str, named: str, passes: bool) -> None:
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK, restrictions=Restrictions(origins=[allowed]))
    answer = by_segment(key, **({"Origin": named} if named else {}))
    assert (answer.status_code, Event.objects.count()) == ((200, 1) if passes else (400, 0))


def test_an_image_request_is_checked_by_the_page_in_its_referer(game: Game) -> None:
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK, restrictions=RESTRICTED[ORIGIN])
    by_pixel(key, Referer="https://evil.example/page?x=1")
    by_pixel(key)
    by_pixel(key, Referer=f"{SITE}/shop?x=1")

    assert [event.origin for event in Event.objects.all()] == [SITE]
    assert [rejection.origin for rejection in Rejection.objects.order_by("id")] == ["https://evil.example", ""]


def test_the_referer_of_a_post_is_not_used(game: Game) -> None:
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK, restrictions=RESTRICTED[ORIGIN])
    assert by_segment(key, Referer=f"{SITE}/").status_code == 400


@pytest.mark.parametrize("path", [MESSAGES, "/v1/track", "/api/client/events"])
def test_a_preflight_needs_no_key(path: str) -> None:
    answer = call("OPTIONS", path, Origin="https://evil.example", **{"Access-Control-Request-Method": "POST"})
    assert (answer.status_code, bool(answer["Access-Control-Allow-Origin"])) == (204, True)
    assert not Rejection.objects.exists()


# Addresses


@pytest.mark.parametrize(
    ("allowed", "address", "passes"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.0/24", "::ffff:192.0.2.9", True),
        ("2001:db8::/48", "2001:db8:0:1::5", True),
        ("2001:db8::/48", "2001:db9::5", False),
        ("0.0.0.0/0", "2001:db8::5", False),
        ("192.0.2.7", "", False),
    ],
)
def test_an_address_matches_as_a_number(game: Game, allowed: str, address: str, passes: bool) -> None:
    key = create_key(game=game, name="k", restrictions=Restrictions(addresses=[allowed])).key
    found = restrictions.caller_violation(key, origin="", address=address)
    assert found == (None if passes else restrictions.ADDRESS_NOT_ALLOWED)


def test_a_change_applies_at_once_in_the_process_that_made_it(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK)
    assert by_segment(key).status_code == 200
    change_key(key=key.key, name="w", restrictions=RESTRICTED[EVENT])
    assert by_segment(key).status_code == 400


# Consent and erasure


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("code", [ORIGIN, ADDRESS])
def test_consent_from_an_origin_that_is_not_allowed_is_refused(game: Game, method: str, code: str) -> None:
    key = create_key(game=game, name="web", restrictions=RESTRICTED[code])
    body = {"anonymousId": "anon-1", "status": "full", "source": "banner"} if method == "PUT" else None
    answer = call(method, f"{CONSENT}?anonymousId=anon-1", body, **{"x-immutable-publishable-key": key.value})

    told = body_of(answer)
    why = {"field": "", "code": code, "message": SENTENCES[code]}
    assert (answer.status_code, told["code"], told["details"]) == (401, "UNAUTHORISED_REQUEST", [why])
    assert not ConsentDecision.objects.exists()
    (kept,) = Rejection.objects.all()
    assert (kept.route, kept.raw, [e["code"] for e in kept.errors]) == ("tracking-consent", {"not_kept": True}, [code])
    assert revalidation_obstacle(kept).startswith("The whole request was rejected")


def test_an_erasure_from_an_address_that_is_not_allowed_is_refused(game: Game) -> None:
    key = create_key(game=game, name="eraser", kind=KeyKind.SECRET, restrictions=RESTRICTED[ADDRESS])
    answer = call("DELETE", f"{DATA}?userId=user-1", **{"x-immutable-api-key": key.value})

    assert answer.status_code == 401
    assert not Erasure.objects.exists()
    assert [(r.route, r.errors[0]["code"]) for r in Rejection.objects.all()] == [("data", ADDRESS)]


# The end of a key

UNKNOWN = {
    "immutable": 401,
    "rudderstack": 400,
    "rudderstack, key in the body": 400,
    "rudderstack batch": 400,
    "rudderstack beacon": 400,
    "rudderstack pixel": 200,
    "metarouter": 400,
    "metarouter batch": 400,
    "metarouter pixel": 400,
    "metarouter webhook": 400,
    "parcelvoy": 401,
}


@pytest.mark.parametrize("route", ROUTES)
def test_a_key_past_its_end_is_unknown_to_its_client_and_seen_by_its_game(game: Game, route: str) -> None:
    dialect, send, _ = ROUTES[route]
    expires_at = timezone.now() + timedelta(days=1)
    key = create_key(game=game, name="web", dialect=dialect, restrictions=Restrictions(expires_at=expires_at))
    assert send(key).status_code in (200, 204)
    Event.objects.all().delete()
    with time_machine.travel(expires_at, tick=False):
        assert send(key).status_code == UNKNOWN[route]

    assert not Event.objects.exists()
    (kept,) = Rejection.objects.all()
    assert [(e["code"], e["message"]) for e in kept.errors] == [("KEY_ENDED", SENTENCES["KEY_ENDED"])]
    assert (kept.raw, kept.key_id) == ({"not_kept": True}, key.key.pk)


def test_the_end_of_an_overlap_leaves_a_rejection_and_a_rotation_without_one_does_not(game: Game) -> None:
    slow, quick = (create_key(game=game, name=name, dialect=Dialect.RUDDERSTACK) for name in ("slow", "quick"))
    rotate_key(key=slow.key, overlap=timedelta(hours=1))
    rotate_key(key=quick.key, overlap=timedelta(0))
    with time_machine.travel(timezone.now() + timedelta(hours=2), tick=False):
        for key in (slow, quick):
            assert (by_segment(key).status_code, body_of(by_segment(key))) == (400, "invalid write key")
    assert {rejection.key_id for rejection in Rejection.objects.all()} == {slow.key.pk}


def test_requests_with_an_ended_key_leave_one_rejection_a_minute(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusing, "EXPIRED_KEY_INTERVAL_SECONDS", 60.0)
    expires_at = timezone.now() + timedelta(days=1)
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK, restrictions=Restrictions(expires_at=expires_at))
    with time_machine.travel(expires_at, tick=False):
        for _ in range(3):
            assert by_segment(key).status_code == 400
    assert Rejection.objects.count() == 1


# What is kept of the refused


def test_a_refused_message_is_taken_once_its_key_allows_it(game: Game) -> None:
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK, restrictions=RESTRICTED[ORIGIN])
    by_segment(key, Origin="https://new.example")
    (kept,) = Rejection.objects.all()

    assert revalidate_rejection(rejection=kept, requested_by="ada").status is RevalidationStatus.REFUSED
    assert not Event.objects.exists()
    change_key(key=key.key, name="w", restrictions=Restrictions(origins=["https://new.example"]))
    assert revalidate_rejection(rejection=kept, requested_by="ada").status is RevalidationStatus.ACCEPTED
    (event,) = Event.objects.all()
    assert (event.origin, event.request_ip) == ("https://new.example", "127.0.0.1")
    assert not Rejection.objects.exists()


def test_rejections_of_one_sender_are_limited(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MAX_PER_GAME", 2)
    monkeypatch.setattr(allowance, "MAX_PER_KEY", 1)
    key = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK, restrictions=RESTRICTED[EVENT])
    for _ in range(5):
        assert by_segment(key).status_code == 400

    assert Rejection.objects.count() == 3
    assert [batch.rejected for batch in Batch.objects.order_by("id")] == [1] * 5


def test_the_allowance_for_rejections_refills_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(allowance.time, "monotonic", lambda: now[0])
    flood = {"game_id": -1, "key_id": -1}
    assert allowance.take(**flood, number=20_000) == 11_000
    assert allowance.take(**flood, number=1) == 0
    now[0] += 60
    assert allowance.take(**flood, number=20_000) == 1_100


def test_a_flood_with_one_key_leaves_room_for_what_is_refused_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance.time, "monotonic", lambda: 1000.0)
    assert allowance.take(game_id=-2, key_id=-2, number=20_000) == 11_000
    assert allowance.take(game_id=-2, key_id=-3, number=20_000) == 1_000


# What an admin may write


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://Game.Example/", "https://game.example"),
        ("https://game.example:443", "https://game.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://*.game.example", "https://*.game.example"),
        ("https://spiel.münchen.example", "https://spiel.xn--mnchen-3ya.example"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(written: str, kept: str) -> None:
    assert restrictions.parse_origin(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "game.example",
        "https://",
        "ftp://game.example",
        "https://game.example/shop",
        "https://user@game.example",
        "https://a.*.example",
        "https://*.example",
        "https://game example",
        "https://game.example:port",
        "https://straße.example",
        "null",
        "*",
    ],
)
def test_an_invalid_origin_is_refused_with_a_sentence(written: str) -> None:
    with pytest.raises(ValueError, match="“"):
        restrictions.parse_origin(written)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:DB8::/48", "2001:db8::/48"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_an_address_is_kept_in_its_usual_spelling(written: str, kept: str) -> None:
    assert restrictions.parse_network(written) == kept


@pytest.mark.parametrize("written", ["192.0.2.7/24", "192.0.2", "game.example", "192.0.2.0/33", ""])
def test_an_invalid_address_is_refused_with_a_sentence(written: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address or a range"):
        restrictions.parse_network(written)
