"""How batches are claimed, digested, postponed and set aside."""

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from audience import tasks
from audience.background import isolation
from audience.digest import queue
from audience.games.keys import NewKey, create_key
from audience.models import Batch, BatchState, Conversion, Event, Game, Identity, Person, Touch
from tests.audience.concurrency import end_backend, in_thread, own_connection, wait_for_a_lock
from tests.audience.immutable import ago, alias, click, digest, identify, launch, message, page, purchase, send

pytestmark = pytest.mark.django_db
# Two ids in one namespace where the digest expects pairs: no dialect writes it, so only a test can.
MALFORMED = [["steam"]]


def spoil(messages: list[dict[str, Any]], **columns: Any) -> None:
    """Change stored events into what the digest cannot read."""
    ids = [sent["messageId"] for sent in messages]
    assert Event.objects.filter(message_id__in=ids).update(**columns) == len(ids)


def test_drain_digests_due_batches_and_returns_their_number(key: NewKey) -> None:
    for number in range(3):
        send(key, purchase(f"user-{number}"))

    assert queue.drain() == 3
    assert queue.drain() == 0
    assert [batch.state for batch in Batch.objects.all()] == [BatchState.DONE] * 3
    assert Conversion.objects.count() == 3


def test_a_drain_digests_more_batches_than_one_run_takes(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "BATCHES_AT_ONCE", 2)
    for number in range(5):
        send(key, purchase(f"user-{number}"))

    assert queue.drain() == 5
    assert Person.objects.count() == 5


def test_a_run_takes_whole_batches_up_to_a_number_of_events(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "EVENTS_AT_ONCE", 3)
    for number in range(3):
        send(key, purchase(f"user-{number}"), purchase(f"other-{number}"))

    assert [queue.digest(game_id=key.key.game_id) for _ in range(4)] == [1, 1, 1, 0]
    assert Person.objects.count() == 6


def test_a_batch_with_more_events_than_a_run_takes_is_taken_alone(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "EVENTS_AT_ONCE", 1)
    send(key, purchase("user-1"), purchase("user-2"))

    assert queue.digest(game_id=key.key.game_id) == 1
    assert Person.objects.count() == 2


def test_the_task_digests(key: NewKey) -> None:
    send(key, purchase("user-1"))
    tasks.digest()

    assert Conversion.objects.count() == 1


@pytest.mark.parametrize("query", ["ttclid=a%00b", "utm_source=tiktok&utm_medium=cpc&utm_campaign=a%00b"])
def test_a_nul_in_the_address_of_a_page_does_not_stop_its_batch(key: NewKey, query: str) -> None:
    digest(key, page("browser-1", f"https://mygame.com/?{query}"), purchase("user-1"))

    assert Batch.objects.get().state == BatchState.DONE
    assert Conversion.objects.count() == 1


def test_a_batch_that_is_not_due_waits(key: NewKey) -> None:
    send(key, purchase("user-1"))
    Batch.objects.update(next_attempt_at=timezone.now() + timedelta(minutes=1))

    assert queue.drain() == 0
    assert not Person.objects.exists()


def test_games_are_digested_apart(key: NewKey, other_game: Any) -> None:
    send(key, identify("user-1", "a-1"))
    send(create_key(game=other_game, name="web"), identify("user-1", "a-1"))

    assert queue.drain() == 2
    assert Person.objects.count() == 2
    assert sorted(Identity.objects.values_list("person__game_id", "namespace", "value")) == sorted(
        (game_id, namespace, value)
        for game_id in (key.key.game_id, other_game.pk)
        for namespace, value in (("anonymous", "a-1"), ("user", "user-1"))
    )


def test_an_event_of_30_days_ago_is_found_in_its_own_partition(key: NewKey) -> None:
    now = datetime.now(UTC)
    old, fresh = now - timedelta(days=29, hours=23), now
    send(key, purchase("user-1", eventTimestamp=old.isoformat()), purchase("user-2", eventTimestamp=fresh.isoformat()))

    assert queue.drain() == 1
    assert sorted(Conversion.objects.values_list("event_day", flat=True)) == [old.date(), fresh.date()]


def test_digesting_a_batch_again_changes_nothing(key: NewKey) -> None:
    send(key, click("a-1"), identify("user-1", "a-1"), purchase("user-1"), launch("user-1"))
    queue.drain()
    before = _everything()
    Batch.objects.update(state=BatchState.PENDING)

    assert queue.drain() == 1
    assert _everything() == before


def _everything() -> dict[str, Any]:
    return {
        "people": sorted(Person.objects.values_list("pk", "traits", "first_seen_at", "last_seen_at")),
        "identities": sorted(Identity.objects.values_list("person_id", "namespace", "value")),
        "touches": sorted(Touch.objects.values_list("pk", "person_id", "network", "click_id", "clicked_at")),
        "conversions": sorted(Conversion.objects.values_list("pk", "person_id", "touch_id", "reason")),
    }


