"""The MetaRouter dialect: messages, answers, mixed batches, keys, pixels and webhooks."""

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
import time_machine
from django.http import HttpResponse

from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import ApiKey, Dialect, Event, Game, Person, Rejection, Touch
from audience.models.keys import sha256_hex
from tests.audience.wire import (
    assert_nothing_stored,
    assert_rejected,
    basic,
    body_of,
    compact_json,
    digest,
    get,
    load,
    only_event,
    post,
    reasons,
    stored,
)

pytestmark = pytest.mark.django_db
KB = 1024
SUCCESS = {"Success": True}
NO_ID = "request neither has anonymousId nor userId"
NO_KEY = {
    "Error": "Bad Request",
    "Message": "Invalid or missing writekey",
    "Details": "",
    "code": "400",
    "message": "Invalid or missing writekey",
}
TOO_LARGE = {
    "Error": "Bad Request",
    "Message": "Error reading request body",
    "Details": "HTTP request too large",
    "code": "413",
    "message": "Error reading request body",
}
BATCH_TOO_LARGE = {
    "Success": False,
    "Errors": [{name: TOO_LARGE[name] for name in ("Error", "Message", "Details")}],
    "code": "413",
    "message": "Error reading request body",
}
MISSING_EVENT = {"field": "event", "code": "MISSING_REQUIRED_FIELD", "message": "event is required for track"}


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="web", dialect=Dialect.METAROUTER)


@pytest.fixture
def segment_key(game: Game) -> NewKey:
    return create_key(game=game, name="node", dialect=Dialect.RUDDERSTACK)


def track(**changes: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "user-1", "event": "Sign In", **changes}


def batch(*members: Any, **beside: Any) -> dict[str, Any]:
    return {"batch": list(members), **beside}


def of_size(size: int, **fields: Any) -> dict[str, Any]:
    """A track message of that many bytes."""
    padded = track(**fields, properties={"pad": ""})
    padded["properties"]["pad"] = "x" * (size - len(compact_json(padded)))
    assert len(compact_json(padded)) == size
    return padded


def assert_answer(answer: HttpResponse, status: int, body: Any) -> None:
    assert (answer.status_code, body_of(answer)) == (status, body)
    assert answer.headers["Content-Type"] == "application/json"


def error_at(index: int, message_id: str | None, message: str, details: str) -> dict[str, Any]:
    """One entry of Errors."""
    words = {"Error": "Bad Request", "Message": message, "Details": details, "code": "400", "message": message}
    return {**words, "index": index, "messageId": message_id}


# Messages


@pytest.mark.parametrize("pair", load("metarouter", "samples"), ids=lambda pair: pair["case"])
def test_a_sample_of_the_document_is_stored_as_it_says(key: NewKey, pair: dict[str, Any]) -> None:
    # When the document's batch was sent, so that its sentAt shows a clock that is right.
    with time_machine.travel("2020-03-02T18:29:53.661Z", tick=False):
        assert_answer(post(pair["path"], pair["request"], key), 200, SUCCESS)

    members = pair["request"].get("batch", [pair["request"]])
    for event, expected, sent in zip(stored(), pair["stored"], members, strict=True):
        found = {name: getattr(event, name) for name in expected}
        found |= {"event_at": event.event_at.isoformat()} if "event_at" in expected else {}
        assert found == expected
        assert event.raw == sent
        assert (event.game_id, event.key_id, event.dialect) == (key.key.game_id, key.key.pk, "metarouter")


@pytest.mark.parametrize("case", load("metarouter", "refusals"), ids=lambda case: case["case"])
def test_it_refuses(key: NewKey, case: dict[str, Any]) -> None:
    sent = case["text"].encode() if "text" in case else case["body"]

    assert_answer(post(case["path"], sent, key), case["status"], case["answer"])
    if case["rejections"]:
        assert_rejected(*case["rejections"])
    else:
        assert_nothing_stored()


