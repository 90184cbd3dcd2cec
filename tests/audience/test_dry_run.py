"""A dry run of the intake says exactly what the intake does, and does nothing."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.http import HttpResponse

from audience.games.keys import NewKey, Restrictions, create_key
from audience.intake import dry_run
from audience.intake.dialects import immutable_rules
from audience.intake.dialects.dry_run import ROUTES, default_route
from audience.intake.dialects.read_fields import FIELDS
from audience.intake.dry_run import CheckedMessage, Status
from audience.intake.openapi import ingestion_document
from audience.intake.requests import limit
from audience.intake.storing import allowance
from audience.intake.storing.rows import EVENT_COLUMNS
from audience.intake.urls import SHORT_ROUTES
from audience.models import ApiKey, Batch, Dialect, Event, Game, KeyKind, Rejection
from tests.audience import immutable, wire

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, tzinfo=UTC)
ADDRESS = "127.0.0.1"  # of Django's test client
PARCELVOY = {"devices": "device", "events": "track"}
IMMUTABLE = Path(wire.FIXTURES / "immutable")
Case = tuple[Dialect, str, Any]


def cases() -> Iterator[Any]:
    """(dialect, path, body) of every recorded request of every dialect, valid and invalid."""
    for dialect in (Dialect.RUDDERSTACK, Dialect.METAROUTER, Dialect.PARCELVOY):
        for file in ("samples", "refusals"):
            for number, case in enumerate(wire.load(dialect.value, file)):
                body = case["text"].encode() if "text" in case else case.get("body", case.get("request"))
                name = f"{dialect.value}-{case.get('case', number)}"
                yield pytest.param(dialect, case["path"], body, id=f"{name}-{case['path']}")
    for path in sorted(IMMUTABLE.glob("*.json")):
        pair = json.loads(path.read_text())
        if path.stem == "rejections":
            for case in pair:
                changes = {
                    name: immutable.ABSENT if one == "__absent__" else one for name, one in case["change"].items()
                }
                sent = immutable.message(**{"eventTimestamp": "2026-04-08T11:59:00Z", **changes})
                yield pytest.param(
                    Dialect.IMMUTABLE, immutable.MESSAGES, {"messages": [sent]}, id=f"immutable-{case['case']}"
                )
        elif "request" in pair:
            yield pytest.param(Dialect.IMMUTABLE, immutable.MESSAGES, pair["request"], id=f"immutable-{path.stem}")


FURTHER: list[tuple[Dialect, str, Any]] = [
    (Dialect.IMMUTABLE, immutable.MESSAGES, b"{"),
    (Dialect.IMMUTABLE, immutable.MESSAGES, []),
    (Dialect.IMMUTABLE, immutable.MESSAGES, {"messages": []}),
    (Dialect.IMMUTABLE, immutable.MESSAGES, {"messages": [5, 5, None, "x", {}]}),
    (Dialect.IMMUTABLE, immutable.MESSAGES, {"messages": [{}] * 101}),
    (Dialect.IMMUTABLE, immutable.MESSAGES, b'{"messages": [' + b" " * 2 * 1024 * 1024 + b"]}"),
    (Dialect.RUDDERSTACK, "/v1/batch", {"batch": []}),
    (Dialect.RUDDERSTACK, "/v1/batch", {"batch": [5]}),
    (
        *(Dialect.RUDDERSTACK, "/v1/batch"),
        {"batch": [{"type": "track", "event": "a", "userId": "u"}, {"type": "x"}, {"type": "page", "userId": 2**70}]},
    ),
    (Dialect.RUDDERSTACK, "/v1/track", {"event": "a", "userId": "u", "properties": {"pad": "x" * 33_000}}),
    (Dialect.METAROUTER, "/v1/b", {"batch": [{"type": "track", "event": "a", "userId": "u"}] * 3, "sentAt": "2026"}),
    (Dialect.METAROUTER, "/v1/track", {"event": "a", "userId": "undefined", "anonymousId": "a"}),
    (Dialect.PARCELVOY, "/api/client/events", [{"external_id": "u", "name": "a"}, {"name": 5}, {"external_id": "v"}]),
    (
        *(Dialect.PARCELVOY, "/api/client/events"),
        [{"external_id": "u", "name": "a", "user": {"email": "a@b.example"}}, {"external_id": "v", "name": "b"}],
    ),
    (Dialect.PARCELVOY, "/api/client/track", {"external_id": "u", "event": "a", "data": '{"x": 1}'}),
    (Dialect.PARCELVOY, "/api/client/track", [{"external_id": "u", "event": "a"}]),
]
ALL = [*cases(), *FURTHER]


def key_of(game: Game, dialect: Dialect, **given: Any) -> NewKey:
    return create_key(game=game, name=dialect.value, dialect=dialect, **given)


def route_of(dialect: Dialect, path: str) -> str:
    last = path.strip("/").split("/")[-1]
    if dialect == Dialect.PARCELVOY:
        return PARCELVOY.get(last, "client-track" if last == "track" else last)
    return SHORT_ROUTES.get(last, last)


def posted(key: NewKey, path: str, body: Any) -> HttpResponse:
    if key.key.dialect == Dialect.IMMUTABLE:
        return immutable.post(key, wire.compact_json(body))
    return wire.post(path, body, key)


def everything() -> dict[str, list[Any]]:
    return {
        model._meta.label: list(model.objects.order_by("pk").values())
        for model in apps.get_app_config("audience").get_models()
    }  # type: ignore[attr-defined]


def without_trace(text: str) -> Any:
    try:
        answer = json.loads(text)
    except ValueError:
        return text
    return {name: value for name, value in answer.items() if name != "trace_id"} if isinstance(answer, dict) else answer


def columns(event: Event, *, has_id: bool) -> dict[str, Any]:
    """The stored columns, without the message id that is random if the message states none."""
    return {name: getattr(event, name) for name in EVENT_COLUMNS if has_id or name != "message_id"}


def states_ids(body: Any) -> bool:
    members = body.get("batch", body.get("messages", [body])) if isinstance(body, dict) else body
    members = members if isinstance(members, list) else []
    return all("messageId" in one or "message_id" in one for one in members if isinstance(one, dict))


@pytest.mark.long
@pytest.mark.parametrize(("dialect", "path", "body"), ALL)
def test_it_says_what_the_intake_does(game: Game, dialect: Dialect, path: str, body: Any) -> None:
    key = key_of(game, dialect)
    before = everything()
    with time_machine.travel(NOW, tick=False):
        sent = wire.compact_json(body)
        result = dry_run.check(key=key.key, body=sent, route=route_of(dialect, path), address=ADDRESS)
        assert everything() == before
        answer = posted(key, path, body)

    assert result.status == answer.status_code
    assert without_trace(result.answer) == without_trace(answer.content.decode())
    accepted = [one.event for one in result.messages if one.status == Status.ACCEPTED and one.event]
    stored = list(Event.objects.order_by("pk"))
    has_ids = not isinstance(body, bytes) and states_ids(body)
    assert [columns(one, has_id=has_ids) for one in accepted] == [columns(one, has_id=has_ids) for one in stored]
    assert sum(one.status == Status.DUPLICATE for one in result.messages) == sum(
        Batch.objects.values_list("duplicates", flat=True)
    )
    reasons = [[violation.as_dict() for violation in one.errors] for one in result.messages if one.errors]
    own = [listed for listed in reasons if listed != [dry_run.REFUSED_WITH_OTHERS.as_dict()]]
    assert texts(own) == texts(wire.reasons())


def texts(reasons: Any) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in reasons)


def statuses(messages: Any) -> list[tuple[int | None, str]]:
    return [(message.index, message.status.value) for message in messages]


def checked(key: NewKey, body: Any, **given: Any) -> list[CheckedMessage]:
    return list(dry_run.check(key=key.key, body=wire.compact_json(body), **given).messages)


def test_each_message_has_its_place_in_the_body(game: Game) -> None:
    good = immutable.message()
    sent = {"messages": [5, good, {}, immutable.message(), 5, immutable.message(userId=7)]}
    assert statuses(checked(key_of(game, Dialect.IMMUTABLE), sent)) == [
        *((0, "rejected"), (1, "accepted"), (2, "rejected"), (3, "accepted"), (4, "rejected"), (5, "rejected"))
    ]
    members = [{"type": "x", "userId": "u"}, {"type": "page", "userId": "u"}, {"type": "track", "userId": "u"}]
    assert statuses(checked(key_of(game, Dialect.RUDDERSTACK), {"batch": members})) == [
        *((0, "rejected"), (1, "accepted"), (2, "rejected"))
    ]
    items = [{"external_id": "u", "name": "a", "user": {"email": "a@b.example"}}, {"external_id": "u", "name": "b"}]
    assert statuses(checked(key_of(game, Dialect.PARCELVOY), items)) == [
        *((0, "accepted"), (0, "accepted"), (1, "accepted"))
    ]


def test_an_invalid_item_of_parcelvoy_refuses_the_others(game: Game) -> None:
    found = checked(key_of(game, Dialect.PARCELVOY), [{"external_id": "u"}, {"name": "b"}, {"external_id": "v"}])

    assert statuses(found) == [(0, "rejected"), (1, "rejected"), (2, "rejected")]
    assert [one.errors[0].code for one in found] == ["REQUEST_REFUSED", "VALIDATION", "REQUEST_REFUSED"]


def test_a_message_that_is_stored_already_is_a_duplicate(game: Game) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    one = {"type": "track", "event": "a", "userId": "u", "messageId": "m-1", "timestamp": "2026-04-08T11:00:00Z"}
    wire.post("/v1/track", one, key)
    again = {**one, "event": "b"}
    found = checked(key, {"batch": [one, again, {**one, "messageId": "m-2"}, {**one, "messageId": "m-2"}]})

    assert [message.status.value for message in found] == ["duplicate", "accepted", "accepted", "duplicate"]
    assert found[1].event is not None
    assert found[1].event.message_id not in ("m-1", "m-2")
    assert (Event.objects.count(), Batch.objects.count()) == (1, 1)


def test_another_event_with_a_stored_id_is_rejected_by_immutable(game: Game) -> None:
    key = key_of(game, Dialect.IMMUTABLE)
    one = immutable.message()
    immutable.send(key, one)
    [found] = checked(key, {"messages": [{**one, "eventName": "other"}]})

    assert (found.status, found.errors[0].code) == ("rejected", "MESSAGE_ID_REUSED")
    assert not Rejection.objects.exists()


def test_the_restrictions_of_the_key_apply(game: Game) -> None:
    restrictions = Restrictions(events=["won"], origins=["https://game.example"])
    key = key_of(game, Dialect.IMMUTABLE, restrictions=restrictions)
    body = {"messages": [immutable.message(eventName="won"), immutable.message(eventName="lost")]}

    def codes(**given: Any) -> list[str]:
        return ["".join(one.code for one in message.errors) for message in checked(key, body, **given)]

    assert codes() == ["", "EVENT_NOT_ALLOWED"]
    assert codes(origin="https://game.example") == ["", "EVENT_NOT_ALLOWED"]
    assert codes(origin="https://other.example") == ["ORIGIN_NOT_ALLOWED"] * 2
    assert codes(address="203.0.113.7") == ["ORIGIN_NOT_ALLOWED"] * 2


def test_nothing_is_recorded_and_no_limit_is_used_up(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a dry run must not use this up")

    key = key_of(game, Dialect.IMMUTABLE, rate_limit=1)
    for module, name in ((limit, "seconds_to_wait"), (allowance, "take"), (allowance, "take_request")):
        monkeypatch.setattr(module, name, never)
    for body in (b"{", b'{"messages": []}', wire.compact_json({"messages": [immutable.message(), 5]})):
        dry_run.check(key=key.key, body=body)
    key.key.refresh_from_db()

    assert key.key.last_used_at is None


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_format_can_be_checked_without_a_key(game: Game, dialect: Dialect) -> None:
    bodies: dict[Dialect, Any] = {
        Dialect.IMMUTABLE: {"messages": [immutable.message()]},
        Dialect.PARCELVOY: [{"external_id": "user-123", "name": "sign_in"}],
    }
    body = bodies.get(dialect, {"type": "track", "event": "sign_in", "userId": "user-123"})
    [message] = dry_run.check(key=ApiKey(game=game, dialect=dialect), body=wire.compact_json(body)).messages
    assert message.event is not None
    assert (message.status, message.event.name, message.event.user_id) == ("accepted", "sign_in", "user-123")
    assert (message.event.key_id, message.event.game_id, message.event.pk) == (None, game.pk, None)


@pytest.mark.parametrize(
    ("dialect", "body", "route"),
    [
        (Dialect.IMMUTABLE, b"{", "messages"),
        (Dialect.RUDDERSTACK, b'{"batch": []}', "batch"),
        (Dialect.RUDDERSTACK, b'{"type": "Identify"}', "identify"),
        (Dialect.METAROUTER, b'{"event": "a"}', "track"),
        (Dialect.METAROUTER, b"{", "batch"),
        (Dialect.PARCELVOY, b"[]", "track"),
        (Dialect.PARCELVOY, b"{}", "client-track"),
    ],
)
def test_the_route_follows_from_the_body(dialect: Dialect, body: bytes, route: str) -> None:
    assert default_route(dialect, body) == route
    assert route in ROUTES[dialect]


def test_an_unknown_route_is_refused(game: Game) -> None:
    with pytest.raises(ValueError, match="Parcelvoy has no route “page”."):
        checked(key_of(game, Dialect.PARCELVOY), [], route="page")


def test_it_says_which_parts_of_a_message_are_not_used(game: Game) -> None:
    key = key_of(game, Dialect.RUDDERSTACK)
    sent = {"type": "track", "event": "a", "userId": "undefined", "anonymousId": "a", "timestamp": "soon", "value": 5}
    [message] = checked(key, {**sent, "channel": "web"})

    assert message.ignored == [
        "The user id “undefined” is a placeholder, so it is not used.",
        "The time in the message could not be read, so the time of receipt is used as the event time.",
        "The message has no usable ID, so it gets a new one. If it is sent again, it is stored twice.",
        "Not used, but stored with the original message: channel, value.",
    ]
    [whole] = checked(key, {"type": "track", "event": "a", "userId": "u", "messageId": "m"})
    assert whole.ignored == []


def test_the_fields_that_are_read_include_those_of_the_api_document() -> None:
    schemas = ingestion_document()["components"]["schemas"]
    documented = {
        Dialect.IMMUTABLE: set(schemas["ImmutableMessage"]["properties"]),
        Dialect.RUDDERSTACK: set().union(
            *(
                schemas[f"Segment{kind}"].get("properties", {})
                for kind in ("Identify", "Track", "Page", "Group", "Alias")
            )
        ),
    }
    assert {dialect: fields - FIELDS[dialect] for dialect, fields in documented.items()} == dict.fromkeys(
        documented, set()
    )
    assert immutable_rules.TIME_FIELDS[0] in FIELDS[Dialect.IMMUTABLE]


def test_a_server_key_gives_its_ids_their_prefix(game: Game) -> None:
    key = key_of(game, Dialect.IMMUTABLE, kind=KeyKind.SERVER)
    one = immutable.message()
    [message] = checked(key, {"messages": [one]})
    assert message.event is not None
    assert message.event.message_id == f"server:{one['messageId']}"
