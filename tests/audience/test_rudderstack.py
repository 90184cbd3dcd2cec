"""The RudderStack and Segment dialect: messages, answers, batches, keys and limits."""

import gzip
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from audience.games.keys import NewKey, create_key, revoke_key
from audience.models import Batch, Dialect, Event, Game, Group, Identity, Person, Rejection
from tests.audience.wire import (
    assert_nothing_stored,
    assert_rejected,
    authorised,
    basic,
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
KB = 1024
NO_ID = "request neither has anonymousId nor userId"
ROUTES = ("identify", "track", "page", "screen", "group", "alias", "merge")
ASKED = {
    "event": "Sign In",
    "groupId": "guild",
    "previousId": "a-1",
    "mergeProperties": [{"type": "email", "value": "a@b.example"}],
}


@pytest.fixture
def key(game: Game) -> NewKey:
    return create_key(game=game, name="web", dialect=Dialect.RUDDERSTACK)


def track(**changes: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "user-1", "event": "Sign In", **changes}


def batch(*members: Any, **beside: Any) -> dict[str, Any]:
    return {"batch": list(members), **beside}


def assert_answer(answer: Any, status: int, text: str) -> None:
    assert (answer.status_code, answer.content.decode()) == (status, text)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def of_size(size: int, **fields: Any) -> dict[str, Any]:
    """A track message of that many bytes."""
    padded = track(**fields, properties={"pad": ""})
    padded["properties"]["pad"] = "x" * (size - len(compact_json(padded)))
    assert len(compact_json(padded)) == size
    return padded


# Messages


@pytest.mark.parametrize("pair", load("rudderstack", "samples"), ids=lambda pair: pair["path"])
def test_a_sample_of_the_document_is_stored_as_it_says(key: NewKey, pair: dict[str, Any]) -> None:
    assert_answer(post(pair["path"], pair["request"], key), 200, "OK")

    members = pair["request"].get("batch", [pair["request"]])
    assert len(stored()) == len(pair["stored"])
    for event, expected, sent in zip(stored(), pair["stored"], members, strict=True):
        found = {name: getattr(event, name) for name in expected}
        found |= {name: found[name].isoformat() for name in ("event_at", "day") if name in found}
        assert found == expected
        assert event.raw == sent
        assert (event.game_id, event.key_id, event.dialect) == (key.key.game_id, key.key.pk, "rudderstack")


@pytest.mark.parametrize("case", load("rudderstack", "refusals"), ids=lambda case: case["case"])
def test_it_refuses(key: NewKey, case: dict[str, Any]) -> None:
    sent = case["text"].encode() if "text" in case else case["body"]

    assert_answer(post(case["path"], sent, key), 400, case["answer"])
    if case["rejections"]:
        assert_rejected(*case["rejections"])
    else:
        assert_nothing_stored()


@pytest.mark.parametrize("route", ROUTES)
def test_the_route_decides_the_type(key: NewKey, route: str) -> None:
    assert_answer(post(f"/v1/{route}", {"userId": "user-1", "type": "nonsense", **ASKED}, key), 200, "OK")

    assert only_event().kind == ("alias" if route == "merge" else route)


def test_members_of_a_batch_keep_their_type_and_their_order(key: NewKey) -> None:
    kinds = ["page", "Track", "identify", "screen", "group", "alias"]
    answer = post("/v1/batch", batch(*({"userId": "u", "type": kind, **ASKED} for kind in kinds)), key)

    assert_answer(answer, 200, "OK")
    assert [event.kind for event in stored()] == [kind.lower() for kind in kinds]


@pytest.mark.parametrize("shape", ["//v1/{}", "/v1/{}/", "///v1/{}//"])
def test_doubled_and_trailing_slashes_are_answered_without_a_redirect(key: NewKey, shape: str) -> None:
    assert_answer(post(shape.format("track"), track(), key), 200, "OK")
    assert only_event().name == "Sign In"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (42, "42"),
        (4.5, "4.5"),
        (4.0, "4"),
        ("  padded ", "padded"),
        ("a\u0001b\n", "ab"),
        ("Ünïcödé", "Ünïcödé"),
        ("x" * 512, "x" * 512),
    ],
)
def test_an_id_is_kept_as_text(key: NewKey, sent: Any, kept: str) -> None:
    post("/v1/track", track(userId=sent, anonymousId=sent), key)

    assert (only_event().user_id, only_event().anonymous_id) == (kept, kept)