@pytest.mark.parametrize(
    "route", ["i", "identify", "p", "page", "g", "group", "a", "alias", "t", "track", "s", "screen"]
)
@pytest.mark.parametrize("shape", ["/v1/{}", "//v1/{}", "/v1/{}/"])
def test_every_route_takes_a_message(key: NewKey, route: str, shape: str) -> None:
    sent = {"userId": "u", "event": "e", "groupId": "g", "previousId": "p", "messageId": "m-1"}

    assert_answer(post(shape.format(route), sent, key), 200, SUCCESS)
    assert (only_event().kind[0], only_event().message_id) == (route[0], "m-1")


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"event": "A"}, "A"),
        ({"eventName": "B"}, "B"),
        ({"event": "A", "eventName": "B"}, "A"),
        ({"event": None, "eventName": "B"}, "B"),
    ],
)
def test_a_track_event_is_named_by_event_or_event_name(key: NewKey, names: dict[str, Any], kept: str) -> None:
    post("/v1/t", {"userId": "u", **names}, key)

    assert only_event().name == kept


def test_a_missing_message_id_gets_ours(key: NewKey) -> None:
    assert_answer(post("/v1/t", track(), key), 200, SUCCESS)
    assert len(only_event().message_id) == 36


def test_fields_of_a_batch_apply_to_messages_without_them(key: NewKey) -> None:
    own = {"timestamp": "2026-04-08T10:00:00Z", "context": {"locale": "de"}, "integrations": {"All": True}}
    outer = {"timestamp": "2026-04-08T11:00:00Z", "context": {"locale": "en", "timezone": "Europe/Berlin"}}
    post("/v1/batch", batch(track(), track(**own), **outer, integrations={"All": False}), key)

    assert [event.event_at.hour for event in stored()] == [11, 10]
    assert [event.context["locale"] for event in stored()] == ["en", "de"]
    assert [event.integrations for event in stored()] == [{"All": False}, {"All": True}]


def test_the_fields_of_context_are_kept(key: NewKey) -> None:
    context = {
        "active": True,
        "app": {"name": "Sky", "build": "7"},
        "campaign": {"source": "reddit", "name": "spring"},
        "device": {"id": "d-1", "model": "Pixel"},
        "ip": "203.0.113.9",
        "library": {"name": "mr.js", "version": "2"},
        "locale": "en-US",
        "location": {"city": "Oslo"},
        "network": {"wifi": True},
        "os": {"name": "Android"},
        "page": {"url": "https://mygame.com/?a=1", "path": "/", "title": "Sky", "referrer": "https://x.example"},
        "referrer": {"name": "x"},
        "screen": {"width": 1920, "height": 1080},
        "timezone": "Europe/Oslo",
        "groupId": "g-1",
        "userAgent": "Mozilla/5.0",
    }
    context["traits"] = {"email": "a@b.example"}
    post("/v1/t", track(context=context), key)

    event = only_event()
    assert event.group_id == "g-1"
    assert event.context == {
        **{name: value for name, value in context.items() if name not in {"page", "library", "userAgent"}},
        "screen": "1920x1080",
        "library": "mr.js",
        "library_version": "2",
        "user_agent": "Mozilla/5.0",
        "page_url": "https://mygame.com/?a=1",
        "page_path": "/",
        "page_title": "Sky",
        "page_referrer": "https://x.example",
    }
    assert event.raw["context"]["screen"] == {"width": 1920, "height": 1080}
    assert event.device_id == "d-1"


@pytest.mark.parametrize(
    ("context", "network"),
    [
        ({"page": {"url": "https://mygame.com/?ttclid=E.C.P"}}, "tiktok"),
        ({"campaign": {"source": "reddit", "medium": "cpc"}}, "reddit"),
    ],
)
def test_the_page_and_the_campaign_feed_attribution(key: NewKey, context: dict[str, Any], network: str) -> None:
    post("/v1/p", {"anonymousId": "a-1", "context": context}, key)
    digest()

    assert Touch.objects.get().network == network


def seen(day: int, **context: Any) -> dict[str, Any]:
    return {"userId": "u", "timestamp": f"2026-04-0{day}T12:00:00Z", "context": context}


def last_seen_day() -> int:
    return Person.objects.get().last_seen_at.day


def test_an_inactive_context_is_no_activity(key: NewKey) -> None:
    for sent, day in ((seen(2), 2), (seen(3, active=False), 2), (seen(4, active=True), 4), (seen(5, active=False), 4)):
        post("/v1/i", sent, key)
        digest()

        assert last_seen_day() == day


