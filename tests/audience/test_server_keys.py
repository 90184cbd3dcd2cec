"""Server keys: they send events in every dialect, erase nobody, and their events differ from those of public keys."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from audience.digest import queue
from audience.games.keys import NewKey, create_key, rotate_key
from audience.intake.messages.message import stored_id
from audience.intake.requests.auth import find_key
from audience.models import (
    ApiKey,
    Batch,
    Conversion,
    Dialect,
    Environment,
    Erasure,
    Event,
    Game,
    KeyKind,
    Reason,
    Rejection,
)
from tests.audience import immutable
from tests.audience.wire import basic, bearer, body_of

pytestmark = pytest.mark.django_db

MESSAGE_ID = "0d4f9a40-0000-4000-8000-00000000aaaa"


def call(method: str, path: str, body: Any, **headers: str) -> HttpResponse:
    return Client().generic(method, path, json.dumps(body).encode(), "application/json", headers=headers)


def server(game: Game, dialect: Dialect = Dialect.IMMUTABLE) -> NewKey:
    return create_key(game=game, name="Payment backend", kind=KeyKind.SERVER, dialect=dialect)


def by_api_header(key: NewKey, **given: Any) -> HttpResponse:
    sent = immutable.purchase("user-1", messageId=MESSAGE_ID, **given)
    return call("POST", immutable.MESSAGES, {"messages": [sent]}, **{"x-immutable-api-key": key.value})


def by_publishable_header(key: NewKey, **given: Any) -> HttpResponse:
    return immutable.send(key, immutable.purchase("user-1", messageId=MESSAGE_ID, **given))


def by_segment(key: NewKey) -> HttpResponse:
    return call("POST", "/v1/track", bought(), **basic(key.value))


def by_written_key(key: NewKey) -> HttpResponse:
    return call("POST", "/v1/batch", {"batch": [{"type": "track", "writeKey": key.value, **bought()}]})


def by_parcelvoy(key: NewKey) -> HttpResponse:
    item = {"name": "purchase", "external_id": "user-1", "data": {"value": 1}, "message_id": MESSAGE_ID}
    return call("POST", "/api/client/events", [item], **bearer(key.value))


def bought() -> dict[str, Any]:
    properties = {"value": 1, "currency": "USD"}
    return {"event": "purchase", "userId": "user-1", "messageId": MESSAGE_ID, "properties": properties}


WAYS: dict[str, tuple[Dialect, Callable[..., HttpResponse]]] = {
    "immutable, api key": (Dialect.IMMUTABLE, by_api_header),
    "immutable, publishable key": (Dialect.IMMUTABLE, by_publishable_header),
    "rudderstack": (Dialect.RUDDERSTACK, by_segment),
    "rudderstack, in the body": (Dialect.RUDDERSTACK, by_written_key),
    "metarouter": (Dialect.METAROUTER, by_segment),
    "parcelvoy": (Dialect.PARCELVOY, by_parcelvoy),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_dialect_takes_events_with_a_server_key_and_knows_them_by_it(game: Game, way: str) -> None:
    dialect, send = WAYS[way]
    key = server(game, dialect)
    assert send(key).status_code in (200, 204)
    queue.drain()

    (event,) = Event.objects.all()
    assert (event.key_id, event.message_id) == (key.key.pk, f"server:{MESSAGE_ID}")
    (bought_it,) = Conversion.objects.all()
    assert (bought_it.key_id, bought_it.from_server, bought_it.origin) == (key.key.pk, True, "")


@pytest.mark.parametrize("way", WAYS)
def test_a_purchase_with_a_public_key_is_none_from_a_server(game: Game, way: str) -> None:
    dialect, send = WAYS[way]
    if way == "immutable, api key":
        return
    key = create_key(game=game, name="web", dialect=dialect)
    assert send(key).status_code in (200, 204)
    queue.drain()
    (conversion,) = Conversion.objects.all()
    assert (conversion.key_id, conversion.from_server, conversion.message_id) == (key.key.pk, False, MESSAGE_ID)


def test_a_purchase_keeps_the_page_it_came_from(key: NewKey) -> None:
    immutable.send(key, immutable.purchase("user-1"), Origin="https://game.example")
    queue.drain()
    assert Conversion.objects.get().origin == "https://game.example"


@pytest.mark.parametrize(
    ("environment", "start"),
    [(Environment.PRODUCTION, "sk_imapik-server-"), (Environment.SANDBOX, "sk_imapik-test-server-")],
)
def test_a_server_key_has_its_own_prefix_and_is_stored_like_a_secret_key(
    game: Game, environment: Environment, start: str
) -> None:
    made = create_key(game=game, name="k", kind=KeyKind.SERVER, environment=environment)
    row = ApiKey.objects.get()
    assert made.value.startswith(start)
    assert row.value == ""
    assert made.value.startswith(row.prefix)
    assert len(row.prefix) - len(start) >= 7
    assert find_key(made.value) == made.key
    assert find_key(made.value, kinds=(KeyKind.PUBLISHABLE,)) is None
    assert find_key(made.value, kinds=(KeyKind.SECRET,)) is None
    assert rotate_key(key=made.key, overlap=immutable.timedelta(0)).value.startswith(start)


def test_a_server_key_erases_nobody(game: Game) -> None:
    answer = call("DELETE", f"{immutable.DATA}?userId=u", None, **{"x-immutable-api-key": server(game).value})
    assert answer.status_code == 401
    assert not Erasure.objects.exists()


def test_a_secret_key_still_sends_no_messages(secret_key: NewKey) -> None:
    assert by_api_header(secret_key).status_code == 400
    assert by_publishable_header(secret_key).status_code == 401
    assert by_segment(secret_key).status_code == 400
    assert not Event.objects.exists()


def test_routes_for_browsers_refuse_a_server_key(game: Game) -> None:
    key = server(game, Dialect.RUDDERSTACK)
    data = b64encode(json.dumps({"writeKey": key.value, **bought()}).encode()).decode()
    assert Client().get("/v1/pixel/track", {"data": data}).status_code == 400
    assert Client().get("/pixel/v1/track", {"writeKey": key.value, **bought()}).status_code == 200
    beacon = {"batch": [{"type": "track", **bought()}]}
    assert call("POST", f"/beacon/v1/batch?writeKey={key.value}", beacon).status_code == 400
    assert call("GET", "/sourceConfig", None, **basic(key.value)).status_code == 400
    assert Client().get(f"/v1/projects/{key.value}/settings").status_code == 400
    assert not Event.objects.exists()
    assert not Batch.objects.exists()


# A key in the body


@pytest.mark.parametrize("kept_as", ["event", "rejection"])
def test_a_servers_key_in_the_body_is_not_stored_with_it(game: Game, kept_as: str) -> None:
    key = server(game, Dialect.RUDDERSTACK)
    sent = {"writeKey": f" {key.value} ", **bought()}
    if kept_as == "rejection":
        del sent["event"]
    call("POST", "/v1/track", sent)
    call("POST", "/v1/batch", {"writeKey": key.value, "batch": [{"type": "track", **sent, "messageId": "b"}]})
    call("POST", "/v1/batch", {"batch": [{"type": "track", **sent, "messageId": "c"}]}, **basic(key.value))

    rows = Event.objects.all() if kept_as == "event" else Rejection.objects.all()
    assert [row.key_id for row in rows] == [key.key.pk] * 3
    assert [row.raw["writeKey"] for row in rows] == [f"{key.value[:24]}…"] * 3


def test_a_servers_key_in_a_webhook_is_no_property_of_the_event(game: Game) -> None:
    key = server(game, Dialect.METAROUTER)
    assert call("POST", "/v1/webhook", {"writeKey": key.value, "order": 7}).status_code == 200
    (event,) = Event.objects.all()
    assert event.properties == event.raw == {"writeKey": f"{key.value[:24]}…", "order": 7}


def test_a_public_key_in_the_body_is_kept(game: Game) -> None:
    key = create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)
    call("POST", "/v1/track", {"writeKey": key.value, **bought()})
    assert Event.objects.get().raw["writeKey"] == key.value


@pytest.mark.parametrize("secret", ["sk_", "sk_short"])
def test_at_most_half_of_a_short_secret_is_kept(game: Game, secret: str) -> None:
    key = create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)
    call("POST", "/v1/track", {"writeKey": secret, **bought()}, **basic(key.value))
    assert Event.objects.get().raw["writeKey"] == f"{secret[: len(secret) // 2]}…"


# Message ids


def test_an_event_of_a_public_key_does_not_swallow_the_servers_of_the_same_id(game: Game) -> None:
    public, own = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK), server(game, Dialect.RUDDERSTACK)
    forged = {**bought(), "properties": {"value": 0.01, "currency": "USD"}}
    at = {"timestamp": immutable.ago(minutes=1)}
    call("POST", "/v1/track", {**forged, **at}, **basic(public.value))
    call("POST", "/v1/track", {**bought(), **at}, **basic(own.value))
    queue.drain()

    assert [(float(c.value), c.from_server) for c in Conversion.objects.order_by("value")] == [(0.01, False), (1, True)]


def test_a_servers_retry_is_stored_once(game: Game) -> None:
    key = server(game)
    at = immutable.ago(minutes=1)
    for _ in range(2):
        assert body_of(by_api_header(key, eventTimestamp=at))["accepted"] == 1
    assert Event.objects.count() == 1
    assert [batch.duplicates for batch in Batch.objects.order_by("id")] == [0, 1]


def test_a_public_key_cannot_use_a_servers_message_id(game: Game) -> None:
    public, own = create_key(game=game, name="w", dialect=Dialect.RUDDERSTACK), server(game, Dialect.RUDDERSTACK)
    at = {"timestamp": immutable.ago(minutes=1)}
    call("POST", "/v1/track", {**bought(), **at, "messageId": f"server:{MESSAGE_ID}"}, **basic(public.value))
    call("POST", "/v1/track", {**bought(), **at}, **basic(own.value))
    assert sorted(event.key_id for event in Event.objects.all()) == sorted((public.key.pk, own.key.pk))


def test_a_long_message_id_of_a_server_still_fits_and_stays_the_same() -> None:
    for length in (249, 250, 256):
        stored = stored_id("x" * length, is_server=True)
        assert (len(stored) <= 256, stored) == (True, stored_id("x" * length, is_server=True))
    assert stored_id("x" * 250, is_server=True) != stored_id("x" * 251, is_server=True)
    assert stored_id("x" * 256, is_server=False) == "x" * 256


# Launches


def test_a_servers_launch_counts_however_early_another_says_it_was(game: Game) -> None:
    public, own = create_key(game=game, name="web"), server(game)
    immutable.digest(public, immutable.launch("user-1", eventTimestamp=immutable.ago(days=2)))
    immutable.digest(own, immutable.launch("user-1", eventTimestamp=immutable.ago(minutes=1)))

    launches = {c.from_server: c.reason for c in Conversion.objects.all()}
    assert launches == {False: Reason.REPEAT_LAUNCH, True: Reason.NO_CLICK}


def test_a_conversion_of_a_key_that_was_deleted_before_the_digest_counts_as_public(game: Game) -> None:
    key = server(game)
    by_api_header(key)
    ApiKey.objects.filter(pk=key.key.pk).delete()
    queue.drain()
    (conversion,) = Conversion.objects.all()
    assert (conversion.key_id, conversion.from_server) == (key.key.pk, False)
