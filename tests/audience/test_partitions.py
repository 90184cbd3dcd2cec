"""The partitions of the event table."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from audience import tasks
from audience.games.keys import NewKey
from audience.intake.messages.message import Message
from audience.intake.storing.accept import accept
from audience.models import Batch, Dialect, Event, Game, Kind
from audience.storage import partitions, partitions_ahead
from audience.storage.partitions import BATCHES, EVENTS
from tests.audience.concurrency import in_thread, own_connection, wait_for_a_lock

pytestmark = pytest.mark.django_db
# Far from the days that the migration made.
DAY = date(2031, 5, 1)
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


def store(key: NewKey, message_id: str, day: date) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    message = Message(kind=Kind.TRACK, message_id=message_id, event_at=at, day=day, user_id="user-1")
    accept(key=key.key, dialect=Dialect.IMMUTABLE, messages=[message], received_at=at)


def homes() -> Counter[str]:
    """How many events lie in which partition."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, count(*) FROM audience_event GROUP BY 1")
        return Counter(dict(cursor.fetchall()))


def made() -> tuple[list[str], list[str]]:
    """The partitions of events and of batches that were made now."""
    found = partitions_ahead.create_ahead()
    return [name for name in found if "event" in name], [name for name in found if "batch" in name]


def indexes_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
        return {definition.partition(" USING ")[2] for (definition,) in cursor.fetchall()}


def test_the_migration_made_31_days_back_and_7_ahead(key: NewKey) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audience_event'::regclass "
            "AND inhrelid <> 'audience_event_default'::regclass"
        )
        assert cursor.fetchone()[0] >= 39
    today = datetime.now(UTC).date()
    for offset in (-31, 0, 7):
        store(key, f"m{offset}", today + timedelta(days=offset))

    assert homes() == {f"audience_event_{today + timedelta(days=offset):%Y%m%d}": 1 for offset in (-31, 0, 7)}


def test_seven_days_of_events_and_two_weeks_of_batches_are_created_ahead_once() -> None:
    with time_machine.travel(NOON, tick=False):
        events, batches = made()
        assert events == [f"audience_event_{DAY + timedelta(days=offset):%Y%m%d}" for offset in range(8)]
        # Weeks begin on Monday, and the first of May is a Thursday.
        assert batches == [f"audience_batch_2031{day}" for day in ("0428", "0505", "0512")]
        assert partitions_ahead.create_ahead() == []
    with time_machine.travel(NOON + timedelta(days=2), tick=False):
        assert partitions_ahead.create_ahead() == ["audience_event_20310509", "audience_event_20310510"]
    with time_machine.travel(NOON + timedelta(days=4), tick=False):
        assert partitions_ahead.create_ahead()[2:] == ["audience_batch_20310519"]


def test_the_days_of_partitions_are_in_utc() -> None:
    with time_machine.travel(datetime.fromisoformat("2031-05-01T23:30:00-05:00"), tick=False):
        assert partitions_ahead.create_ahead()[0] == "audience_event_20310502"


def test_the_task_creates_partitions() -> None:
    with time_machine.travel(NOON, tick=False):
        tasks.make_partitions()

        assert partitions_ahead.create_ahead() == []


def test_an_event_of_a_day_without_a_partition_is_taken_by_the_default_one(key: NewKey) -> None:
    store(key, "import", date(2019, 1, 1))

    assert homes() == {"audience_event_default": 1}
    assert Event.objects.get().day == date(2019, 1, 1)


def test_a_new_partition_takes_over_its_day_from_the_default_one(key: NewKey) -> None:
    for number in range(3):
        store(key, f"m{number}", DAY)
    store(key, "next", DAY + timedelta(days=1))
    before = list(Event.objects.order_by("id").values())

    assert partitions.create_partition(EVENTS, DAY) is True
    assert partitions.create_partition(EVENTS, DAY) is False
    assert homes() == {"audience_event_20310501": 3, "audience_event_default": 1}
    assert list(Event.objects.order_by("id").values()) == before


def test_a_new_partition_has_the_indexes_and_stores_a_message_once(key: NewKey) -> None:
    partitions.create_partition(EVENTS, DAY)
    store(key, "m1", DAY)
    store(key, "m1", DAY)
    store(key, "m2", DAY)

    assert homes() == {"audience_event_20310501": 2}
    assert indexes_of("audience_event_20310501") == indexes_of("audience_event_default")
    assert len(indexes_of("audience_event_20310501")) == 6
    assert Event.objects.values("id").distinct().count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_make_a_partition_once(key: NewKey) -> None:
    made: list[Any] = []
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audience_event partitions'))")
        threads = [in_thread(lambda: made.append(partitions.create_partition(EVENTS, DAY))) for _ in range(2)]
        wait_for_a_lock()
        other.rollback()
        for thread in threads:
            thread.join(20)
    try:
        assert sorted(made) == [False, True]
        store(key, "m1", DAY)
        assert homes() == {"audience_event_20310501": 1}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audience_event_20310501")