def test_an_inactive_context_is_no_activity_of_a_new_person_either(key: NewKey) -> None:
    for sent in (seen(2), seen(3, active=False)):
        post("/v1/i", sent, key)
    digest()

    assert last_seen_day() == 2


# Mixed batches


@pytest.mark.parametrize("route", ["batch", "import", "b"])
def test_a_mixed_batch_is_207_with_the_index_of_each_refused_message(key: NewKey, route: str) -> None:
    sent = batch(track(messageId="m-0"), {"type": "track", "userId": "u", "messageId": "m-1"}, {"type": "page"})
    answer = post(f"/v1/{route}", sent, key)

    errors = [error_at(1, "m-1", "event is required for track", "event"), error_at(2, None, NO_ID, "userId")]
    body = {"Success": False, "Errors": errors, "code": "207", "message": "event is required for track"}
    assert_answer(answer, 207, body)
    assert only_event().message_id == "m-0"
    assert [reason[0]["message"] for reason in reasons()] == ["event is required for track", NO_ID]


def test_a_mixed_batch_with_a_rudderstack_key_is_200_in_its_format(segment_key: NewKey) -> None:
    answer = post("/v1/batch", batch(track(), {"type": "page"}), segment_key)

    assert (answer.status_code, body_of(answer)) == (200, "OK")
    assert (len(stored()), len(reasons())) == (1, 1)


@pytest.mark.parametrize("route", ["import", "b"])
def test_a_mixed_batch_with_a_rudderstack_key_is_answered_in_its_words_on_these_routes(
    segment_key: NewKey, route: str
) -> None:
    answer = post(f"/v1/{route}", batch(track(), {"type": "page"}), segment_key)

    assert (answer.status_code, body_of(answer)) == (200, "OK")
    assert (len(stored()), len(reasons())) == (1, 1)
    assert body_of(post(f"/v1/{route}", batch({"type": "page"}), segment_key)) == NO_ID


@pytest.mark.parametrize("route", ["import", "b"])
def test_a_member_of_20_kb_is_taken_with_a_rudderstack_key_on_these_routes(segment_key: NewKey, route: str) -> None:
    answer = post(f"/v1/{route}", batch(of_size(20 * KB), of_size(32 * KB), of_size(32 * KB + 1)), segment_key)

    assert (answer.status_code, body_of(answer)) == (200, "OK")
    assert (len(stored()), [reason[0]["code"] for reason in reasons()]) == (2, ["TOO_LARGE"])


def test_a_mixed_import_with_a_key_of_neither_dialect_is_200(game: Game) -> None:
    other = create_key(game=game, name="web")
    assert_answer(post("/v1/import", batch(track(), {"type": "page"}), **basic(other.value)), 200, SUCCESS)
    assert (len(stored()), len(reasons())) == (1, 1)


def test_the_keys_dialect_decides_on_shared_routes(key: NewKey, segment_key: NewKey) -> None:
    assert_answer(post("/v1/track", track(), key), 200, SUCCESS)
    answer = post("/v1/track", of_size(20 * KB), segment_key)

    assert (answer.status_code, body_of(answer)) == (200, "OK")
    assert [event.dialect for event in stored()] == ["metarouter", "rudderstack"]


@pytest.mark.parametrize("route", ["i", "t", "p", "s", "g", "a"])
def test_the_short_routes_answer_a_rudderstack_key_in_its_words_and_limit(segment_key: NewKey, route: str) -> None:
    ids = {"userId": "user-1", "groupId": "g-1", "previousId": "p-1"}
    answer = post(f"/v1/{route}", of_size(20 * KB, **ids), segment_key)
    assert (answer.status_code, body_of(answer)) == (200, "OK")
    answer = post(f"/v1/{route}", of_size(32 * KB + 1, **ids), segment_key)
    assert (answer.status_code, body_of(answer)) == (400, "request size exceeds max limit")

    assert [event.dialect for event in stored()] == ["rudderstack"]


def test_a_short_route_without_a_key_is_answered_in_this_format(segment_key: NewKey) -> None:
    assert_answer(post("/v1/t", track()), 400, NO_KEY)
    assert_answer(post("/v1/t", track(), **basic("unknown")), 400, NO_KEY)


