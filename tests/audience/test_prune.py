"""Pruning of rows whose retention period is over."""

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from audience import tasks
from audience.games.keys import NewKey, create_key
from audience.models import Batch, BatchState, Event, Game, KeyKind, Rejection
from audience.storage import partitions
from audience.storage import prune as pruning
from audience.storage.partitions import BATCHES
from tests.audience.immutable import message, send
from tests.audience.test_partitions import foreign_keys_checked

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 8, 12, tzinfo=UTC)


def pruned() -> dict[str, int]:
    """Rows by the first word of what they were."""
    found: Counter[str] = Counter()
    for one in pruning.prune():
        found[one.what.removeprefix("processed ").split()[0]] += one.rows
    return dict(found)


def rejections(game: Game, count: int, **fields: Any) -> None:
    row = {"game": game, "dialect": "immutable", "errors": [], "raw": {}, "received_at": NOW, **fields}
    Rejection.objects.bulk_create(Rejection(**row) for _ in range(count))


def batch(game: Game, age: timedelta, state: str) -> Batch:
    counts = {"accepted": 1, "duplicates": 0, "rejected": 0, "event_ids": [1]}
    return Batch.objects.create(game=game, dialect="immutable", received_at=NOW - age, state=state, **counts)


def test_rejections_are_kept_7_days(game: Game) -> None:
    for age in (timedelta(days=7), timedelta(days=7, seconds=1), timedelta(days=8), timedelta(0)):
        rejections(game, 1, received_at=NOW - age)
    with time_machine.travel(NOW, tick=False):
        assert pruned() == {"rejections": 2}

    ages = Rejection.objects.order_by("received_at").values_list("received_at", flat=True)
    assert list(ages) == [NOW - timedelta(days=7), NOW]


@pytest.mark.long
def test_the_newest_10_000_rejections_of_a_game_are_kept(game: Game, other_game: Game) -> None:
    rejections(game, 3, message_id="old")
    rejections(game, 10_000, message_id="new")
    rejections(other_game, 10_000)
    with time_machine.travel(NOW, tick=False):
        assert pruned() == {"rejections": 3}
        assert pruned() == {}

    assert Rejection.objects.filter(game=game, message_id="new").count() == 10_000
    assert Rejection.objects.filter(game=other_game).count() == 10_000


@pytest.mark.long
def test_a_flood_with_a_public_key_does_not_displace_rejections_of_a_server(game: Game) -> None:
    public, own = create_key(game=game, name="web"), create_key(game=game, name="backend", kind=KeyKind.SERVER)
    rejections(game, 3, key=own.key)
    rejections(game, 2, message_id="old", key=public.key)
    rejections(game, 9_997, message_id="new", key=public.key)
    with time_machine.travel(NOW, tick=False):
        assert pruned() == {"rejections": 2}
        assert pruned() == {}

    assert Rejection.objects.filter(key=own.key).count() == 3
    assert Rejection.objects.filter(message_id="new").count() == 9_997


def test_digested_batches_are_kept_31_days_and_undigested_ones_until_they_are_digested(game: Game) -> None:
    month, older = timedelta(days=31), timedelta(days=31, seconds=1)
    kept = [batch(game, month, BatchState.DONE), batch(game, older, "pending"), batch(game, older, "failed")]
    batch(game, older, BatchState.DONE)
    with time_machine.travel(NOW, tick=False):
        assert pruned() == {"batches": 1}

    assert sorted(Batch.objects.values_list("pk", flat=True)) == sorted(row.pk for row in kept)


def test_the_task_prunes_and_leaves_events_alone(key: NewKey) -> None:
    send(key, message(), message(surface="tv"))
    Rejection.objects.update(received_at=timezone.now() - timedelta(days=8))
    tasks.prune()

    assert not Rejection.objects.exists()
    assert Event.objects.count() == 1


def test_of_a_large_refused_message_only_its_size_and_ids_are_stored(key: NewKey) -> None:
    send(key, message(surface="tv", properties={"note": "x" * 40_000}), message(surface="tv"))
    cut, whole = Rejection.objects.order_by("id")

    assert set(cut.raw) == {"truncated", "bytes"}
    assert cut.raw["truncated"] is True
    assert cut.raw["bytes"] > 40_000
    assert cut.subjects[-1] == "user-123"
    assert whole.raw["surface"] == "tv"


def test_a_week_of_batches_is_dropped_and_its_undigested_ones_are_kept(game: Game) -> None:
    week = date(2026, 2, 23)
    partitions.create_partition(BATCHES, week)
    old = NOW - timedelta(days=38)
    with time_machine.travel(NOW, tick=False):
        rows = [batch(game, timedelta(days=38), state) for state in (BatchState.DONE, "pending", "failed")]
        assert rows[0].received_at == old
        foreign_keys_checked()
        # The week ended on the second of March: until the second of April somebody may look 31 days back into it.
        with time_machine.travel(datetime(2026, 4, 1, 23, 59, tzinfo=UTC), tick=False):
            assert pruned() == {}
        would = pruning.prune(dry_run=True)
        assert Batch.objects.count() == 3
        assert [(one.partition, one.rows) for one in would] == [("audience_batch_20260223", 3)]
        assert pruning.prune() == would

    assert sorted(Batch.objects.values_list("state", flat=True)) == ["failed", "pending"]
    assert "audience_batch_20260223" not in {part.name for part in partitions.list_partitions(BATCHES)}


def test_many_rows_are_deleted_in_steps_until_the_time_is_over(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience.storage.prune_steps.ROWS_AT_ONCE", 10)
    rejections(game, 35, received_at=NOW - timedelta(days=8))
    with time_machine.travel(NOW, tick=False):
        first = pruning.prune(seconds=1e-9)
        assert [one.rows for one in first] == []
        step = next(iter(pruning.steps(NOW)))
        assert step.execute(time.monotonic()).rows == 10
        assert step.execute(time.monotonic() + 60).rows == 25


def test_the_bytes_pruned_are_those_of_the_rows(game: Game) -> None:
    rejections(game, 2, received_at=NOW - timedelta(days=8), message_id="x" * 100)
    with time_machine.travel(NOW, tick=False):
        (would,) = pruning.prune(dry_run=True)
        assert pruning.prune() == [would]

    assert 200 < would.bytes < 1_000
