"""Message ids: placeholders are ignored, another event with a stored id is not lost, a retry is one event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audience.games.keys import NewKey, create_key
from audience.intake.messages.message_ids import is_placeholder
from audience.intake.rejections import RevalidationStatus, revalidate_rejection
from audience.intake.storing.accept import AcceptResult
from audience.models import Batch, Dialect, Event, Game, KeyKind, Rejection
from tests.audience import immutable
from tests.audience.concurrency import in_thread
from tests.audience.test_store import MIDNIGHT, SECOND, take, timed, untimed
from tests.audience.wire import post, stored

pytestmark = pytest.mark.django_db
ZEROS = "00000000-0000-0000-0000-000000000000"
TEXTS = [
    ZEROS,
    "null",
    "NULL",
    " undefined ",
    "None",
    "NaN",
    "true",
    "false",
    "[object Object]",
    "\u200b",
    "null\ufeff",
]
AT = "2026-04-08T11:30:00.250Z"


@pytest.fixture
def rudderstack(game: Game) -> NewKey:
    return create_key(game=game, name="rudder", dialect=Dialect.RUDDERSTACK)


@pytest.fixture
def parcelvoy(game: Game) -> NewKey:
    return create_key(game=game, name="parcelvoy", dialect=Dialect.PARCELVOY)


def counts() -> list[tuple[int, int, int]]:
    return list(Batch.objects.order_by("id").values_list("accepted", "duplicates", "rejected"))


def names() -> list[str]:
    return sorted(Event.objects.values_list("name", flat=True))


def purchase(**changes: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:00Z")
    return {"event": "purchase", "userId": "u-1", "messageId": "m-1", "timestamp": at, **changes}


# Placeholders


@pytest.mark.parametrize("text", ["m-1", "0", "nullable", "undefined-1", "00000000-0000-0000-0000-000000000001"])
def test_other_texts_are_ids(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize("message_id", [*TEXTS, True, False, {}, []])
def test_each_segment_event_with_a_placeholder_gets_an_id_of_ours(rudderstack: NewKey, message_id: Any) -> None:
    for name in ("e0", "e1", "e2"):
        assert post("/v1/track", purchase(event=name, messageId=message_id), rudderstack).status_code == 200

    assert names() == ["e0", "e1", "e2"]
    assert len({event.message_id for event in stored()}) == 3
    assert not any(is_placeholder(event.message_id) for event in stored())


@pytest.mark.parametrize("message_id", [*TEXTS, True, False, {}, []])
def test_each_parcelvoy_event_with_a_placeholder_gets_an_id_of_ours(parcelvoy: NewKey, message_id: Any) -> None:
    events = [{"name": name, "external_id": "u-1", "message_id": message_id} for name in ("e0", "e1", "e2")]

    assert post("/api/client/events", events, parcelvoy).status_code == 204
    assert names() == ["e0", "e1", "e2"]


@pytest.mark.parametrize("message_id", [*TEXTS, True, False, {}, []])
def test_immutable_refuses_a_placeholder(key: NewKey, message_id: Any) -> None:
    answer = immutable.send(key, immutable.message(messageId=message_id)).json()

    assert (answer["accepted"], answer["rejected"]) == (0, 1)
    (error,) = answer["rejections"][0]["errors"]
    assert (error["field"], error["code"]) == ("messageId", "INVALID_FORMAT")
    assert Rejection.objects.get().errors == [error]
    assert not Event.objects.exists()


def test_immutable_refuses_zeros_with_a_sentence_that_helps(key: NewKey) -> None:
    messages = [immutable.message(messageId=ZEROS), immutable.message(messageId=ZEROS)]
    answer = immutable.send(key, *messages).json()

    assert (answer["accepted"], answer["rejected"]) == (0, 2)
    text = "messageId is a placeholder, not an ID. Each message needs a new UUID."
    error = {"field": "messageId", "code": "INVALID_FORMAT", "message": text}
    assert answer["rejections"] == [{"messageId": ZEROS, "errors": [error]}]


# Another event with a stored id

OTHERS = [
    {"event": "level_up"},
    {"userId": "u-2"},
    {"anonymousId": "a-1"},
    {"timestamp": (datetime.now(UTC) - timedelta(minutes=1, seconds=61)).strftime("%Y-%m-%dT%H:%M:%SZ")},
]


@pytest.mark.parametrize("change", OTHERS, ids=lambda change: next(iter(change)))
def test_another_event_with_a_stored_id_is_kept_under_an_id_of_ours(
    rudderstack: NewKey, change: dict[str, Any]
) -> None:
    first, second = purchase(), purchase(**change)
    for message in (first, second, first, second, second):
        assert post("/v1/track", message, rudderstack).status_code == 200

    kept, other = stored()
    assert (kept.message_id, kept.raw, other.raw) == ("m-1", first, second)
    assert len(other.message_id) == 36
    assert sum(accepted for accepted, _, _ in counts()) == 2
    assert sum(duplicates for _, duplicates, _ in counts()) == 3


def test_a_message_of_another_type_is_another_event(rudderstack: NewKey) -> None:
    post("/v1/track", purchase(), rudderstack)
    post("/v1/identify", purchase(), rudderstack)

    assert [event.kind for event in stored()] == ["track", "identify"]


def test_the_same_time_in_another_form_is_a_retry(rudderstack: NewKey) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    for form in (at.strftime("%Y-%m-%dT%H:%M:%SZ"), at.strftime("%Y-%m-%dT%H:%M:%S.000+00:00"), int(at.timestamp())):
        post("/v1/track", purchase(timestamp=form), rudderstack)

    assert len(stored()) == 1


def test_two_events_with_one_id_in_one_request_are_both_kept(rudderstack: NewKey) -> None:
    members = [{"type": "track", **purchase(event=name)} for name in ("a", "b", "a", "b", "c")]
    for _ in range(2):
        assert post("/v1/batch", {"batch": members}, rudderstack).status_code == 200

    assert names() == ["a", "b", "c"]
    assert sum(map(sum, counts())) == 10


def test_two_events_with_one_id_in_a_copied_batch_are_both_kept(rudderstack: NewKey) -> None:
    members = [{"type": "track", **purchase(messageId=f"m-{number}")} for number in range(300)]
    members.append({"type": "track", **purchase(messageId="m-7", event="other")})
    post("/v1/batch", {"batch": members}, rudderstack)

    assert len(stored()) == 301
    assert sum(map(sum, counts())) == 301


def test_another_event_is_digested(rudderstack: NewKey) -> None:
    post("/v1/track", purchase(), rudderstack)
    post("/v1/track", purchase(userId="u-2"), rudderstack)

    assert [batch.event_ids for batch in Batch.objects.exclude(accepted=0).order_by("id")] == [
        [event.pk] for event in stored()
    ]
    assert set(Batch.objects.exclude(accepted=0).values_list("state", flat=True)) == {"pending"}


def test_another_event_with_an_id_of_parcelvoy_is_kept(parcelvoy: NewKey) -> None:
    events = [{"name": name, "external_id": "u-1", "message_id": "m-1", "created_at": AT} for name in ("e0", "e1")]
    for _ in range(2):
        assert post("/api/client/events", events, parcelvoy).status_code == 204
    for event in events:
        assert post("/api/client/events", [event], parcelvoy).status_code == 204

    assert names() == ["e0", "e1"]


def test_immutable_rejects_another_event_with_a_stored_id(key: NewKey) -> None:
    first = immutable.message()
    second = {**first, "messageId": first["messageId"].upper(), "eventName": "level_up"}
    immutable.send(key, first)
    answer = immutable.send(key, second, immutable.message()).json()

    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    (entry,) = answer["rejections"]
    assert entry["messageId"] == second["messageId"]
    assert [(error["field"], error["code"]) for error in entry["errors"]] == [("messageId", "MESSAGE_ID_REUSED")]
    rejection = Rejection.objects.get()
    assert (rejection.raw, rejection.errors) == (second, entry["errors"])
    assert (len(stored()), sum(map(sum, counts()))) == (2, 3)
    assert immutable.send(key, first).json()["accepted"] == 1


def test_a_rejected_reuse_stays_refused_when_it_is_validated_again(key: NewKey) -> None:
    first = immutable.message()
    immutable.send(key, first)
    immutable.send(key, {**first, "eventTimestamp": immutable.ago(minutes=2)})
    row = Rejection.objects.get()

    assert revalidate_rejection(rejection=row, requested_by="ada").status == RevalidationStatus.REFUSED
    row.refresh_from_db()
    assert [error["code"] for error in row.errors] == ["MESSAGE_ID_REUSED"]
    assert len(stored()) == 1


def test_another_event_is_not_lost_when_its_rejection_is_validated_again(rudderstack: NewKey) -> None:
    post("/v1/track", purchase(), rudderstack)
    post("/v1/track", purchase(event=""), rudderstack)
    Rejection.objects.update(raw=purchase(event="level_up"))

    row = Rejection.objects.get()
    assert revalidate_rejection(rejection=row, requested_by="ada").status == RevalidationStatus.ACCEPTED
    assert names() == ["level_up", "purchase"]


def test_another_untimed_event_past_midnight_is_kept_once(key: NewKey) -> None:
    take(key, untimed(name="a"), at=MIDNIGHT - SECOND)
    first = take(key, untimed(name="b"), at=MIDNIGHT - SECOND)
    retries = [take(key, untimed(name=name), at=MIDNIGHT + SECOND) for name in ("a", "b")]

    assert [first, *retries] == [AcceptResult(1, 0, 0), AcceptResult(0, 1, 0), AcceptResult(0, 1, 0)]
    assert names() == ["a", "b"]


def test_an_id_of_ours_for_a_server_event_cannot_be_sent_with_a_public_key(game: Game) -> None:
    server = create_key(game=game, name="server", dialect=Dialect.RUDDERSTACK, kind=KeyKind.SERVER)
    post("/v1/track", purchase(), server)
    post("/v1/track", purchase(event="level_up"), server)

    assert {event.message_id.partition(":")[0] for event in stored()} == {"server"}


@pytest.mark.django_db(transaction=True)
def test_two_events_with_one_id_at_the_same_moment_are_both_kept(key: NewKey) -> None:
    results: list[AcceptResult] = []
    every = [f"e{number}" for number in range(8)]
    threads = [in_thread(lambda n=name: results.append(take(key, timed("m-1", name=n)))) for name in every * 2]
    for thread in threads:
        thread.join(30)

    assert names() == every
    assert sorted(result.new for result in results) == [0] * 8 + [1] * 8
    assert sum(map(sum, counts())) == 16