@pytest.mark.parametrize("kind", ["page", "screen"])
@pytest.mark.parametrize("names", [{"event": "Shop"}, {"name": "Shop", "event": "B"}, {"name": None, "event": "Shop"}])
def test_a_page_or_screen_has_its_name_in_event(key: NewKey, kind: str, names: dict[str, Any]) -> None:
    assert_answer(post("/v1/batch", batch({"type": kind, "userId": "u", **names}), key), 200, SUCCESS)

    assert (only_event().kind, only_event().name) == (kind, "Shop")


def test_an_alias_without_a_previous_id_names_the_user_of_the_anonymous_id(key: NewKey) -> None:
    post("/v1/batch", batch(track(userId=None, anonymousId="anon-1")), key)
    alias = {"type": "alias", "userId": "user-1", "anonymousId": "anon-1"}
    assert_answer(post("/v1/batch", batch(alias), key), 200, SUCCESS)
    digest()

    person = Person.objects.get()
    assert set(person.identities.values_list("namespace", "value")) >= {("user", "user-1"), ("anonymous", "anon-1")}


def test_the_previous_id_of_an_alias_may_be_in_its_properties(key: NewKey) -> None:
    post("/v1/batch", batch(track(userId="user-0"), track(userId="user-1")), key)
    alias = {"type": "alias", "userId": "user-1", "anonymousId": "anon-1", "properties": {"previousId": "user-0"}}
    assert_answer(post("/v1/batch", batch(alias), key), 200, SUCCESS)
    digest()

    assert Event.objects.get(kind="alias").links == [["anonymous", "user-0"], ["user", "user-0"], ["user", "user-1"]]
    assert Person.objects.count() == 1


@pytest.mark.parametrize(
    "alias", [{"userId": "u"}, {"anonymousId": "a"}, {"userId": "u", "properties": {"previousId": None}}]
)
def test_an_alias_that_links_nothing_is_refused(key: NewKey, alias: dict[str, Any]) -> None:
    assert post("/v1/a", alias, key).status_code == 400
    assert_rejected(
        {"field": "previousId", "code": "MISSING_REQUIRED_FIELD", "message": "previousId is required for alias"}
    )


def test_a_rudderstack_key_needs_the_previous_id_of_an_alias(segment_key: NewKey) -> None:
    alias = {"userId": "u", "anonymousId": "a", "properties": {"previousId": "p"}}
    assert body_of(post("/v1/a", alias, segment_key)) == "previousId is required for alias"


@pytest.mark.parametrize("field", ["properties", "traits"])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('{"value": 9.99, "currency": "USD"}', {"value": 9.99, "currency": "USD"}),
        (' {"a": {"b": [1]}} ', {"a": {"b": [1]}}),
        ("{}", {}),
        ("[1]", {}),
        ("{broken", {}),
        ("text", {}),
    ],
)
def test_properties_and_traits_as_json_in_a_string_are_read(
    key: NewKey, field: str, sent: str, expected: dict[str, Any]
) -> None:
    kind = {"properties": "track", "traits": "identify"}[field]
    assert_answer(post(f"/v1/{kind}", track(**{field: sent}), key), 200, SUCCESS)

    event = only_event()
    assert (getattr(event, field), event.raw[field]) == (expected, sent)


def test_a_batch_of_1000_with_3_bad_ones_stores_997(key: NewKey) -> None:
    members = [track(messageId=f"m-{number:04}") for number in range(1000)]
    members[10].pop("event")
    members[500]["userId"] = None
    members[999]["type"] = "purchase"
    answer = post("/v1/batch", batch(*members), key)

    types = "type must be one of identify, track, page, screen, group, alias, merge"
    assert answer.status_code == 207
    assert body_of(answer)["Errors"] == [
        error_at(10, "m-0010", "event is required for track", "event"),
        error_at(500, "m-0500", NO_ID, "userId"),
        error_at(999, "m-0999", types, "type"),
    ]
    assert len(stored()) == 997
    assert list(Rejection.objects.order_by("id").values_list("message_id", "errors__0__message")) == [
        ("m-0010", "event is required for track"),
        ("m-0500", NO_ID),
        ("m-0999", types),
    ]


# Keys


