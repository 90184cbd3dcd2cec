"""POST /v1/audience/messages: which messages are accepted, and the errors of the others."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.test import Client

from audience.games.keys import NewKey, create_key
from audience.models import Batch, BatchState, Event, Rejection
from tests.audience.immutable import ABSENT, CONSENT, LIBRARY, alias, identify, message, send

FIXTURES = Path(__file__).parent.parent / "fixtures" / "immutable"
NOW = datetime(2026, 4, 8, 12, 0, tzinfo=UTC)
SAMPLES = ["quick_start", "track", "identify", "alias", "page", "screen"]
BATCHES = ["batch_mixed", "batch_duplicates", "batch_bad_copy_first", "batch_all_rejected"]

pytestmark = pytest.mark.django_db


def load(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def in_base(change: dict[str, Any]) -> dict[str, Any]:
    """A fixture's change of the good message; JSON has no word for "not there"."""
    changed = {name: ABSENT if value == "__absent__" else value for name, value in change.items()}
    return message(**{"eventTimestamp": "2026-04-08T11:59:00Z", **changed})


def stored() -> list[Event]:
    return list(Event.objects.order_by("id"))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_the_document_gets_the_documented_answer(key: NewKey, name: str) -> None:
    pair = load(f"sample_{name}")
    with time_machine.travel(NOW, tick=True):
        answer = send(key, *pair["request"]["messages"])

    assert (answer.status_code, answer.json()) == (200, pair["answer"])
    (event,) = stored()
    (expected,) = pair["stored"]
    assert {field: getattr(event, field) for field in expected} == expected
    assert (event.event_at, event.day) == (NOW, NOW.date())
    assert event.raw == pair["request"]["messages"][0]
    assert (event.game_id, event.key_id, event.dialect, event.test) == (key.key.game_id, key.key.pk, "immutable", False)


def test_the_consent_sample_of_the_document_gets_the_documented_answers(key: NewKey) -> None:
    sample = load("sample_consent")
    headers = {"x-immutable-publishable-key": key.value}
    before = Client().get(f"{CONSENT}?{sample['get']}", headers=headers)
    put = Client().put(CONSENT, sample["put"], "application/json", headers=headers)
    after = Client().get(f"{CONSENT}?{sample['get']}", headers=headers)

    assert (before.status_code, before.json()) == (200, sample["before"])
    assert (put.status_code, put.content) == (204, b"")
    assert (after.status_code, after.json()) == (200, sample["answer"])


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_gets_its_golden_answer_and_is_stored_as_answered(key: NewKey, name: str) -> None:
    pair = load(name)
    with time_machine.travel(NOW, tick=True):
        answer = send(key, *pair["request"]["messages"])

    assert (answer.status_code, answer.json()) == (200, pair["answer"])
    assert answer.json()["accepted"] + answer.json()["rejected"] == len(pair["request"]["messages"])
    assert [{"message_id": event.message_id, "name": event.name} for event in stored()] == pair["stored"]
    batch = Batch.objects.get()
    assert (batch.accepted, batch.duplicates, batch.rejected) == (
        pair["answer"]["accepted"],
        0,
        pair["answer"]["rejected"],
    )
    assert Rejection.objects.count() == pair["answer"]["rejected"]
    assert batch.state == (BatchState.PENDING if pair["stored"] else BatchState.DONE)


@pytest.mark.parametrize("case", load("rejections"), ids=lambda case: case["case"])
def test_it_refuses_a_message_with(key: NewKey, case: dict[str, Any]) -> None:
    with time_machine.travel(NOW, tick=True):
        bad = in_base(case["change"])
        answer = send(key, bad)

    echoed = bad.get("messageId") if isinstance(bad.get("messageId"), str) else None
    rejection = {"messageId": echoed, "errors": case["errors"]}
    assert (answer.status_code, answer.json()) == (
        200,
        {"success": True, "accepted": 0, "rejected": 1, "rejections": [rejection]},
    )
    assert not Event.objects.exists()
    kept = Rejection.objects.get()
    assert (kept.message_id, kept.errors, kept.raw) == (echoed or "", case["errors"], bad)