def test_an_explicit_null_is_an_absent_field(key: NewKey) -> None:
    nulls = dict.fromkeys(
        ["anonymousId", "messageId", "timestamp", "context", "integrations", "properties", "traits", "sentAt"]
    )
    assert_answer(post("/v1/track", track(**nulls), key), 200, "OK")

    event = only_event()
    assert (event.anonymous_id, event.context, event.integrations, event.properties, event.traits) == (
        "",
        {},
        {},
        {},
        {},
    )
    assert len(event.message_id) == 36


@pytest.mark.parametrize("message_id", ["x" * 75, "ajs-next-1-ü", "0190-not-a-uuid", 12345])
def test_a_retry_is_detected_by_any_message_id(key: NewKey, message_id: Any) -> None:
    for _ in range(2):
        assert_answer(post("/v1/track", track(messageId=message_id), key), 200, "OK")

    assert only_event().message_id == str(message_id)
    assert list(Batch.objects.order_by("id").values_list("accepted", "duplicates")) == [(1, 0), (0, 1)]


def test_a_retry_is_detected_by_a_too_long_message_id(key: NewKey) -> None:
    for end in ("1", "1", "2"):
        assert_answer(post("/v1/track", track(messageId="x" * 5000 + end), key), 200, "OK")

    assert len({event.message_id for event in stored()}) == len(stored()) == 2


def test_messages_without_a_message_id_are_never_copies(key: NewKey) -> None:
    post("/v1/batch", batch(track(), track(messageId=None), track(messageId=" ")), key)

    assert len({event.message_id for event in stored()}) == 3


# Times


@pytest.mark.parametrize(
    ("fields", "at", "day"),
    [
        ({"timestamp": "2026-04-08T11:00:00.5Z"}, "2026-04-08T11:00:00.500000+00:00", "2026-04-08"),
        ({"timestamp": "2026-04-08T01:00:00+02:00"}, "2026-04-07T23:00:00+00:00", "2026-04-07"),
        ({"timestamp": "2026-04-08T11:00:00"}, "2026-04-08T11:00:00+00:00", "2026-04-08"),
        ({"timestamp": "1999-12-31T23:59:59Z"}, NOW.isoformat(), "2000-01-01"),
        ({"timestamp": "2031-01-01T00:00:00Z"}, NOW.isoformat(), "2031-01-01"),
        # The clock is an hour fast, and the message waited ten minutes.
        (
            {"originalTimestamp": "2026-04-08T12:50:00Z", "sentAt": "2026-04-08T13:00:00Z"},
            "2026-04-08T11:50:00+00:00",
            "2026-04-08",
        ),
        # The clock is in 1970; the day stays the client's own in the years of Event.day, which a retry repeats.
        (
            {"originalTimestamp": "1970-01-01T00:00:00Z", "sentAt": "1970-01-01T01:00:00Z"},
            "2026-04-08T11:00:00+00:00",
            "2000-01-01",
        ),
        (
            {
                "timestamp": "2026-04-08T09:00:00Z",
                "originalTimestamp": "2026-04-08T10:00:00Z",
                "sentAt": "2026-04-08T11:00:00Z",
            },
            "2026-04-08T09:00:00+00:00",
            "2026-04-08",
        ),
        ({"originalTimestamp": "2026-04-07T10:00:00Z"}, NOW.isoformat(), "2026-04-07"),
        ({"sentAt": "2026-04-08T11:00:00Z"}, NOW.isoformat(), "2026-04-08"),
        ({"timestamp": "yesterday"}, NOW.isoformat(), "2026-04-08"),
        ({}, NOW.isoformat(), "2026-04-08"),
    ],
)
def test_the_time_of_a_message(key: NewKey, fields: dict[str, str], at: str, day: str) -> None:
    with time_machine.travel(NOW, tick=False):
        assert_answer(post("/v1/track", track(**fields), key), 200, "OK")

    event = only_event()
    assert (event.event_at.isoformat(), event.day.isoformat(), event.received_at) == (at, day, NOW)