@pytest.mark.parametrize("route", ["t", "i", "p", "g", "a"])
def test_a_call_without_a_key_or_with_a_bad_one_is_400(key: NewKey, secret_key: NewKey, route: str) -> None:
    revoke_key(key=key.key)
    for answer in (
        post(f"/v1/{route}", track()),
        post(f"/v1/{route}", b"{"),
        post(f"/v1/{route}", track(), **basic("unknown")),
        post(f"/v1/{route}", track(writeKey=key.value)),
        post(f"/v1/{route}", track(), **basic(secret_key.value)),
    ):
        assert_answer(answer, 400, NO_KEY)
    assert_nothing_stored()


def test_a_batch_import_without_a_key_is_400_in_the_form_of_a_batch(key: NewKey) -> None:
    words = {name: NO_KEY[name] for name in ("Error", "Message", "Details")}
    body = {"Success": False, "Errors": [words], "code": "400", "message": "Invalid or missing writekey"}

    assert_answer(post("/v1/import", batch(track())), 400, body)
    assert_answer(post("/v1/import", batch(track(writeKey="unknown"))), 400, body)
    assert_nothing_stored()


def test_each_message_is_stored_in_the_game_of_its_key_else_of_the_batchs_key(key: NewKey, other_game: Game) -> None:
    other = create_key(game=other_game, name="web", dialect=Dialect.METAROUTER)
    sent = batch(
        track(messageId="m-0"),
        track(messageId="m-1", writeKey=other.value),
        track(messageId="m-2", writeKey="unknown"),
        writeKey=key.value,
    )
    answer = post("/v1/import", sent)

    assert (answer.status_code, body_of(answer)["Errors"]) == (
        207,
        [error_at(2, "m-2", "invalid write key", "writeKey")],
    )
    assert [(event.message_id, event.game_id, event.key_id) for event in stored()] == [
        ("m-0", key.key.game_id, key.key.pk),
        ("m-1", other_game.pk, other.key.pk),
    ]
    assert reasons() == [[{"field": "writeKey", "code": "UNKNOWN_KEY", "message": "invalid write key"}]]


def test_a_first_member_with_an_unknown_key_does_not_lose_the_others(key: NewKey) -> None:
    answer = post("/v1/import", batch(track(writeKey="unknown"), track(writeKey=key.value)))

    assert answer.status_code == 207
    assert only_event().key_id == key.key.pk


@pytest.mark.long
@pytest.mark.parametrize("path", ["/v1/t", "/v1/track", "/v1/batch", "/v1/import", "/v1/webhook", "/v1/w"])
def test_nothing_it_answers_makes_a_mobile_sdk_wipe_its_queue(key: NewKey, path: str) -> None:
    bodies: list[Any] = [b"", b"{", b"\xff", [], {}, {"batch": []}, {"batch": [{}]}, track(), of_size(16 * KB)]
    keys = [{}, basic(key.value), basic("unknown"), {"Authorization": "Bearer x"}]
    statuses = {post(path, body, **headers).status_code for body in bodies for headers in keys}

    assert statuses <= {200, 207, 400, 413}


# Limits


@pytest.mark.parametrize("route", ["t", "track", "webhook"])
def test_a_call_holds_15_kb(key: NewKey, route: str) -> None:
    assert_answer(post(f"/v1/{route}", of_size(15 * KB), key), 200, SUCCESS)
    assert_answer(post(f"/v1/{route}", of_size(15 * KB + 1), key), 413, TOO_LARGE)
    assert len(stored()) == 1


@pytest.mark.parametrize("route", ["batch", "import", "webhook"])
def test_a_batch_holds_500_kb(key: NewKey, route: str) -> None:
    sent = compact_json(batch(track()))
    longest = sent[:-1] + b" " * (500 * KB - len(sent)) + b"}"
    assert len(longest) == 500 * KB

    assert_answer(post(f"/v1/{route}", longest, key), 200, SUCCESS)
    assert_answer(post(f"/v1/{route}", longest + b" ", key), 413, BATCH_TOO_LARGE)
    assert len(stored()) == 1


