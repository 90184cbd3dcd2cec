"""GET and PUT /v1/audience/tracking-consent."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client

from audience.games.keys import NewKey, create_key
from consent.decisions import current_level, delete_decisions, record_decision
from consent.models import ConsentDecision, Level
from tests.audience.immutable import CONSENT, assert_cors, assert_envelope

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, 0, tzinfo=UTC)
DECISION = {"anonymousId": "a-1", "status": "full", "source": "banner"}


def put(key: NewKey, decision: Any) -> HttpResponse:
    headers = {"x-immutable-publishable-key": key.value}
    return Client().put(CONSENT, json.dumps(decision), "application/json", headers=headers)


def get(key: NewKey, query: dict[str, str]) -> HttpResponse:
    return Client().get(CONSENT, query, headers={"x-immutable-publishable-key": key.value})


def status(key: NewKey, anonymous_id: str = "a-1") -> str:
    answer = get(key, {"anonymousId": anonymous_id})
    assert answer.status_code == 200
    assert list(answer.json()) == ["status"]
    return str(answer.json()["status"])


@pytest.mark.parametrize("level", ["none", "anonymous", "full"])
def test_a_decision_is_stored_and_returned(key: NewKey, level: str) -> None:
    with time_machine.travel(NOW, tick=False):
        answer = put(key, {**DECISION, "status": level})

    assert (answer.status_code, answer.content) == (204, b"")
    assert_cors(answer)
    assert status(key) == level
    kept = ConsentDecision.objects.get()
    assert (kept.game_id, kept.anonymous_id, kept.level, kept.source, kept.decided_at) == (
        key.key.game_id,
        "a-1",
        level,
        "banner",
        NOW,
    )


def test_without_a_decision_it_is_not_set(key: NewKey) -> None:
    assert status(key) == "not_set"


def test_the_last_write_wins(key: NewKey) -> None:
    for level in ("full", "none", "anonymous"):
        put(key, {**DECISION, "status": level})
        assert status(key) == level
    assert list(ConsentDecision.objects.order_by("id").values_list("level", flat=True)) == ["full", "none", "anonymous"]


def test_of_two_writes_at_the_same_time_the_later_wins(key: NewKey) -> None:
    with time_machine.travel(NOW, tick=False):
        put(key, {**DECISION, "status": "full"})
        put(key, {**DECISION, "status": "none"})

    assert status(key) == "none"


def test_another_player_and_another_game_are_not_concerned(key: NewKey, other_game: Any) -> None:
    put(key, DECISION)

    assert status(key, "a-2") == "not_set"
    assert status(create_key(game=other_game, name="web")) == "not_set"


def test_a_sandbox_key_of_the_game_reads_and_writes_the_same_decisions(key: NewKey, sandbox_key: NewKey) -> None:
    put(sandbox_key, DECISION)

    assert status(key) == "full"


def test_ids_of_256_and_sources_of_128_characters_are_taken(key: NewKey) -> None:
    answer = put(key, {"anonymousId": "😀" * 256, "status": "full", "source": "s" * 128})

    assert answer.status_code == 204
    assert status(key, "😀" * 256) == "full"


def test_blanks_around_an_id_are_not_part_of_it(key: NewKey) -> None:
    put(key, {**DECISION, "anonymousId": " a-1\t"})

    assert status(key, "a-1") == "full"
    assert status(key, " a-1 ") == "full"


def test_an_id_with_a_character_that_cannot_be_stored_is_refused(key: NewKey) -> None:
    answer = put(key, {**DECISION, "anonymousId": "a\x00b"})

    assert answer.status_code == 400
    assert answer.json()["message"] == "anonymousId has characters that cannot be stored."


def test_unknown_fields_are_ignored(key: NewKey) -> None:
    assert put(key, {**DECISION, "userId": "user-1", "extra": [1]}).status_code == 204


def error(field: str, code: str, message: str) -> dict[str, str]:
    return {"field": field, "code": code, "message": message}


NO_ID = error("anonymousId", "MISSING_REQUIRED_FIELD", "anonymousId is required.")
LONG_ID = error("anonymousId", "INVALID_VALUE", "anonymousId is longer than 256 characters.")
ID_TYPE = error("anonymousId", "INVALID_FORMAT", "anonymousId must be a string.")
NO_STATUS = error("status", "MISSING_REQUIRED_FIELD", "status is required.")
BAD_STATUS = error("status", "INVALID_ENUM", "status must be one of none, anonymous, full.")
STATUS_TYPE = error("status", "INVALID_FORMAT", "status must be one of none, anonymous, full.")
NO_SOURCE = error("source", "MISSING_REQUIRED_FIELD", "source is required.")
LONG_SOURCE = error("source", "INVALID_VALUE", "source is longer than 128 characters.")
SOURCE_TYPE = error("source", "INVALID_FORMAT", "source must be a string.")


@pytest.mark.parametrize(
    ("change", "details"),
    [
        ({"anonymousId": None}, [NO_ID]),
        ({"anonymousId": ""}, [NO_ID]),
        ({"anonymousId": "   "}, [NO_ID]),
        ({"anonymousId": 5}, [ID_TYPE]),
        ({"anonymousId": ["a"]}, [ID_TYPE]),
        ({"anonymousId": "x" * 257}, [LONG_ID]),
        ({"status": None}, [NO_STATUS]),
        ({"status": ""}, [NO_STATUS]),
        ({"status": "not_set"}, [BAD_STATUS]),
        ({"status": "Full"}, [BAD_STATUS]),
        ({"status": "granted"}, [BAD_STATUS]),
        ({"status": True}, [STATUS_TYPE]),
        ({"status": {"level": "full"}}, [STATUS_TYPE]),
        ({"source": None}, [NO_SOURCE]),
        ({"source": " "}, [NO_SOURCE]),
        ({"source": 1}, [SOURCE_TYPE]),
        ({"source": "s" * 129}, [LONG_SOURCE]),
        ({"anonymousId": "", "status": "maybe", "source": None}, [NO_ID, BAD_STATUS, NO_SOURCE]),
    ],
)
def test_a_bad_decision_is_400_with_every_reason_and_the_old_one_stays(
    key: NewKey, change: dict[str, Any], details: list[dict[str, str]]
) -> None:
    put(key, {**DECISION, "status": "anonymous"})
    answer = put(key, {**DECISION, **change})

    assert_envelope(answer, 400, "VALIDATION_ERROR", details[0]["message"], details)
    assert ConsentDecision.objects.count() == 1
    assert status(key) == "anonymous"


@pytest.mark.parametrize("decision", [None, [], "full", 5, [DECISION]])
def test_a_body_that_is_no_object_is_400(key: NewKey, decision: Any) -> None:
    complaint = 'The body must be an object: {"anonymousId", "status", "source"}.'
    assert_envelope(put(key, decision), 400, "VALIDATION_ERROR", complaint)
    assert not ConsentDecision.objects.exists()


def test_a_body_that_is_no_json_is_400(key: NewKey) -> None:
    headers = {"x-immutable-publishable-key": key.value}
    answer = Client().put(CONSENT, "status=full", "application/json", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION_ERROR")
    assert_cors(answer)
    assert not ConsentDecision.objects.exists()


def test_a_body_over_64_kb_is_413(key: NewKey) -> None:
    complaint = "The body is larger than 65536 bytes. Send smaller batches."
    assert_envelope(put(key, {**DECISION, "extra": "x" * 65536}), 413, "VALIDATION_ERROR", complaint)
    assert not ConsentDecision.objects.exists()


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ({}, [NO_ID]),
        ({"anonymousId": ""}, [NO_ID]),
        ({"anonymousId": "  "}, [NO_ID]),
        ({"userId": "user-1"}, [NO_ID]),
        ({"anonymousId": "x" * 257}, [LONG_ID]),
    ],
)
def test_an_invalid_consent_query_is_400(key: NewKey, query: dict[str, str], details: list[dict[str, str]]) -> None:
    assert_envelope(get(key, query), 400, "VALIDATION_ERROR", details[0]["message"], details)


# The functions of consent/decisions.py


def test_the_newest_decision_is_in_force(game: Any) -> None:
    for minutes, anonymous_id, level in ((0, "a-1", Level.FULL), (5, "a-2", Level.NONE), (3, "a-1", Level.ANONYMOUS)):
        moment = NOW + timedelta(minutes=minutes)
        record_decision(game_id=game.pk, anonymous_id=anonymous_id, level=level, source="test", decided_at=moment)

    newest_first = ConsentDecision.objects.for_ids(game.pk, ["a-1", "a-2"])
    assert list(newest_first.values_list("level", flat=True)) == ["none", "anonymous", "full"]
    assert not ConsentDecision.objects.for_ids(game.pk, []).exists()
    assert current_level(game_id=game.pk, anonymous_id="a-1") == Level.ANONYMOUS
    assert current_level(game_id=game.pk, anonymous_id="a-3") == Level.NOT_SET


def test_deleting_deletes_the_decisions_of_these_ids_in_this_game_only(game: Any, other_game: Any) -> None:
    for game_id, anonymous_id in ((game.pk, "a-1"), (game.pk, "a-1"), (game.pk, "a-2"), (other_game.pk, "a-1")):
        record_decision(game_id=game_id, anonymous_id=anonymous_id, level=Level.FULL, source="test", decided_at=NOW)

    assert delete_decisions(game_id=game.pk, anonymous_ids=["a-1", "a-9"]) == 2
    assert sorted(ConsentDecision.objects.values_list("game_id", "anonymous_id")) == sorted(
        [(game.pk, "a-2"), (other_game.pk, "a-1")]
    )
