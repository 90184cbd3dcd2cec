"""The Parcelvoy client dialect: messages, answers, keys, devices, identities, idempotency."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client

from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import Batch, Device, Dialect, Event, Game, Identity, Person, Rejection
from tests.audience.wire import (
    assert_nothing_stored,
    bearer,
    body_of,
    compact_json,
    digest,
    load,
    only_event,
    post,
    reasons,
    stored,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, 0, tzinfo=UTC)
MIB = 1024 * 1024
ALIAS, IDENTIFY, DEVICES, EVENTS = (f"/api/client/{word}" for word in ("alias", "identify", "devices", "events"))
BAD_REQUEST = {"status": "error", "error": "An error occurred with this request."}
UNAUTHORISED = {"status": "error", "error": "Authorization error.", "code": 1000}
MESSAGE_ID = "0d9c1a52-6a3c-4b8e-8f5e-0a9f5a6f7b01"


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="app", dialect=Dialect.PARCELVOY)


def event(**changes: Any) -> dict[str, Any]:
    return {"external_id": "user-1", "name": "Sign In", **changes}


def device(device_id: str, **changes: Any) -> dict[str, Any]:
    said_of_it = {"os": "iOS 16.3", "model": "iPhone15,2", "app_build": "465", "app_version": "1.2.4"}
    return {"external_id": "user-1", "device_id": device_id, **said_of_it, **changes}


def assert_taken(answer: HttpResponse) -> None:
    assert (answer.status_code, answer.content) == (204, b"")


def assert_refused(answer: HttpResponse, status: int, body: dict[str, Any]) -> None:
    assert (answer.status_code, body_of(answer)) == (status, body)
    assert answer.headers["Content-Type"] == "application/json"


def names() -> list[tuple[str, str]]:
    return sorted(Identity.objects.values_list("namespace", "value"))


# Messages


@pytest.mark.parametrize("pair", load("parcelvoy", "samples"), ids=lambda pair: pair["path"])
@pytest.mark.parametrize("shape", ["{}", "/{}", "{}/", "//{}//"])
def test_a_sample_of_the_document_is_stored_as_it_says(key: NewKey, pair: dict[str, Any], shape: str) -> None:
    with time_machine.travel(NOW, tick=False):
        assert_taken(post(shape.format(pair["path"]), pair["request"], key))

    items = pair["request"] if isinstance(pair["request"], list) else [pair["request"]]
    for found, expected, sent in zip(stored(), pair["stored"], items, strict=True):
        assert {name: getattr(found, name) for name in expected} == expected
        assert (found.raw, found.event_at, found.day) == (sent, NOW, NOW.date())
        assert (found.game_id, found.key_id, found.dialect) == (key.key.game_id, key.key.pk, "parcelvoy")
    digest()


@pytest.mark.parametrize("case", load("parcelvoy", "refusals"), ids=lambda case: case["case"])
def test_it_refuses(key: NewKey, case: dict[str, Any]) -> None:
    answer = post(case["path"], case["body"], key)

    assert_refused(answer, 422, {"status": "error", "error": case["error"]})
    assert not Event.objects.exists()
    assert reasons() == [[{"field": case["field"], "code": "VALIDATION", "message": case["error"]}]]
    assert Rejection.objects.get().raw == case["body"]


def test_a_refused_request_is_found_by_the_ids_in_it(key: NewKey) -> None:
    post(EVENTS, [event(external_id="u-1"), event(anonymous_id="a-1", external_id="u-2", name=5)], key)

    assert sorted(Rejection.objects.get().subjects) == ["a-1", "u-1", "u-2"]


@pytest.mark.parametrize("path", [ALIAS, IDENTIFY, DEVICES, EVENTS, "/devices", "/events"])
@pytest.mark.parametrize("sent", [b"", b"{", b"external_id=e", b'[{"external_id":"e","data":{"x":1e999}}]', b"[NaN]"])
def test_a_body_that_is_no_json_is_400(key: NewKey, path: str, sent: bytes) -> None:
    assert_refused(post(path, sent, key), 400, BAD_REQUEST)
    assert_nothing_stored()


def test_a_request_holds_1_mib(key: NewKey) -> None:
    sent = compact_json([event()])
    longest = sent[:-1] + b" " * (MIB - len(sent)) + b"]"
    assert len(longest) == MIB

    assert_taken(post(EVENTS, longest, key))
    assert_refused(post(EVENTS, longest + b" ", key), 400, BAD_REQUEST)
    assert len(stored()) == 1


@pytest.mark.parametrize("path", [ALIAS, IDENTIFY, DEVICES, EVENTS, "/devices", "/events"])
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic cGtfeDo=", "pk_imapik-x", "Bearer x", "Bearer pk_unknown", "Bearer sk_unknown"],
)
@pytest.mark.parametrize("sent", [b"{", b"[]"])
def test_without_a_valid_key_it_is_401_for_any_body(key: NewKey, path: str, header: str, sent: bytes) -> None:
    assert_refused(post(path, sent, Authorization=header), 401, UNAUTHORISED)
    assert_nothing_stored()


def test_a_revoked_key_and_a_body_too_large_without_a_key_are_401(key: NewKey) -> None:
    revoke_key(key=key.key)

    assert_refused(post(EVENTS, [event()], key), 401, UNAUTHORISED)
    assert_refused(post(EVENTS, b" " * (MIB + 1)), 401, UNAUTHORISED)
    assert_nothing_stored()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_publishable_and_secret_keys_are_taken(key: NewKey, secret_key: NewKey, scheme: str) -> None:
    for value in (key.value, secret_key.value):
        assert_taken(post(EVENTS, [event()], Authorization=f"{scheme} {value}"))
    assert [found.key_id for found in stored()] == [key.key.pk, secret_key.key.pk]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [ALIAS, IDENTIFY, DEVICES, EVENTS, "/devices", "/events"])
def test_another_method_is_405_and_says_which_are_served(key: NewKey, path: str, method: str) -> None:
    answer = Client().generic(method, path, b"[]", "application/json", headers=bearer(key.value))

    assert_refused(answer, 405, {"status": "error", "error": "Method not allowed."})
    assert answer.headers["Allow"] == "POST, OPTIONS"
    assert_nothing_stored()


# Events


def test_ids_and_names_hold_255_characters(key: NewKey) -> None:
    assert_taken(post(EVENTS, [event(external_id="ü" * 255, anonymous_id="a" * 255, name="n" * 255)], key))
    assert (only_event().user_id, only_event().name) == ("ü" * 255, "n" * 255)


def test_an_event_needs_no_name(key: NewKey) -> None:
    assert_taken(post(EVENTS, [{"external_id": "u"}, {"anonymous_id": "a", "name": None}], key))
    assert [(found.kind, found.name) for found in stored()] == [("track", ""), ("track", "")]


@pytest.mark.parametrize("field", ["data", "properties"])
def test_the_android_clients_item_is_taken(key: NewKey, field: str) -> None:
    nulls = dict.fromkeys(["anonymous_id", "data", "properties", "user", "created_at", "message_id"])
    assert_taken(post(EVENTS, [{**nulls, "external_id": "u", "name": "x", field: {"price": 5, "coupon": None}}], key))
    assert only_event().properties == {"price": 5, "coupon": None}


def test_an_items_user_is_an_identify(key: NewKey) -> None:
    user = {"email": "a@b.example", "phone": None, "timezone": "Europe/Oslo", "locale": "nb", "data": {"plan": "pro"}}
    assert_taken(post(EVENTS, [event(user=user, message_id=MESSAGE_ID)], key))
    assert_taken(post(EVENTS, [event(user=user, message_id=MESSAGE_ID)], key))
    digest()

    assert [found.kind for found in stored()] == ["identify", "track"]
    assert Person.objects.get().traits == {
        "email": "a@b.example",
        "timezone": "Europe/Oslo",
        "locale": "nb",
        "plan": "pro",
    }


def test_items_keep_their_order_also_within_one_moment(key: NewKey) -> None:
    items = [event(name=f"e-{number}", user={"data": {"level": number}}) for number in range(40)]
    assert_taken(post(EVENTS, items, key))
    digest()

    assert [found.name for found in stored() if found.kind == "track"] == [f"e-{number}" for number in range(40)]
    assert Person.objects.get().traits == {"level": 39}


def test_a_retry_is_detected_by_its_message_id(key: NewKey) -> None:
    for _ in range(2):
        assert_taken(post(EVENTS, [event(message_id=MESSAGE_ID), event(message_id=str(uuid.uuid4()))], key))

    assert [found.message_id for found in stored()].count(MESSAGE_ID) == 1
    assert len(stored()) == 3


def test_a_retry_is_detected_by_a_long_message_id_and_a_blank_one_is_ignored(key: NewKey) -> None:
    for message_id in ("x" * 300, "x" * 300, "x" * 299 + "y", " ", " ", "", None):
        assert_taken(post(EVENTS, [event(message_id=message_id)], key))

    assert len(stored()) == 6


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-04-01T10:00:00Z", "2026-04-01T10:00:00+00:00"),
        ("2026-04-01T10:00:00.250+02:00", "2026-04-01T08:00:00.250000+00:00"),
        ("2019-01-01", "2019-01-01T00:00:00+00:00"),
        ("yesterday", NOW.isoformat()),
        (None, NOW.isoformat()),
    ],
)
def test_created_at_is_the_true_time(key: NewKey, written: str | None, at: str) -> None:
    with time_machine.travel(NOW, tick=False):
        assert_taken(post(EVENTS, [event(created_at=written, user={"locale": "nb"})], key))

    assert [found.event_at.isoformat() for found in stored()] == [at, at]


# People


def test_an_explicit_null_clears_a_trait(key: NewKey) -> None:
    assert_taken(post(IDENTIFY, {"external_id": "u", "email": "a@b.example", "locale": "nb", "data": {"a": 1}}, key))
    assert_taken(post(IDENTIFY, {"external_id": "u", "email": None, "phone": None, "data": {"a": None, "b": 2}}, key))
    digest()

    assert Person.objects.get().traits == {"locale": "nb", "b": 2}


def test_null_data_and_null_ids_are_absent(key: NewKey) -> None:
    assert_taken(post(IDENTIFY, {"anonymous_id": "a", "external_id": None, "data": None, "timezone": None}, key))
    digest()

    assert names() == [("anonymous", "a")]


def test_an_alias_before_the_anonymous_person_is_remembered(key: NewKey) -> None:
    assert_taken(post(ALIAS, {"anonymous_id": "a", "external_id": "u"}, key))
    digest()
    assert_taken(post(EVENTS, [event(external_id=None, anonymous_id="a")], key))
    digest()

    assert Person.objects.count() == 1


def test_an_alias_to_an_existing_person_merges_both_and_again_for_further_anonymous_ids(key: NewKey) -> None:
    post(IDENTIFY, {"external_id": "u", "data": {"plan": "pro"}}, key)
    for anonymous_id in ("a-1", "a-2"):
        post(IDENTIFY, {"anonymous_id": anonymous_id, "data": {anonymous_id: True}}, key)
    digest()
    assert Person.objects.count() == 3
    for anonymous_id in ("a-1", "a-2"):
        assert_taken(post(ALIAS, {"anonymous_id": anonymous_id, "external_id": "u"}, key))
        digest()

    assert Person.objects.get().traits == {"plan": "pro", "a-1": True, "a-2": True}


def test_a_repeated_alias_changes_nothing(key: NewKey) -> None:
    post(IDENTIFY, {"anonymous_id": "a", "data": {"plan": "pro"}}, key)
    post(ALIAS, {"anonymous_id": "a", "external_id": "u"}, key)
    digest()
    before = (Person.objects.values_list("pk", "traits").get(), names())
    assert_taken(post(ALIAS, {"anonymous_id": "a", "external_id": "u"}, key))
    digest()

    assert (Person.objects.values_list("pk", "traits").get(), names()) == before


# Devices


def test_a_device_is_registered_with_its_token_and_what_else_it_says(key: NewKey) -> None:
    assert_taken(post(DEVICES, device("d-1", token="t-1", carrier="Telenor"), key))
    digest()

    found = Device.objects.get()
    assert (found.device_id, found.token, found.person) == ("d-1", "t-1", Person.objects.get())
    assert found.details == {
        "os": "iOS 16.3",
        "model": "iPhone15,2",
        "app_build": "465",
        "app_version": "1.2.4",
        "carrier": "Telenor",
    }


@pytest.mark.parametrize("token", [{}, {"token": None}])
def test_a_registration_without_a_token_leaves_the_one_that_is_known(key: NewKey, token: dict[str, Any]) -> None:
    assert_taken(post(DEVICES, device("d-1", token="t-1"), key))
    assert_taken(post(DEVICES, device("d-1", app_version="1.2.5", **token), key))
    digest()

    assert (Device.objects.get().token, Device.objects.get().details["app_version"]) == ("t-1", "1.2.5")


def test_a_token_moves_to_the_device_that_registered_it_last(key: NewKey) -> None:
    for device_id in ("d-1", "d-2"):
        assert_taken(post(DEVICES, device(device_id, token="t-1"), key))
        digest()

    assert dict(Device.objects.values_list("device_id", "token")) == {"d-1": "", "d-2": "t-1"}


@pytest.mark.parametrize("separately", [True, False])
def test_a_token_stays_with_its_last_device_when_an_older_registration_arrives_late(
    key: NewKey, separately: bool
) -> None:
    for device_id, day in (("d-2", 2), ("d-1", 1)):
        post(DEVICES, device(device_id, token="t-1", created_at=f"2026-04-0{day}T12:00:00Z"), key)
        if separately:
            digest()
    digest()

    assert dict(Device.objects.values_list("device_id", "token")) == {"d-1": "", "d-2": "t-1"}


def test_a_device_moves_to_the_person_who_registered_it_last_and_joins_nobody(key: NewKey) -> None:
    for external_id in ("u-1", "u-2"):
        assert_taken(post(DEVICES, device("d-1", external_id=external_id, token="t-1"), key))
        digest()

    assert Person.objects.count() == 2
    assert Device.objects.get().person.identities.get().value == "u-2"


def test_two_games_can_have_the_same_token(key: NewKey, other_game: Game) -> None:
    other = create_key(game=other_game, name="app", dialect=Dialect.PARCELVOY)
    for whose in (key, other):
        assert_taken(post(DEVICES, device("d-1", token="t-1"), whose))
        digest()

    assert list(Device.objects.values_list("token", flat=True)) == ["t-1", "t-1"]


def test_it_answers_after_the_data_is_stored(key: NewKey) -> None:
    assert_taken(post(EVENTS, [event(), event()], key))
    assert Batch.objects.values_list("accepted", "rejected", "dialect").get() == (2, 0, "parcelvoy")


# What its SDKs really send


def test_the_javascript_sdk_sends_one_event_to_track(key: NewKey) -> None:
    sent = {"event": "Sign In", "anonymous_id": "anon-1", "external_id": "user-1", "data": {"plan": "pro"}}
    assert_taken(post("/api/client/track", sent, key))

    event = only_event()
    assert (event.name, event.user_id, event.anonymous_id, event.properties) == (
        "Sign In",
        "user-1",
        "anon-1",
        {"plan": "pro"},
    )


def test_track_takes_a_list_too_and_names_what_is_wrong(key: NewKey) -> None:
    assert_taken(post("/api/client/track", [event(), event(name=None, event="Other")], key))
    assert [found.name for found in stored()] == ["Sign In", "Other"]
    for sent, text in (
        ({"event": "e"}, "Must have required property 'external_id'"),
        ({"event": 1, "external_id": "u"}, "The value of `event` must be a string."),
        ("e", "The value of `` must be a object."),
    ):
        assert_refused(post("/api/client/track", sent, key), 422, {"status": "error", "error": text})
    assert {rejection.route for rejection in Rejection.objects.all()} == {"client-track"}


@pytest.mark.parametrize("name", ["alias", "identify", "devices", "events", "track"])
@pytest.mark.parametrize("prefix", ["/api/api/client", "//api/api/client"])
def test_the_mobile_sdks_repeat_api_in_the_path(key: NewKey, name: str, prefix: str) -> None:
    sent: Any = (
        {**device("d-1"), "anonymous_id": "a-1"} if name == "devices" else {"anonymous_id": "a", "external_id": "u"}
    )
    assert_taken(post(f"{prefix}/{name}", [sent] if name == "events" else sent, key))

    assert len(stored()) == 1


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "CEST", 5, {"a": 1}, ["UTC"]])
def test_a_bad_time_zone_of_an_events_user_is_left_out(key: NewKey, timezone: Any) -> None:
    user = {"email": "ada@studio.example", "timezone": timezone}
    assert_taken(post(EVENTS, [event(user=user), event(name="Other")], key))

    identify, first, other = stored()
    assert identify.traits == {"email": "ada@studio.example"}
    assert identify.raw["user"] == user
    assert [first.name, other.name] == ["Sign In", "Other"]


@pytest.mark.parametrize("timezone", ["Europe/Berlin", "", None])
def test_a_good_or_empty_time_zone_of_an_events_user_is_kept(key: NewKey, timezone: str | None) -> None:
    assert_taken(post(EVENTS, [event(user={"timezone": timezone})], key))

    assert stored()[0].traits == {"timezone": timezone}


@pytest.mark.parametrize("field", ["data", "properties"])
def test_data_as_json_in_a_string_is_read(key: NewKey, field: str) -> None:
    assert_taken(post(EVENTS, [event(**{field: '{"value": 9.99, "currency": "USD"}'})], key))
    assert only_event().properties == {"value": 9.99, "currency": "USD"}

    refused = post(EVENTS, [event(**{field: "text"})], key)
    assert_refused(refused, 422, {"status": "error", "error": f"The value of `0/{field}` must be a object."})