def test_events_of_a_page_keep_their_order_whatever_the_latency_of_their_requests(key: NewKey) -> None:
    """RudderStack's browser SDK sends one request for each event, in parallel, without `timestamp`."""
    steps = {"page": 0, "launch": 5}  # milliseconds
    for name, latency in (("launch", 14), ("page", 33)):
        at = NOW + timedelta(milliseconds=steps[name])
        times = {"originalTimestamp": at.isoformat(), "sentAt": (at + timedelta(milliseconds=1)).isoformat()}
        with time_machine.travel(at + timedelta(milliseconds=latency), tick=False):
            post("/v1/track", track(event=name, **times), key)

    ordered = sorted(stored(), key=lambda event: event.event_at)
    assert [(event.name, event.event_at) for event in ordered] == [
        ("page", NOW),
        ("launch", NOW + timedelta(milliseconds=5)),
    ]


@pytest.mark.parametrize(
    ("behind", "corrected_by"), [(0, 0), (10_000, 0), (10_001, 10_001), (600_000, 600_000), (-1, -1), (-5_000, -5_000)]
)
def test_an_original_timestamp_is_corrected_by_more_than_a_latency(key: NewKey, behind: int, corrected_by: int) -> None:
    """The client's clock is so many milliseconds behind, or its request took so long."""
    sent_at = NOW - timedelta(milliseconds=behind)
    original = sent_at - timedelta(minutes=10)
    with time_machine.travel(NOW, tick=False):
        post("/v1/track", track(originalTimestamp=original.isoformat(), sentAt=sent_at.isoformat()), key)

    assert only_event().event_at == original + timedelta(milliseconds=corrected_by)


@pytest.mark.parametrize("where", ["header", "batch"])
def test_sent_at_can_be_a_field_of_the_batch(key: NewKey, where: str) -> None:
    late = track(originalTimestamp="2026-04-08T12:50:00Z")
    sent_at = "2026-04-08T13:00:00Z"
    with time_machine.travel(NOW, tick=False):
        if where == "header":
            post("/v1/track", late, key, SentAt=sent_at, AnonymousId="YW5vbi0x")
        else:
            post("/v1/batch", batch(late, sentAt=sent_at), key)

    assert only_event().event_at.isoformat() == "2026-04-08T11:50:00+00:00"


def test_a_retry_with_a_later_sent_at_is_a_duplicate(key: NewKey) -> None:
    message = track(messageId="m-1", originalTimestamp="2026-04-07T23:59:00Z")
    for sent_at in ("2026-04-07T23:59:30Z", "2026-04-08T11:59:00Z"):
        post("/v1/batch", batch(message, sentAt=sent_at), key)

    assert len(stored()) == 1


def test_a_timestamp_of_the_batch_does_not_apply_to_its_messages(key: NewKey) -> None:
    """analytics-node writes the time of sending there."""
    with time_machine.travel(NOW, tick=False):
        post("/v1/batch", batch(track(), timestamp="2020-01-01T00:00:00Z"), key)

    assert only_event().event_at == NOW


def test_the_anonymous_id_header_orders_and_does_not_name(key: NewKey) -> None:
    assert_answer(post("/v1/track", {"event": "e"}, key, AnonymousId="YW5vbi0x"), 400, NO_ID)
    assert not Event.objects.exists()


# Batches


def test_fields_of_the_batch_apply_to_its_messages(key: NewKey) -> None:
    outer = {"page": {"url": "https://mygame.com/"}, "locale": "en"}
    sent = batch(
        track(),
        track(context={"locale": "de"}, integrations={"TikTok Ads": True}),
        context=outer,
        integrations={"All": False},
    )
    assert_answer(post("/v1/batch", sent, key), 200, "OK")

    first, second = stored()
    assert first.context == {"page_url": "https://mygame.com/", "locale": "en"}
    assert second.context == {"page_url": "https://mygame.com/", "locale": "de"}
    assert (first.integrations, second.integrations) == ({"All": False}, {"All": False, "TikTok Ads": True})


