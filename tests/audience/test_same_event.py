"""The same message in all four dialects becomes the same Event, except for dialect, key and raw payload."""

from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client

from audience.games.keys import NewKey, create_key
from audience.models import Dialect, Event, Game, Identity, Person
from tests.audience.wire import ORIGIN, authorised, digest

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, 0, tzinfo=UTC)
AT = "2026-04-08T11:30:00.250Z"
MESSAGE_ID = "0d9c1a52-6a3c-4b8e-8f5e-0a9f5a6f7b01"
PROPERTIES = {"currency": "USD", "value": 9.99, "items": [{"id": "sword", "n": 1}], "note": None}
TRAITS = {"email": "a@b.example", "plan": "pro", "phone": None}
# What tells the rows apart, and what the dialect stands in.
APART = {"id", "game_id", "dialect", "key_id", "raw"}


def immutable(kind: str, **fields: Any) -> tuple[str, Any]:
    context = {"library": "sdk", "libraryVersion": "2.0"}
    message = {"type": kind, "messageId": MESSAGE_ID, "eventTimestamp": AT, "context": context, **fields}
    return "/v1/audience/messages", {"messages": [message]}


def segment(kind: str, **fields: Any) -> tuple[str, Any]:
    context = {"library": {"name": "sdk", "version": "2.0"}}
    message = {"type": kind, "messageId": MESSAGE_ID, "timestamp": AT, "context": context, **fields}
    return "/v1/batch", {"batch": [message]}


def parcelvoy(**fields: Any) -> tuple[str, Any]:
    return "/api/client/events", [{"message_id": MESSAGE_ID, "created_at": AT, **fields}]


def send(key: NewKey, path: str, body: Any, **headers: str) -> None:
    own = {"x-immutable-publishable-key": key.value} if key.key.dialect == "immutable" else authorised(key)
    answer: HttpResponse = Client().post(path, body, "application/json", headers={**own, **headers})
    assert answer.status_code in {200, 204}, answer.content


def told(calls: dict[str, tuple[str, Any]], **headers: str) -> list[dict[str, Any]]:
    """Each call made with a key of its dialect, in a game of its own; the events as they compare."""
    found = []
    for number, (dialect, (path, body)) in enumerate(calls.items()):
        game = Game.objects.create(name=dialect, slug=f"same-{number}")
        with time_machine.travel(NOW, tick=False):
            send(create_key(game=game, name="k", dialect=Dialect(dialect)), path, body, **headers)
        event = Event.objects.get(game_id=game.pk)
        assert event.dialect == dialect
        # Parcelvoy's items have no word for the library.
        library = {} if dialect == "parcelvoy" else {"library": "sdk", "library_version": "2.0"}
        assert {name: event.context.pop(name) for name in library} == library
        found.append({name: value for name, value in _columns(event).items() if name not in APART})
    return found


def _columns(event: Event) -> dict[str, Any]:
    return {field.attname: getattr(event, field.attname) for field in Event._meta.concrete_fields}


def assert_all_alike(found: list[dict[str, Any]], count: int, **expected: Any) -> None:
    assert len(found) == count
    for other in found[1:]:
        assert other == found[0]
    common = {"message_id": MESSAGE_ID, "received_at": NOW, "day": NOW.date(), "request_ip": "127.0.0.1"}
    assert {name: found[0][name] for name in common} == common
    assert {name: found[0][name] for name in expected} == expected


@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN, "User-Agent": "Mozilla/5.0"}], ids=["backend", "browser"])
def test_a_track_event_is_the_same_in_all_four(db: None, headers: dict[str, str]) -> None:
    ids = {"userId": "user-1", "anonymousId": "anon-1"}
    in_segments = segment("track", event="purchase", properties=PROPERTIES, **ids)
    found = told(
        {
            "immutable": immutable("track", eventName="purchase", properties=PROPERTIES, **ids),
            "rudderstack": in_segments,
            "metarouter": in_segments,
            "parcelvoy": parcelvoy(name="purchase", external_id="user-1", anonymous_id="anon-1", data=PROPERTIES),
        },
        **headers,
    )

    assert_all_alike(
        found,
        4,
        kind="track",
        name="purchase",
        user_id="user-1",
        anonymous_id="anon-1",
        properties=PROPERTIES,
        event_at=datetime(2026, 4, 8, 11, 30, 0, 250_000, tzinfo=UTC),
        context={"ip": "127.0.0.1", "user_agent": "Mozilla/5.0"} if headers else {},
    )


def test_an_alias_is_the_same_in_all_four_and_parcelvoy_states_that_its_id_is_anonymous(db: None) -> None:
    in_segments = segment("alias", userId="user-1", previousId="anon-1")
    body = {"anonymous_id": "anon-1", "external_id": "user-1", "created_at": AT, "message_id": MESSAGE_ID}
    found = told(
        {
            "immutable": immutable("alias", fromId="anon-1", toId="user-1"),
            "rudderstack": in_segments,
            "metarouter": in_segments,
            "parcelvoy": ("/api/client/alias", body),
        }
    )

    # The previous id of the others may be a user id.
    links = [["anonymous", "anon-1"], ["user", "anon-1"], ["user", "user-1"]]
    assert [event.pop("links") for event in found] == [links, links, links, []]
    assert_all_alike(found, 4, kind="alias", user_id="user-1", anonymous_id="anon-1")


@pytest.mark.parametrize("kind", ["page", "screen", "identify"])
def test_the_other_kinds_are_the_same_in_three(db: None, kind: str) -> None:
    name = {} if kind == "identify" else {"eventName": "Home"}
    said = {"userId": "user-1", "properties": PROPERTIES, **({"traits": TRAITS} if kind == "identify" else {})}
    in_segments = segment(kind, **said, **({"name": "Home"} if name else {}))
    found = told({"immutable": immutable(kind, **said, **name), "rudderstack": in_segments, "metarouter": in_segments})

    assert_all_alike(found, 3, kind=kind, user_id="user-1", properties=PROPERTIES)


def test_a_player_known_in_all_four_is_one_person_with_the_same_traits(game: Game) -> None:
    bodies = {
        "immutable": immutable("identify", userId="user-1", anonymousId="i", traits=TRAITS),
        "rudderstack": ("/v1/identify", {"userId": "user-1", "anonymousId": "r", "traits": TRAITS}),
        "metarouter": ("/v1/i", {"userId": "user-1", "anonymousId": "m", "traits": TRAITS}),
        "parcelvoy": (
            "/api/client/identify",
            {"external_id": "user-1", "anonymous_id": "p", "email": "a@b.example", "data": {"plan": "pro"}},
        ),
    }
    with time_machine.travel(NOW, tick=True):
        for dialect, (path, body) in bodies.items():
            send(create_key(game=game, name=dialect, dialect=Dialect(dialect)), path, body)
    digest()

    assert Person.objects.get().traits == {"email": "a@b.example", "plan": "pro"}
    assert sorted(Identity.objects.values_list("namespace", "value")) == [
        *(("anonymous", value) for value in "impr"),
        ("user", "user-1"),
    ]