TOO_LONG = [
    ("userId", 256),
    ("anonymousId", 256),
    ("eventName", 256),
    ("deviceId", 256),
    ("sessionId", 256),
    ("fromType", 256),
    ("toType", 256),
    ("context.library", 256),
    ("context.libraryVersion", 256),
    ("context.browserLanguage", 256),
    ("context.locale", 256),
    ("context.timezone", 256),
    ("context.screen", 256),
    ("context.pageTitle", 256),
    ("context.somethingOfTheirOwn", 256),
    ("context.userAgent", 512),
    ("context.pageUrl", 2048),
    ("context.pagePath", 2048),
    ("context.pageReferrer", 2048),
]


def of_length(field: str, length: int, letter: str = "x") -> dict[str, Any]:
    """The good message with one text of that many characters."""
    if field.startswith("context."):
        return message(context={**LIBRARY, field.removeprefix("context."): letter * length})
    return message(**{field: letter * length})


@pytest.mark.parametrize(("field", "longest"), TOO_LONG)
def test_it_takes_a_text_of_its_longest(key: NewKey, field: str, longest: int) -> None:
    answer = send(key, of_length(field, longest))

    assert answer.json() == {"success": True, "accepted": 1, "rejected": 0, "rejections": []}


@pytest.mark.parametrize(("field", "longest"), TOO_LONG)
def test_it_refuses_a_text_one_character_longer(key: NewKey, field: str, longest: int) -> None:
    answer = send(key, of_length(field, longest + 1))

    error = {
        "field": field,
        "code": "INVALID_VALUE",
        "message": f"{field} is longer than {longest} characters.",
    }
    assert [entry["errors"] for entry in answer.json()["rejections"]] == [[error]]
    assert not Event.objects.exists()


def test_lengths_are_counted_in_characters_not_bytes(key: NewKey) -> None:
    answer = send(key, of_length("userId", 256, "😀"))

    assert answer.json()["accepted"] == 1
    assert stored()[0].user_id == "😀" * 256


@pytest.mark.parametrize("end", ["fromId", "toId"])
def test_an_alias_takes_ids_of_256_characters_and_refuses_257(key: NewKey, end: str) -> None:
    ids = {"fromId": "a-1", "toId": "user-1"}
    answer = send(key, alias(**_renamed({**ids, end: "x" * 256})), alias(**_renamed({**ids, end: "x" * 257})))

    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert answer.json()["rejections"][0]["errors"] == [
        {"field": end, "code": "INVALID_VALUE", "message": f"{end} is longer than 256 characters."}
    ]


def _renamed(ids: dict[str, str]) -> dict[str, str]:
    return {"from_id": ids["fromId"], "to_id": ids["toId"]}