def test_good_members_are_taken_and_bad_ones_kept_with_their_reason(key: NewKey) -> None:
    no_event = {"type": "track", "userId": "u", "messageId": "m-2"}
    sent = batch(track(messageId="m-1"), no_event, {"type": "page"}, track(messageId="m-3"))
    assert_answer(post("/v1/batch", sent, key), 200, "OK")

    assert [event.message_id for event in stored()] == ["m-1", "m-3"]
    assert reasons() == [
        [{"field": "event", "code": "MISSING_REQUIRED_FIELD", "message": "event is required for track"}],
        [{"field": "userId", "code": "MISSING_REQUIRED_FIELD", "message": NO_ID}],
    ]
    kept = Rejection.objects.order_by("id").first()
    assert kept is not None
    assert (kept.message_id, kept.raw, kept.dialect, kept.subjects) == ("m-2", no_event, "rudderstack", ["u", "m-2"])


def test_only_a_batch_of_bad_members_is_refused_with_the_first_reason(key: NewKey) -> None:
    answer = post("/v1/batch", batch({"type": "track", "userId": "u"}, {"type": "page"}), key)

    assert_answer(answer, 400, "event is required for track")
    assert not Event.objects.exists()
    assert len(reasons()) == 2


def test_one_message_twice_in_a_batch_is_stored_once(key: NewKey) -> None:
    assert_answer(post("/v1/batch", batch(track(messageId="m-1"), track(messageId="m-1")), key), 200, "OK")
    assert only_event().message_id == "m-1"


# Keys


@pytest.mark.parametrize("sent", [b'{"event":"e","userId":"u"}', b"{", b""])
def test_a_call_without_a_key_is_refused(key: NewKey, sent: bytes) -> None:
    assert_answer(post("/v1/track", sent), 400, "failed to read writekey from header")
    assert_nothing_stored()


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic Og==", "Bearer pk_imapik-x", "Basic /w==", "x"])
def test_a_header_that_holds_no_key_is_none(key: NewKey, header: str) -> None:
    assert_answer(post("/v1/track", track(), Authorization=header), 400, "failed to read writekey from header")
    assert_nothing_stored()


def test_unknown_revoked_and_secret_keys_are_refused(key: NewKey, secret_key: NewKey) -> None:
    revoke_key(key=key.key)
    for value in ("unknown", key.value, secret_key.value):
        for answer in (
            post("/v1/track", track(), **basic(value)),
            post("/v1/track", track(writeKey=value)),
            post(f"/v1/batch?writeKey={value}", batch(track())),
            post("/v1/batch", b"{", **basic(value)),
        ):
            assert_answer(answer, 400, "invalid write key")
    assert_nothing_stored()


@pytest.mark.parametrize("place", ["basic", "basic without colon", "body", "batch", "member", "query"])
def test_the_key_is_read_from(key: NewKey, place: str) -> None:
    value = key.value
    answer = {
        "basic": lambda: post("/v1/track", track(), **basic(value)),
        "basic without colon": lambda: post("/v1/track", track(), Authorization=_bare(value)),
        "body": lambda: post("/v1/track", track(writeKey=value)),
        "batch": lambda: post("/v1/batch", batch(track(), writeKey=value)),
        "member": lambda: post("/v1/batch", batch(track(writeKey=value))),
        "query": lambda: post(f"/v1/track?writeKey={value}", track()),
    }[place]()

    assert_answer(answer, 200, "OK")
    assert only_event().key_id == key.key.pk


def _bare(value: str) -> str:
    """As MetaRouter's document prints it."""
    return "basic " + b64encode(value.encode()).decode()


def test_the_key_outside_the_body_decides(key: NewKey, other_game: Game) -> None:
    other = create_key(game=other_game, name="web", dialect=Dialect.RUDDERSTACK)
    post("/v1/batch", batch(track(writeKey=other.value), track(writeKey="unknown")), key)

    assert [event.game_id for event in stored()] == [key.key.game_id] * 2