def batch(game: Game, received_at: datetime, state: str = "done", model: Any = Batch) -> Any:
    counts = {"accepted": 1, "duplicates": 0, "rejected": 0, "event_ids": [1]}
    return model.objects.create(game_id=game.pk, dialect="immutable", received_at=received_at, state=state, **counts)


def foreign_keys_checked() -> None:
    """As at a commit: with checks pending no table is dropped."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def homes_of_batches() -> dict[int, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, tableoid::regclass::text FROM audience_batch")
        return dict(cursor.fetchall())


def test_a_new_partition_of_batches_takes_over_its_week_from_the_default_one(game: Game) -> None:
    sunday = datetime(2031, 5, 4, 23, 59, 59, tzinfo=UTC)
    before, after = batch(game, sunday), batch(game, sunday + timedelta(seconds=1))
    partitions.create_partition(BATCHES, date(2031, 4, 28))

    assert homes_of_batches() == {before.pk: "audience_batch_20310428", after.pk: "audience_batch_default"}
    assert indexes_of("audience_batch_20310428") == indexes_of("audience_batch_default")
    assert Batch.objects.get(pk=before.pk).received_at == sunday


def test_a_batch_is_stored_in_the_partition_of_its_week(key: NewKey) -> None:
    today = datetime.now(UTC).date()
    store(key, "m1", today)

    assert list(homes_of_batches().values()) == [BATCHES.name(BATCHES.start(today))]
    assert BATCHES.start(NOON.date()) == NOON.date() - timedelta(days=NOON.weekday())


def test_a_list_of_partitions_has_range_rows_and_size(key: NewKey) -> None:
    partitions.create_partition(EVENTS, DAY)
    store(key, "m1", DAY)
    *_, last, default = partitions.list_partitions(EVENTS)

    assert (last.name, last.start, last.end) == ("audience_event_20310501", DAY, DAY + timedelta(days=1))
    assert (last.rows, last.count_rows()) == (None, 1)
    assert last.bytes > 0
    assert (default.name, default.start, default.end) == ("audience_event_default", None, None)


def test_a_partition_is_dropped_unless_a_row_must_be_kept(game: Game) -> None:
    partitions.create_partition(BATCHES, date(2031, 4, 28))
    done, waits = batch(game, NOON), batch(game, NOON, "pending")
    foreign_keys_checked()
    part = next(part for part in partitions.list_partitions(BATCHES) if part.start == date(2031, 4, 28))

    held = "EXISTS (SELECT 1 FROM audience_batch WHERE id = %s)"
    assert partitions.drop(part, unless=held, params=[done.pk]) is False
    assert set(homes_of_batches()) == {done.pk, waits.pk}
    assert partitions.drop(part, keep="state <> 'done'") is True
    assert homes_of_batches() == {waits.pk: "audience_batch_default"}
    assert partitions.drop(part) is False


@pytest.mark.django_db(transaction=True)
def test_a_locked_table_is_tried_again_after_a_short_timeout(key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MAX_TRIES", 2)
    monkeypatch.setattr(partitions, "PAUSE_SECONDS", 0.01)
    partitions.create_partition(EVENTS, DAY)
    part = next(part for part in partitions.list_partitions(EVENTS) if part.start == DAY)
    with own_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audience_event")
        with pytest.raises(OperationalError, match="lock timeout"):
            partitions.drop(part)
        assert part.name in [found.name for found in partitions.list_partitions(EVENTS)]
        other.rollback()

    assert partitions.drop(part) is True


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_the_migration_moves_every_batch_forth_and_back(key: NewKey) -> None:
    game, now = key.key.game, timezone.now()
    try:
        old = migrated("0009_days_that_events_are_kept")
        for weeks in (0, 3, 60):
            batch(game, now - timedelta(weeks=weeks), "pending" if weeks else "done", old)
        old.objects.filter(state="done").update(key_id=key.key.pk)
        before = list(old.objects.order_by("id").values())
        migrated("0010_batch_partitions")
        assert list(old.objects.order_by("id").values()) == before
        homes = homes_of_batches()
        assert [homes[row["id"]] == "audience_batch_default" for row in before] == [False, False, True]
        assert batch(game, now, model=old).pk > before[-1]["id"]
        migrated("0009_days_that_events_are_kept")
        assert list(old.objects.order_by("id").values())[:3] == before
        assert batch(game, now, model=old).pk == old.objects.order_by("-id").values_list("pk", flat=True)[0]
    finally:
        MigrationExecutor(connection).migrate(newest_migrations())


def migrated(name: str) -> Any:
    """Migrate to this state, and return its model of batches."""
    state = MigrationExecutor(connection).migrate([("audience", name)])
    return state.apps.get_model("audience", "Batch")


def newest_migrations() -> list[tuple[str, str]]:
    return MigrationExecutor(connection).loader.graph.leaf_nodes()
