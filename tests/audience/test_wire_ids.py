"""Ids in messages of each dialect: what is stored, refused, or set aside as a placeholder."""

import json
from typing import Any

import pytest
from django.test import Client

from audience.games.keys import NewKey, create_key
from audience.models import Dialect, Event, Game, Identity, Rejection
from tests.audience.immutable import ABSENT, alias, message
from tests.audience.immutable import send as post_immutable
from tests.audience.wire import digest, only_event, post, stored

pytestmark = pytest.mark.django_db

NEITHER = "request neither has anonymousId nor userId"


@pytest.fixture
def rudderstack(game: Game) -> NewKey:
    return create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)


@pytest.fixture
def parcelvoy(game: Game) -> NewKey:
    return create_key(game=game, name="app", dialect=Dialect.PARCELVOY)


def ids(event: Event) -> tuple[str, str, str, Any]:
    return event.user_id, event.anonymous_id, event.device_id, event.context.get("_placeholder_ids")


@pytest.mark.parametrize(
    "sent", ["110169484474386276334", "18446744073709551616", "-9223372036854775809", "1100000000000000000000.0"]
)
@pytest.mark.parametrize("route", ["track", "batch"])
def test_a_number_of_more_than_64_bits_keeps_its_digits(rudderstack: NewKey, route: str, sent: str) -> None:
    body = f'{{"type":"track","event":"x","userId":{sent},"properties":{{"level":7,"big":{sent},"ratio":0.5}}}}'
    answer = post(f"/v1/{route}", (f'{{"batch":[{body}]}}' if route == "batch" else body).encode(), rudderstack)

    assert (answer.status_code, only_event().user_id) == (200, sent.removesuffix(".0"))
    assert only_event().properties == {"level": 7, "big": sent.removesuffix(".0"), "ratio": 0.5}
    assert only_event().raw["userId"] == sent.removesuffix(".0")


def test_a_number_and_its_text_are_one_id(rudderstack: NewKey) -> None:
    for sent in (b"7001", b"7001.0", b'"7001"'):
        post("/v1/track", b'{"event":"x","userId":' + sent + b"}", rudderstack)

    assert [event.user_id for event in stored()] == ["7001"] * 3


@pytest.mark.parametrize("sent", ["\ufeff", "\u200b \u00ad", "\u0007", " "])
def test_an_id_of_invisible_characters_alone_is_absent(rudderstack: NewKey, parcelvoy: NewKey, sent: str) -> None:
    refused = post("/v1/track", {"event": "x", "userId": sent, "anonymousId": ""}, rudderstack)
    invalid = post("/api/client/events", [{"name": "x", "external_id": sent}], parcelvoy)

    assert (refused.status_code, refused.content.decode()) == (400, NEITHER)
    assert (invalid.status_code, json.loads(invalid.content)["error"]) == (
        422,
        "Must have required property 'external_id'",
    )


def test_an_immutable_id_of_invisible_characters_alone_is_absent(key: NewKey) -> None:
    answer = post_immutable(key, message(userId="\u200b", anonymousId=ABSENT))

    assert [error["code"] for error in answer.json()["rejections"][0]["errors"]] == ["MISSING_REQUIRED_FIELD"]


def test_invisible_characters_are_no_part_of_an_id(key: NewKey, rudderstack: NewKey, parcelvoy: NewKey) -> None:
    sent = " user\u200b-1\ufeff "
    post_immutable(key, message(userId=sent, anonymousId=sent, deviceId=sent))
    context = {"device": {"id": sent}}
    post("/v1/track", {"event": "x", "userId": sent, "anonymousId": sent, "context": context}, rudderstack)
    device = {"os": "x", "model": "x", "app_build": "1", "app_version": "1", "device_id": sent}
    post("/api/client/devices", {"external_id": sent, "anonymous_id": sent, **device}, parcelvoy)

    assert [ids(event) for event in stored()] == [("user-1", "user-1", "user-1", None)] * 3


@pytest.mark.parametrize("sent", ["a\\u0000b", "a\\ud83d", "a\ufffd"])
def test_an_id_with_a_character_that_cannot_be_stored_is_refused(
    key: NewKey, rudderstack: NewKey, parcelvoy: NewKey, sent: str
) -> None:
    def body(of: Any) -> bytes:
        return json.dumps(of).replace("HERE", sent).encode()

    answer = Client().generic(
        "POST",
        "/v1/audience/messages",
        body({"messages": [message(userId="HERE")]}),
        "application/json",
        headers={"x-immutable-publishable-key": key.value},
    )
    refused = post("/v1/track", body({"event": "x", "userId": "HERE", "anonymousId": "a"}), rudderstack)
    invalid = post("/api/client/events", body([{"name": "x", "external_id": "HERE"}]), parcelvoy)

    assert [error["code"] for error in answer.json()["rejections"][0]["errors"]] == ["INVALID_VALUE"]
    assert (refused.status_code, refused.content) == (400, b"userId has characters that cannot be stored")
    assert (invalid.status_code, Rejection.objects.count(), Event.objects.count()) == (422, 3, 0)


@pytest.mark.parametrize("sent", [False, True, {}, {"id": "u-1"}, [], "undefined", "{{userId}}", 0])
def test_a_placeholder_is_set_aside_and_never_refused(rudderstack: NewKey, sent: Any) -> None:
    answers = [
        post("/v1/track", {"event": "x", "userId": sent}, rudderstack),
        post("/v1/track", {"event": "x", "userId": sent, "anonymousId": "a-1"}, rudderstack),
        post("/v1/alias", {"userId": "u-1", "previousId": sent}, rudderstack),
    ]
    digest()

    text = sent if isinstance(sent, str) else json.dumps(sent)
    text = {'{"id": "u-1"}': "{}"}.get(text, text)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [ids(event) for event in stored()] == [
        ("", "", "", {"user_id": text}),
        ("", "a-1", "", {"user_id": text}),
        ("u-1", "", "", {"anonymous_id": text}),
    ]
    assert sorted(Identity.objects.values_list("namespace", "value")) == [("anonymous", "a-1"), ("user", "u-1")]


def test_a_placeholder_is_set_aside_in_the_other_dialects(key: NewKey, parcelvoy: NewKey) -> None:
    post_immutable(key, message(userId="null", anonymousId="guest", deviceId="0000-0000"), alias("none", "u-1"))
    post("/api/client/events", [{"name": "x", "external_id": "undefined"}], parcelvoy)

    assert [ids(event) for event in stored()] == [
        ("", "", "", {"user_id": "null", "anonymous_id": "guest", "device_id": "0000-0000"}),
        ("u-1", "", "", {"anonymous_id": "none"}),
        ("", "", "", {"user_id": "undefined"}),
    ]
    assert stored()[1].links == [["user", "u-1"]]


def test_a_merge_leaves_placeholders_out(rudderstack: NewKey) -> None:
    pairs = [{"type": "user_id", "value": "u-1"}, {"type": "email", "value": "null"}]
    post("/v1/merge", {"userId": "u-1", "mergeProperties": pairs}, rudderstack)

    assert (only_event().links, ids(only_event())[3]) == ([["user_id", "u-1"]], {"linked_id": "null"})


def test_the_sender_cannot_set_the_note(rudderstack: NewKey) -> None:
    post("/v1/track", {"event": "x", "userId": "u-1", "context": {"_placeholder_ids": {"user_id": "x"}}}, rudderstack)

    assert only_event().context == {}