def test_a_body_too_large_to_read_is_413_in_the_keys_words_too(key: NewKey) -> None:
    assert_answer(post("/v1/batch", b" " * (5 * KB * KB), key), 413, BATCH_TOO_LARGE)
    assert_answer(post("/v1/track", b" " * (5 * KB * KB), key), 413, TOO_LARGE)
    assert_nothing_stored()


def test_a_member_holds_15_kb(key: NewKey) -> None:
    answer = post("/v1/batch", batch(of_size(15 * KB, messageId="m-0"), of_size(15 * KB + 1, messageId="m-1")), key)

    assert answer.status_code == 207
    assert body_of(answer)["Errors"] == [{**TOO_LARGE, "index": 1, "messageId": "m-1"}]
    assert only_event().message_id == "m-0"
    assert reasons() == [[{"field": "", "code": "TOO_LARGE", "message": "request size exceeds max limit"}]]


def test_a_batch_of_oversized_members_is_413(key: NewKey) -> None:
    answer = post("/v1/batch", batch(of_size(15 * KB + 1)), key)

    assert (answer.status_code, body_of(answer)["Success"]) == (413, False)
    assert not Event.objects.exists()


def test_bad_gzip_is_400_in_the_keys_words(key: NewKey) -> None:
    words = {"Error": "Bad Request", "Message": "Error reading request body", "Details": "the body is not valid gzip"}
    answer = post("/v1/track", b"no gzip", key, **{"Content-Encoding": "gzip"})

    assert_answer(answer, 400, {**words, "code": "400", "message": "Error reading request body"})
    assert_nothing_stored()


# Pixels


def assert_gif(answer: HttpResponse) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content[:10] == b"GIF89a\x01\x00\x01\x00"


def test_the_pixel_of_the_document_works_as_printed(game: Game) -> None:
    pair = load("metarouter", "pixel")
    value = pair["key"]
    row = ApiKey.objects.create(
        game=game, name="printed", dialect=Dialect.METAROUTER, digest=sha256_hex(value), prefix=value, value=value
    )

    assert_gif(get(pair["url"]))
    event = only_event()
    assert {name: getattr(event, name) for name in pair["stored"]} == pair["stored"]
    assert (event.key_id, event.raw) == (row.pk, pair["data"])


@pytest.mark.parametrize("kind", ["track", "page", "alias", "identify", "group"])
@pytest.mark.parametrize("head", ["/v1/pixel/{}", "//v1/pixel/{}", "/v1/pixel/{}/"])
def test_each_kind_has_a_pixel(key: NewKey, kind: str, head: str) -> None:
    sent = {"userId": "u", "event": "e", "groupId": "g", "previousId": "p", "writeKey": key.value}
    data = urlsafe_b64encode(compact_json(sent)).decode()

    assert_gif(get(f"{head.format(kind)}?data={data}"))
    assert only_event().kind == kind


@pytest.mark.parametrize(
    "spell",
    [
        lambda data: b64encode(data).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        lambda data: b64encode(data).decode(),
        lambda data: b64encode(data).decode().rstrip("="),
        lambda data: urlsafe_b64encode(data).decode(),
        lambda data: urlsafe_b64encode(data).decode().rstrip("="),
    ],
    ids=["escaped", "plain", "plain without padding", "url-safe", "url-safe without padding"],
)
@pytest.mark.parametrize("tail", ["", "?", "??", "~~~"])
def test_a_pixel_takes_both_alphabets_of_base64_with_and_without_padding(key: NewKey, spell: Any, tail: str) -> None:
    sent = {"userId": f"ü>>>???{tail}", "event": "ÿþ~", "writeKey": key.value}
    data = json.dumps(sent, ensure_ascii=False).encode()
    assert set("+/") & set(b64encode(data).decode()), "the sample must tell the alphabets apart"

    assert_gif(get(f"/v1/pixel/track?data={spell(data)}"))
    assert only_event().raw == sent


@pytest.mark.parametrize("place", ["basic", "query"])
def test_a_pixels_key_may_stand_outside_its_data(key: NewKey, place: str) -> None:
    data = urlsafe_b64encode(compact_json(track())).decode()
    query = f"data={data}" + (f"&writeKey={key.value}" if place == "query" else "")

    assert_gif(get(f"/v1/pixel/track?{query}", **(basic(key.value) if place == "basic" else {})))
    assert only_event().key_id == key.key.pk