# Failures


@pytest.mark.parametrize(
    "spoilt",
    [
        {"links": MALFORMED},
        {"traits": ["no", "names"]},
        {"links": [["steam", secrets.token_hex(8000)]]},
        {"event_at": datetime(1, 1, 1, tzinfo=UTC), "properties": {"currency": 1, "value": "x"}},
    ],
    ids=["a ValueError", "an AttributeError", "a row too large for an index", "an odd but digestible event"],
)
def test_a_failing_batch_does_not_stop_the_others(key: NewKey, spoilt: dict[str, Any]) -> None:
    bad = identify("user-bad")
    send(key, purchase("user-1"))
    send(key, bad, purchase("user-2"))
    send(key, purchase("user-3"))
    spoil([bad], **spoilt)
    queue.drain()

    digested = set(Conversion.objects.values_list("user_id", flat=True))
    assert {"user-1", "user-3"} <= digested
    states = list(Batch.objects.order_by("id").values_list("state", flat=True))
    assert states in (["done", "pending", "done"], ["done", "done", "done"])
    assert ("user-2" in digested) == (states[1] == "done")


def test_a_failing_batch_is_rolled_back_and_retried_later(key: NewKey) -> None:
    bad = identify("user-bad")
    with time_machine.travel(datetime.now(UTC), tick=False):
        send(key, bad, purchase("user-2"))
        spoil([bad], links=MALFORMED)
        assert queue.drain() == 0
        now = timezone.now()

    batch = Batch.objects.get()
    assert (batch.state, batch.attempts, batch.next_attempt_at) == ("pending", 1, now + timedelta(seconds=20))
    assert batch.error.startswith("ValueError: ")
    assert not Person.objects.exists()
    assert not Conversion.objects.exists()


def test_a_failing_game_does_not_stop_another(key: NewKey, other_game: Any) -> None:
    bad = identify("user-bad")
    send(key, bad)
    spoil([bad], links=[["steam", secrets.token_hex(8000)]])
    send(create_key(game=other_game, name="web"), purchase("user-1"))
    queue.drain()

    assert list(Conversion.objects.values_list("game_id", flat=True)) == [other_game.pk]


def test_requests_that_came_while_their_game_was_deleted_stop_no_other_game(key: NewKey, other_game: Game) -> None:
    """Deleting a game takes its requests along, but not one that comes behind it: its key is believed for a second."""
    send(key, purchase("user-1"))
    left = Batch.objects.get()
    key.key.game.delete()
    left.save(force_insert=True)
    send(create_key(game=other_game, name="theirs"), purchase("user-2"))

    assert queue.drain() == 2
    left.refresh_from_db()
    assert (left.state, left.error) == (BatchState.DONE, "The game was deleted.")
    assert Conversion.objects.get().game == other_game


def test_a_failing_batch_is_retried_with_doubled_delays_and_then_set_aside(key: NewKey) -> None:
    bad = identify("user-bad")
    now = datetime.now(UTC)
    waits = []
    with time_machine.travel(now, tick=False) as clock:
        send(key, bad)
        spoil([bad], links=MALFORMED)
        for _ in range(isolation.MAX_ATTEMPTS):
            queue.drain()
            batch = Batch.objects.get()
            waits.append(batch.next_attempt_at - timezone.now())
            clock.move_to(batch.next_attempt_at)

        assert waits == [timedelta(seconds=seconds) for seconds in (20, 40, 80, 160, 320, 640, 1280, 2560)]
        assert (batch.state, batch.attempts) == (BatchState.FAILED, 8)
        clock.shift(timedelta(days=1))
        assert queue.drain() == 0
    assert Event.objects.count() == 1


def test_a_batch_that_succeeds_on_a_retry_is_digested(key: NewKey) -> None:
    bad = identify("user-1")
    send(key, bad)
    spoil([bad], links=MALFORMED)
    queue.drain()
    spoil([bad], links=[])
    Batch.objects.update(next_attempt_at=F("received_at"))

    assert queue.drain() == 1
    batch = Batch.objects.get()
    assert (batch.state, batch.attempts, batch.error) == ("done", 1, "")


def test_the_error_of_a_batch_repeats_no_row(key: NewKey) -> None:
    """PostgreSQL's DETAIL quotes the row, and an erasure does not look into the batches' errors."""
    digest(key, identify("player@example.com"))
    person = Person.objects.get()
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Identity.objects.create(game=person.game, person=person, namespace="user", value="player@example.com")
    assert "player@example.com" in str(caught.value)
    batch = Batch.objects.get()
    queue.postpone(batch.pk, caught.value)

    batch.refresh_from_db()
    assert batch.error == ('IntegrityError: duplicate key value violates unique constraint "one_person_per_identity"')