@pytest.mark.parametrize("dialect", [Dialect.IMMUTABLE, Dialect.PARCELVOY])
def test_a_key_of_another_dialect_gets_answers_in_this_format(game: Game, dialect: Dialect) -> None:
    other = create_key(game=game, name="web", dialect=dialect)

    assert_answer(post("/v1/track", track(), **basic(other.value)), 200, "OK")
    assert only_event().dialect == "rudderstack"


# Limits


def test_a_call_holds_32_kb(key: NewKey) -> None:
    assert_answer(post("/v1/track", of_size(32 * KB), key), 200, "OK")
    assert_answer(post("/v1/track", of_size(32 * KB + 1), key), 400, "request size exceeds max limit")
    assert len(stored()) == 1


def test_the_limit_is_on_what_a_call_unpacks_to(key: NewKey) -> None:
    sent = gzip.compress(compact_json(of_size(32 * KB + 1)))

    assert_answer(post("/v1/track", sent, key, **{"Content-Encoding": "gzip"}), 400, "request size exceeds max limit")
    assert_nothing_stored()


def test_a_member_holds_32_kb(key: NewKey) -> None:
    sent = batch(of_size(32 * KB, messageId="m-1"), of_size(32 * KB + 1, messageId="m-2"))
    assert_answer(post("/v1/batch", sent, key), 200, "OK")

    assert only_event().message_id == "m-1"
    assert reasons() == [[{"field": "", "code": "TOO_LARGE", "message": "request size exceeds max limit"}]]
    assert Rejection.objects.get().message_id == "m-2"


def test_a_batch_holds_4_mb(key: NewKey) -> None:
    sent = compact_json(batch(track()))
    longest = sent[:-1] + b" " * (4 * KB * KB - len(sent)) + b"}"
    assert len(longest) == 4 * KB * KB

    assert_answer(post("/v1/batch", longest, key), 200, "OK")
    assert_answer(post("/v1/batch", longest + b" ", key), 400, "request size exceeds max limit")
    assert len(stored()) == 1


def test_a_batch_of_a_million_empty_members_is_refused(key: NewKey) -> None:
    assert_answer(
        post("/v1/batch", b'{"batch":[' + b"{}," * 1_300_000 + b"{}]}", key), 400, "request size exceeds max limit"
    )
    assert_nothing_stored()


def test_invalid_gzip_is_refused_before_the_key_is_checked(key: NewKey) -> None:
    for headers in ({}, authorised(key), basic("unknown")):
        answer = post("/v1/track", b"no gzip", **headers, **{"Content-Encoding": "gzip"})
        assert_answer(answer, 400, "failed to uncompress request body")
    assert_nothing_stored()