def test_properties_and_traits_may_be_of_any_shape_and_length(key: NewKey) -> None:
    wild = {"text": "x" * 5000, "list": [1, [2.5, None, True]], "deep": {"a": {"b": {"c": "d"}}}, "": "unnamed"}
    answer = send(key, message(properties=wild), identify("user-1", traits=wild))

    assert answer.json()["accepted"] == 2
    assert (stored()[0].properties, stored()[1].traits) == (wild, wild)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-04-08T12:00:00Z", datetime(2026, 4, 8, 12, 0, tzinfo=UTC)),
        ("2026-04-08T12:00:00.1Z", datetime(2026, 4, 8, 12, 0, 0, 100_000, tzinfo=UTC)),
        ("2026-04-08T12:00:00.123Z", datetime(2026, 4, 8, 12, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-04-08T12:00:00.123456Z", datetime(2026, 4, 8, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-04-08T12:00:00.1234567Z", datetime(2026, 4, 8, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-04-08T12:00:00.9999999Z", datetime(2026, 4, 8, 12, 0, 0, 999_999, tzinfo=UTC)),
        ("2026-04-08T14:30:00.1234567+02:30", datetime(2026, 4, 8, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-04-08T23:30:00-02:00", datetime(2026, 4, 9, 1, 30, tzinfo=UTC)),
        ("2026-04-08T12:00:00+00:00", datetime(2026, 4, 8, 12, 0, tzinfo=UTC)),
        ("2026-04-08T04:00:00-0800", datetime(2026, 4, 8, 12, 0, tzinfo=UTC)),
        ("2026-04-08T12:00Z", datetime(2026, 4, 8, 12, 0, tzinfo=UTC)),
        ("2026-04-08t12:00:00z", datetime(2026, 4, 8, 12, 0, tzinfo=UTC)),
    ],
)
def test_it_reads_a_timestamp_with_an_offset(key: NewKey, written: str, read: datetime) -> None:
    with time_machine.travel(NOW + timedelta(days=1), tick=True):
        answer = send(key, message(eventTimestamp=written))

    assert answer.json()["accepted"] == 1
    assert [(event.event_at, event.day) for event in stored()] == [(read, read.date())]


@pytest.mark.parametrize(
    ("distance", "refusal"),
    [
        (-timedelta(days=30) + timedelta(seconds=1), None),
        (-timedelta(days=30), None),
        (-timedelta(days=30, seconds=1), "eventTimestamp is more than 30 days in the past."),
        (timedelta(hours=24) - timedelta(seconds=1), None),
        (timedelta(hours=24), None),
        (timedelta(hours=24, seconds=1), "eventTimestamp is more than 24 hours in the future."),
    ],
)
def test_it_takes_30_days_past_and_24_hours_ahead(key: NewKey, distance: timedelta, refusal: str | None) -> None:
    with time_machine.travel(NOW, tick=False):
        answer = send(key, message(eventTimestamp=(NOW + distance).isoformat()))

    errors = [{"field": "eventTimestamp", "code": "INVALID_VALUE", "message": refusal}] if refusal else []
    assert [error for entry in answer.json()["rejections"] for error in entry["errors"]] == errors
    assert Event.objects.count() == (0 if refusal else 1)


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen"])
@pytest.mark.parametrize("who", ["userId", "anonymousId"])
def test_either_id_is_enough(key: NewKey, kind: str, who: str) -> None:
    answer = send(key, message(type=kind, **{"userId": ABSENT, who: "someone"}))

    assert answer.json()["accepted"] == 1
    assert stored()[0].kind == kind


def test_an_alias_needs_no_userid(key: NewKey) -> None:
    answer = send(key, alias("a-1", "user-1"))

    assert answer.json()["accepted"] == 1
    assert stored()[0].user_id == "user-1"


@pytest.mark.parametrize("name", ["passport", "steam", "epic", "google", "apple", "discord", "email", "custom"])
def test_it_takes_the_identity_type(key: NewKey, name: str) -> None:
    answer = send(key, identify("user-1", identityType=name))

    assert answer.json()["accepted"] == 1
    assert stored()[0].links == [[name, "user-1"]]


@pytest.mark.parametrize("name", ["web", "pixel", "unity", "unreal"])
def test_it_takes_the_surface(key: NewKey, name: str) -> None:
    assert send(key, message(surface=name)).json()["accepted"] == 1
    assert stored()[0].surface == name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("not_set", "not_set"), (None, ""), ("none", "none"), ("anonymous", "anonymous"), ("full", "full")],
)
def test_it_takes_the_consent_level(key: NewKey, sent: str | None, kept: str) -> None:
    assert send(key, message(consentLevel=sent)).json()["accepted"] == 1
    assert stored()[0].consent_level == kept


def test_it_takes_the_test_flag(key: NewKey) -> None:
    assert send(key, message(test=True), message(test=False), message(test=None)).json()["accepted"] == 3
    assert [event.test for event in stored()] == [True, False, False]


@pytest.mark.parametrize("blank", [None, "", "   "])
def test_a_blank_optional_text_counts_as_missing(key: NewKey, blank: str | None) -> None:
    names = ["anonymousId", "deviceId", "sessionId", "surface", "consentLevel", "identityType", "fromType", "toType"]
    answer = send(key, message(**dict.fromkeys(names, blank)))

    assert answer.json()["accepted"] == 1
    (event,) = stored()
    assert (event.anonymous_id, event.device_id, event.session_id, event.surface, event.consent_level) == ("",) * 5


def test_null_properties_and_traits_are_empty_ones(key: NewKey) -> None:
    assert send(key, message(properties=None, traits=None)).json()["accepted"] == 1
    assert (stored()[0].properties, stored()[0].traits) == ({}, {})


def test_blanks_around_an_id_are_not_part_of_it(key: NewKey) -> None:
    assert send(key, message(userId="  user-1 ", anonymousId="\ta-1\n")).json()["accepted"] == 1
    assert (stored()[0].user_id, stored()[0].anonymous_id) == ("user-1", "a-1")


def test_unknown_fields_are_kept(key: NewKey) -> None:
    odd = message(somethingNew={"a": [1]}, context={**LIBRARY, "deviceModel": "Pixel 9", "nested": {"x": 1}})
    answer = send(key, odd)

    assert answer.json()["accepted"] == 1
    assert stored()[0].raw == odd
    assert stored()[0].context == {
        "library": "my-studio-backend",
        "library_version": "1.0.0",
        "deviceModel": "Pixel 9",
        "nested": {"x": 1},
    }


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_a_rejected_messageid_is_echoed_verbatim(key: NewKey, spelling: Any) -> None:
    message_id = spelling(str(uuid.uuid4()))
    answer = send(key, message(messageId=message_id, surface="tv"))

    assert [entry["messageId"] for entry in answer.json()["rejections"]] == [message_id]


def test_a_messageid_that_is_no_uuid_is_echoed_verbatim_too(key: NewKey) -> None:
    answer = send(key, message(messageId="  Ünfug/<1> "))

    assert [entry["messageId"] for entry in answer.json()["rejections"]] == ["  Ünfug/<1> "]


def test_a_retry_in_a_later_batch_is_accepted_and_stored_once(key: NewKey) -> None:
    first, second = message(), message()
    once = send(key, first)
    again = send(key, first, second)
    third = send(key, {**first, "messageId": first["messageId"].upper()})

    assert [answer.json() for answer in (once, again, third)] == [
        {"success": True, "accepted": accepted, "rejected": 0, "rejections": []} for accepted in (1, 2, 1)
    ]
    assert [event.message_id for event in stored()] == [first["messageId"], second["messageId"]]
    assert [(b.accepted, b.duplicates, b.state) for b in Batch.objects.order_by("id")] == [
        (1, 0, "pending"),
        (1, 1, "pending"),
        (0, 1, "done"),
    ]


def test_two_games_may_use_one_messageid(key: NewKey, other_game: Any) -> None:
    from_both = message()
    other_key = create_key(game=other_game, name="web")

    assert send(key, from_both).json()["accepted"] == 1
    assert send(other_key, from_both).json()["accepted"] == 1
    assert sorted(Event.objects.values_list("game_id", flat=True)) == sorted([key.key.game_id, other_game.pk])


@pytest.mark.parametrize("count", [1, 100])
def test_a_batch_holds_1_to_100_messages(key: NewKey, count: int) -> None:
    answer = send(key, *[message() for _ in range(count)])

    assert answer.json() == {"success": True, "accepted": count, "rejected": 0, "rejections": []}
    assert Event.objects.count() == count


def test_a_message_of_a_sandbox_key_is_test_traffic(sandbox_key: NewKey) -> None:
    assert sandbox_key.value.startswith("pk_imapik-test-")
    assert send(sandbox_key, message(), message(test=False)).json()["accepted"] == 2
    assert [event.test for event in stored()] == [True, True]


def test_a_browsers_address_and_agent_are_the_players(key: NewKey) -> None:
    send(key, message(), **{"Origin": "https://mygame.com", "User-Agent": "Mozilla/5.0"})

    assert stored()[0].context == {
        "ip": "127.0.0.1",
        "user_agent": "Mozilla/5.0",
        "library": "my-studio-backend",
        "library_version": "1.0.0",
    }


def test_a_backends_address_and_agent_are_not_the_players(key: NewKey) -> None:
    send(key, message(), **{"User-Agent": "python-requests/2"})

    assert stored()[0].context == {"library": "my-studio-backend", "library_version": "1.0.0"}


def test_the_agent_a_message_states_wins_over_the_connections(key: NewKey) -> None:
    stated = message(context={**LIBRARY, "userAgent": "Player/1"})
    send(key, stated, **{"Origin": "https://mygame.com", "User-Agent": "Mozilla/5.0"})

    assert stored()[0].context["user_agent"] == "Player/1"