def test_a_pixel_without_a_usable_message_is_400(key: NewKey) -> None:
    unreadable = {"Error": "Bad Request", "Message": "Error reading request body", "Details": "invalid JSON"}
    unreadable |= {"code": "400", "message": "Error reading request body"}
    for data in ("", "%25%25%25", "ü", urlsafe_b64encode(b"{").decode()):
        assert_answer(get(f"/v1/pixel/track?data={data}&writeKey={key.value}"), 400, unreadable)
    assert_answer(get(f"/v1/pixel/track?data={urlsafe_b64encode(compact_json(track())).decode()}"), 400, NO_KEY)
    assert_nothing_stored()


def test_a_pixels_bad_message_is_400_and_kept(key: NewKey) -> None:
    data = urlsafe_b64encode(compact_json({"userId": "u"})).decode()
    answer = get(f"/v1/pixel/track?data={data}", **basic(key.value))

    assert (answer.status_code, body_of(answer)["Message"]) == (400, "event is required for track")
    assert_rejected(MISSING_EVENT)


def test_a_pixels_event_is_stored_once(key: NewKey) -> None:
    data = urlsafe_b64encode(compact_json(track(messageId="m-1", writeKey=key.value))).decode()
    for _ in range(2):
        assert_gif(get(f"/v1/pixel/track?data={data}"))

    assert only_event().message_id == "m-1"


# Webhooks


@pytest.mark.parametrize("path", ["/v1/webhook", "/v1/w", "//v1/w/"])
@pytest.mark.parametrize(
    "sent",
    [
        {"order": {"id": 7}, "paid": True},
        {"type": "charge.succeeded", "data": {"amount": 5}},
        {"batch": "2026-04"},
        {"type": "batch", "id": "evt_1"},
        {"type": {"a": 1}},
        {},
    ],
)
def test_a_webhook_takes_any_object(key: NewKey, path: str, sent: dict[str, Any]) -> None:
    assert_answer(post(f"{path}?writeKey={key.value}", sent), 200, SUCCESS)

    event = only_event()
    assert (event.kind, event.name, event.properties, event.raw) == ("track", "webhook", sent, sent)
    assert (event.user_id, event.anonymous_id) == ("", "")
    digest()


def test_a_webhook_takes_one_event(key: NewKey) -> None:
    assert_answer(post(f"/v1/w?writeKey={key.value}", {"type": "identify", "userId": "u"}), 200, SUCCESS)
    assert (only_event().kind, only_event().user_id) == ("identify", "u")


def test_a_webhook_takes_a_batch(key: NewKey) -> None:
    assert_answer(post(f"/v1/w?writeKey={key.value}", batch(track(), track())), 200, SUCCESS)
    assert post(f"/v1/w?writeKey={key.value}", batch(track(), {})).status_code == 207
    assert len(stored()) == 3


def test_a_webhooks_query_overrides_the_keys_in_its_body(key: NewKey, other_game: Game) -> None:
    other = create_key(game=other_game, name="web", dialect=Dialect.METAROUTER)
    for body in (track(writeKey=other.value), batch(track(writeKey="unknown"), track(writeKey=other.value))):
        assert_answer(post(f"/v1/webhook?writeKey={key.value}", body), 200, SUCCESS)

    assert [event.game_id for event in stored()] == [key.key.game_id] * 3


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null", b"", b"{"])
def test_a_webhook_without_an_object_is_400(key: NewKey, body: bytes) -> None:
    answer = post(f"/v1/webhook?writeKey={key.value}", body)

    assert (answer.status_code, body_of(answer)["Error"], body_of(answer)["code"]) == (400, "Bad Request", "400")
    assert_nothing_stored()


def test_a_webhooks_unknown_key_is_400(key: NewKey) -> None:
    for answer in (post("/v1/w?writeKey=unknown", track(writeKey=key.value)), post("/v1/w", {"a": 1})):
        assert_answer(answer, 400, NO_KEY)
    assert_nothing_stored()


def test_a_webhook_with_the_key_in_its_body_works(key: NewKey) -> None:
    assert_answer(post("/v1/w", {"a": 1, "writeKey": key.value}), 200, SUCCESS)
    assert only_event().key_id == key.key.pk