def test_the_node_sdks_gzip_that_calls_itself_a_form_is_read(key: NewKey) -> None:
    headers = {**authorised(key), "Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    sent = gzip.compress(compact_json(batch(track())))
    answer = Client().post("/v1/batch", sent, "application/x-www-form-urlencoded", headers=headers)

    assert_answer(answer, 200, "OK")
    assert only_event().name == "Sign In"


# Meaning


def test_traits_of_identify_are_read_in_both_places(key: NewKey) -> None:
    both = {"userId": "u", "context": {"traits": {"a": 1, "b": 1}}, "traits": {"b": 2, "c": 3}}
    post("/v1/identify", both, key)
    digest()

    assert Person.objects.get().traits == {"a": 1, "b": 2, "c": 3}


def test_a_null_clears_a_trait_and_the_later_event_wins_in_any_order_of_arrival(key: NewKey) -> None:
    def told(second: int, **traits: Any) -> dict[str, Any]:
        return {"userId": "u", "traits": traits, "timestamp": f"2026-04-08T11:00:{second:02}Z"}

    for said_then in (told(3, plan=None, level=3), told(1, plan="pro", level=1, name="Ann"), told(2, level=2)):
        post("/v1/identify", said_then, key)
        digest()

    assert Person.objects.get().traits == {"level": 3, "name": "Ann"}


def test_merge_joins_identities(key: NewKey) -> None:
    for user_id, email in (("u-1", "a@b.example"), ("u-2", "c@d.example")):
        post("/v1/merge", {"userId": user_id, "mergeProperties": [{"type": "Email", "value": email}]}, key)
    digest()
    assert Person.objects.count() == 2
    post("/v1/merge", {"userId": "u-1", "mergeProperties": [{"type": "email", "value": "c@d.example"}]}, key)
    digest()

    assert Person.objects.count() == 1
    assert sorted(Identity.objects.values_list("namespace", "value")) == [
        ("email", "a@b.example"),
        ("email", "c@d.example"),
        ("user", "u-1"),
        ("user", "u-2"),
    ]


def test_group_keeps_the_groups_traits_and_its_members(key: NewKey) -> None:
    post("/v1/group", {"userId": "u-1", "groupId": "guild", "traits": {"name": "Sky", "rank": 1}}, key)
    post("/v1/group", {"anonymousId": "a-2", "groupId": "guild", "traits": {"rank": 2}}, key)
    post("/v1/group", {"userId": "u-1", "groupId": "guild"}, key)
    digest()

    group = Group.objects.get()
    assert (group.group_id, group.traits, group.members.count()) == ("guild", {"name": "Sky", "rank": 2}, 2)


@pytest.mark.parametrize(("sent_as", "namespace"), [("anonymousId", "anonymous"), ("userId", "user")])
def test_an_alias_joins_the_previous_id_whatever_it_was(key: NewKey, sent_as: str, namespace: str) -> None:
    post("/v1/track", {"event": "e", sent_as: "before"}, key)
    digest()
    for _ in range(2):
        post("/v1/alias", {"userId": "after", "previousId": "before"}, key)
        digest()

    assert Person.objects.count() == 1
    assert sorted(Identity.objects.values_list("namespace", "value")) == [
        *[("anonymous", "before")] * (namespace == "anonymous"),
        ("user", "after"),
        *[("user", "before")] * (namespace == "user"),
    ]


def test_the_requests_address_is_recorded(key: NewKey, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1/32", "10.0.0.0/8"]
    post("/v1/track", track(), key, **{"X-Forwarded-For": "198.51.100.1, 203.0.113.9, 10.0.0.1"})
    settings.TRUSTED_PROXIES = []
    post("/v1/track", track(), key, **{"X-Forwarded-For": "203.0.113.9"})

    assert [event.request_ip for event in stored()] == ["203.0.113.9", "127.0.0.1"]


def test_a_batch_of_1000_with_3_bad_ones_stores_997(key: NewKey) -> None:
    members = [track(messageId=f"m-{number:04}") for number in range(1000)]
    members[10].pop("event")
    members[500]["userId"] = None
    members[999]["type"] = "purchase"
    assert_answer(post("/v1/batch", batch(*members), key), 200, "OK")

    assert len(stored()) == 997
    assert list(Rejection.objects.order_by("id").values_list("message_id", "errors__0__message")) == [
        ("m-0010", "event is required for track"),
        ("m-0500", NO_ID),
        ("m-0999", "type must be one of identify, track, page, screen, group, alias, merge"),
    ]
    assert Batch.objects.values_list("accepted", "duplicates", "rejected").get() == (997, 0, 3)


@pytest.mark.parametrize("agent", ["analytics-ruby/2.5.0", "analytics-java/3.5.4"])
@pytest.mark.parametrize("path", ["/v1/import", "/v1/import/"])
def test_clients_of_segment_that_read_json_are_answered_in_json(key: NewKey, agent: str, path: str) -> None:
    """After any other answer they send the batch again and again."""
    headers = {"User-Agent": agent}
    answer = post(path, batch(track()), key, **headers)
    assert (answer.status_code, body_of(answer)) == (200, {"success": True})
    answer = post(path, batch(track(event=None)), key, **headers)
    text = "event is required for track"
    error = {"success": False, "error": text, "code": "400", "message": text}
    assert (answer.status_code, body_of(answer)) == (400, error)
    answer = post(path, b"{", key, **headers)
    assert (answer.status_code, body_of(answer)["error"]) == (400, "invalid json")

    assert [event.dialect for event in stored()] == ["rudderstack"]