# Two workers, and a killed one


def digested_by_workers(count: int, key: NewKey) -> list[int]:
    """How many batches each of `count` processes digested of the key's game, with nothing left at the end."""
    digested: list[int] = []

    def work() -> None:
        done = 0
        # Not drain(): only one thread of a process digests a game.
        while Batch.objects.due().exists():
            done += queue.digest(game_id=key.key.game_id)
        digested.append(done)

    for thread in [in_thread(work) for _ in range(count)]:
        thread.join(60)
    return digested


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_digest_every_batch_once(key: NewKey) -> None:
    """The same three players in every batch, each launching ten times under ids that only aliases join."""
    for number in range(10):
        players = [f"player-{n}" for n in range(3)]
        send(key, *[launch(f"{player}-{number}") for player in players])
        send(key, *[alias(f"{player}-{number}", player) for player in players], *[purchase(p) for p in players])

    assert sum(digested_by_workers(2, key)) == 20
    assert not Batch.objects.exclude(state=BatchState.DONE).exists()
    assert Person.objects.count() == 3
    assert Conversion.objects.filter(trigger="purchase").count() == 30
    assert Conversion.objects.filter(trigger="game_launch").count() == 30
    assert Conversion.objects.filter(trigger="game_launch").exclude(reason="repeat_launch").count() == 3


@pytest.mark.django_db(transaction=True)
def test_ten_workers_at_one_hot_player_digest_every_batch_once(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "EVENTS_AT_ONCE", 100)
    for number in range(30):
        progress = [message(userId="hot", eventTimestamp=ago(seconds=3000 - number)) for _ in range(48)]
        send(key, *progress, launch("hot"), purchase("hot"))

    digested = digested_by_workers(10, key)

    assert (len(digested), sum(digested)) == (10, 30)
    assert Conversion.objects.filter(trigger="purchase").count() == 30
    assert Conversion.objects.filter(trigger="game_launch").exclude(reason="repeat_launch").count() == 1
    assert Person.objects.get().last_seen_at == max(Event.objects.values_list("event_at", flat=True))


def test_a_thread_skips_a_game_that_another_thread_digests(key: NewKey, other_game: Any) -> None:
    send(key, purchase("user-1"))
    send(create_key(game=other_game, name="web"), purchase("user-2"))
    with queue.game_locks.setdefault(key.key.game_id, threading.Lock()):
        assert queue.drain() == 1
        assert Batch.objects.due().get().game_id == key.key.game_id

    assert queue.drain() == 1


def test_a_drain_waits_for_more_events_before_every_run_but_the_first(
    key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(queue, "BATCHES_AT_ONCE", 1)
    monkeypatch.setattr(queue.time, "sleep", waits.append)
    with time_machine.travel(datetime.now(UTC), tick=False) as now:
        send(key, purchase("user-1"))
        send(key, purchase("user-2"))
        assert queue.drain() == 2
        assert waits == [queue.GATHER_AGE.total_seconds()]

        send(key, purchase("user-3"))
        send(key, purchase("user-4"))
        now.shift(timedelta(seconds=1))
        assert queue.drain() == 2
        assert waits[1:] == [0.0]


@pytest.mark.django_db(transaction=True)
def test_a_second_worker_skips_a_game_that_another_worker_digests(key: NewKey) -> None:
    send(key, purchase("user-1"))
    with own_connection() as first, first.cursor() as cursor:
        name = f"digest game {key.key.game_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        assert queue.drain() == 0
        assert Batch.objects.due().count() == 1

    assert queue.drain() == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_dies_half_way_rolls_back_and_runs_again(key: NewKey) -> None:
    """The backend is ended while the run waits for a lock, its persons and touches already written."""
    send(key, click("a-1"), identify("user-1", "a-1"), purchase("user-1"))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            queue.drain()
        except OperationalError as error:
            failures.append(error)

    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("LOCK audience_conversion IN ACCESS EXCLUSIVE MODE")
        thread = in_thread(work)
        end_backend(wait_for_a_lock())
        thread.join(20)

    assert len(failures) == 1
    batch = Batch.objects.get()
    assert (batch.state, batch.attempts) == ("pending", 0)
    assert not Person.objects.exists()
    assert not Touch.objects.exists()

    assert queue.drain() == 1
    assert [(c.touch.click_id, c.reason) for c in Conversion.objects.select_related("touch")] == [("T1", "")]


def test_a_message_without_any_usable_id_is_stored_and_belongs_to_nobody(key: NewKey) -> None:
    send(key, message(userId="unknown"), message(userId="unknown"))
    queue.drain()

    assert Event.objects.count() == 2
    assert not Person.objects.exists()
    assert not Identity.objects.exists()
