"""accept(): one transaction, and each message once, however a retry arrives."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError

from audience.games.keys import NewKey, create_key
from audience.intake.messages.message import Message, Rejected, Violation
from audience.intake.storing.accept import AcceptResult, accept
from audience.models import ApiKey, Batch, BatchState, Dialect, Event, Game, Kind, Rejection
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock

pytestmark = pytest.mark.django_db
MIDNIGHT = datetime(2026, 4, 8, tzinfo=UTC)
TODAY = MIDNIGHT.date()
SECOND = timedelta(seconds=1)


def untimed(message_id: str = "m-1", *, event_at: datetime = MIDNIGHT, **fields: Any) -> Message:
    """A message of a client that says no time: received is when it happened."""
    return Message(kind=Kind.TRACK, message_id=message_id, event_at=event_at, day=None, user_id="user-1", **fields)


def timed(message_id: str = "m-1", *, day: date = TODAY, **fields: Any) -> Message:
    return Message(kind=Kind.TRACK, message_id=message_id, event_at=MIDNIGHT, day=day, user_id="user-1", **fields)


def refusal(message_id: str | None = "m-9", raw: Any = None) -> Rejected:
    return Rejected(message_id, [Violation("type", "UNSUPPORTED_TYPE", "No such type.")], raw)


def take(key: NewKey, *messages: Message, at: datetime = MIDNIGHT, rejected: Any = ()) -> AcceptResult:
    return accept(key=key.key, dialect=Dialect.IMMUTABLE, messages=messages, rejected=rejected, received_at=at)


def test_new_ones_and_copies_are_both_accepted(key: NewKey) -> None:
    assert take(key, timed("m-1"), timed("m-2")) == AcceptResult(new=2, duplicates=0, rejected=0)
    again = take(key, timed("m-2"), timed("m-3"), rejected=[refusal()])

    assert again == AcceptResult(new=1, duplicates=1, rejected=1)
    assert again.accepted == 2
    assert sorted(Event.objects.values_list("message_id", flat=True)) == ["m-1", "m-2", "m-3"]


def test_a_batch_names_its_new_events_and_their_days(key: NewKey) -> None:
    take(key, timed("m-1"), timed("m-2", day=TODAY - timedelta(days=3)), timed("m-3", day=TODAY + timedelta(days=1)))
    batch = Batch.objects.get()

    assert sorted(batch.event_ids) == sorted(Event.objects.values_list("id", flat=True))
    assert (batch.first_day, batch.last_day) == (TODAY - timedelta(days=3), TODAY + timedelta(days=1))
    assert (batch.state, batch.received_at, batch.next_attempt_at) == (BatchState.PENDING, MIDNIGHT, MIDNIGHT)
    assert (batch.key, batch.dialect) == (key.key, "immutable")


def test_a_batch_of_copies_is_no_work(key: NewKey) -> None:
    take(key, timed())
    take(key, timed())
    first, second = Batch.objects.order_by("id")

    assert (second.accepted, second.duplicates, second.event_ids, second.first_day) == (0, 1, [], None)
    assert (first.state, second.state) == (BatchState.PENDING, BatchState.DONE)


def test_a_batch_of_refusals_is_recorded(key: NewKey) -> None:
    assert take(key, rejected=[refusal("m-1", {"userId": "user-1"}), refusal(None, 5)]) == AcceptResult(0, 0, 2)

    named, nameless = Rejection.objects.order_by("id")
    assert (named.message_id, named.raw, named.subjects) == ("m-1", {"userId": "user-1"}, ["user-1"])
    assert (nameless.message_id, nameless.raw, nameless.subjects) == ("", 5, [])
    assert named.errors == [{"field": "type", "code": "UNSUPPORTED_TYPE", "message": "No such type."}]
    assert (named.game_id, named.key, named.received_at) == (key.key.game_id, key.key, MIDNIGHT)
    assert Batch.objects.get().rejected == 2


@pytest.mark.parametrize("raw", [None, True, 0, "text", [], {}, [None], {"a": None}])
def test_a_refused_message_of_any_shape_is_kept_as_it_was(key: NewKey, raw: Any) -> None:
    take(key, rejected=[refusal(raw=raw)])

    assert Rejection.objects.get().raw == raw


def test_every_id_of_a_refused_message_is_a_subject_in_any_spelling(key: NewKey) -> None:
    raw = {
        "userId": " user-1 ",
        "anonymous_id": "a-1",
        "DEVICEID": "d-1",
        "fromId": 7656,
        "sessionid": "",
        "groupId": None,
        "name": "nobody",
        "toId": ["list"],
    }
    take(key, rejected=[refusal(raw=raw)])

    assert Rejection.objects.get().subjects == ["user-1", "a-1", "d-1", "7656"]


def test_a_duplicate_in_one_batch_is_stored_once(key: NewKey) -> None:
    assert take(key, timed(name="first"), timed(name="first")) == AcceptResult(new=1, duplicates=1, rejected=0)
    assert Event.objects.count() == 1


# Without any client time


def test_a_message_without_a_time_takes_the_day_of_receipt(key: NewKey) -> None:
    take(key, untimed(), at=MIDNIGHT + SECOND)

    assert Event.objects.get().day == TODAY


def test_its_retry_past_midnight_is_the_same_message(key: NewKey) -> None:
    assert take(key, untimed(), at=MIDNIGHT - SECOND).new == 1
    assert take(key, untimed(), at=MIDNIGHT + SECOND) == AcceptResult(new=0, duplicates=1, rejected=0)
    assert take(key, untimed(), at=MIDNIGHT + timedelta(hours=23)).duplicates == 1

    assert [event.day for event in Event.objects.all()] == [TODAY - timedelta(days=1)]


def test_copies_of_untimed_messages_are_recognised_beside_new_messages(key: NewKey) -> None:
    take(key, untimed("m-1"), untimed("m-2"), at=MIDNIGHT - SECOND)
    result = take(key, untimed("m-1"), untimed("m-3"), timed("m-2"), at=MIDNIGHT + SECOND)

    assert result == AcceptResult(new=2, duplicates=1, rejected=0)
    assert sorted(Event.objects.values_list("message_id", "day")) == [
        ("m-1", TODAY - timedelta(days=1)),
        ("m-2", TODAY - timedelta(days=1)),
        ("m-2", TODAY),
        ("m-3", TODAY),
    ]


def test_the_day_before_is_that_of_its_own_game(key: NewKey, other_game: Game) -> None:
    take(create_key(game=other_game, name="web"), untimed(), at=MIDNIGHT - SECOND)

    assert take(key, untimed(), at=MIDNIGHT + SECOND).new == 1


def test_a_message_with_a_time_is_not_looked_for_elsewhere(key: NewKey) -> None:
    take(key, timed(day=TODAY - timedelta(days=1)))

    assert take(key, timed(day=TODAY)).new == 1


# One transaction


def test_a_request_that_postgresql_refuses_stores_nothing(key: NewKey) -> None:
    bad = untimed("m-2", context={"note": "\x00"})
    with pytest.raises(DatabaseError):
        take(key, untimed("m-1"), bad, rejected=[refusal()])
    # Nested in the test's own transaction, which accept()'s savepoint has kept usable.
    assert not Event.objects.exists()
    assert not Batch.objects.exists()
    assert not Rejection.objects.exists()
    assert ApiKey.objects.get().last_used_at is None


@pytest.mark.django_db(transaction=True)
def test_two_requests_with_one_id_at_once_store_it_once(key: NewKey) -> None:
    """The second waits for the first to commit, then sees the duplicate."""
    take(key, timed("to note the key's use"))
    results: list[AcceptResult] = []
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE copy ON COMMIT DROP AS SELECT * FROM audience_event")
        cursor.execute(
            "UPDATE copy SET id = nextval(pg_get_serial_sequence('audience_event', 'id')), message_id = 'm-2'"
        )
        cursor.execute("INSERT INTO audience_event SELECT * FROM copy")
        request = in_thread(lambda: results.append(take(key, timed("m-1"), timed("m-2"))))
        wait_for_a_lock()
        other.commit()
        request.join(20)

    assert results == [AcceptResult(new=1, duplicates=1, rejected=0)]
    assert Event.objects.filter(message_id="m-2").count() == 1


@pytest.mark.django_db(transaction=True)
def test_requests_with_the_same_ids_in_any_order_do_not_deadlock(key: NewKey) -> None:
    ids = [f"m-{number:03}" for number in range(100)]
    results: list[AcceptResult] = []
    orders = [ids, ids[::-1], ids[50:] + ids[:50], ids[::2] + ids[1::2]]
    threads = [in_thread(lambda o=order: results.append(take(key, *map(timed, o)))) for order in orders]
    for thread in threads:
        thread.join(30)

    assert sum(result.new for result in results) == 100
    assert sum(result.duplicates for result in results) == 300
    assert Event.objects.count() == 100


def test_the_use_of_a_key_is_noted_once_a_minute(key: NewKey) -> None:
    take(key, timed("m-1"))
    first = ApiKey.objects.get()
    assert first.last_used_at is not None
    accept(key=first, dialect=Dialect.IMMUTABLE, messages=[timed("m-2")], received_at=MIDNIGHT)
    assert ApiKey.objects.get().last_used_at == first.last_used_at

    ApiKey.objects.update(last_used_at=first.last_used_at - timedelta(seconds=61))
    accept(key=ApiKey.objects.get(), dialect=Dialect.IMMUTABLE, messages=[timed("m-3")], received_at=MIDNIGHT)
    assert ApiKey.objects.get().last_used_at > first.last_used_at
