"""Isolation of failing rows: which errors count, what is stored about them, and how often they are retried."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from audience.background import isolation
from audience.background.isolation import FailureKey
from audience.models import FailedWork, Game, Queue
from tests import factories

pytestmark = pytest.mark.django_db


def raised(query: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(query)
    return caught.value


def halve(rows: Sequence[int]) -> list[int]:
    """Work that no odd number gets through."""
    if any(row % 2 for row in rows):
        raise ValueError("odd")
    return [row // 2 for row in rows]


def place(row: int) -> FailureKey:
    return FailureKey(str(row), None)


def halved(rows: Sequence[int]) -> list[list[int]]:
    return isolation.process_together(Queue.FAN_OUT, rows, halve, failure_key=place)


def come_due() -> None:
    FailedWork.objects.update(next_attempt_at=timezone.now())


@pytest.mark.parametrize(
    "error",
    [OperationalError("server closed the connection"), InterfaceError("connection already closed")],
)
def test_a_lost_connection_is_not_recorded_against_a_row(error: Exception) -> None:
    with pytest.raises(type(error)):
        isolation.raise_if_unavailable(error)


def test_a_lock_timeout_is_not_recorded_against_a_row() -> None:
    error = raised("DO $$ BEGIN RAISE lock_not_available; END $$")
    with pytest.raises(OperationalError):
        isolation.raise_if_unavailable(error)


def test_a_row_too_large_for_its_index_is_recorded_against_the_row() -> None:
    error = raised("DO $$ BEGIN RAISE program_limit_exceeded; END $$")
    assert isinstance(error, OperationalError)
    isolation.raise_if_unavailable(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OverflowError("date value out of range"), "OverflowError: date value out of range"),
        (KeyError("ada@example.com"), "KeyError: …"),
        (ValueError("no number: 'O\\'Brien'"), "ValueError: no number: …"),
        (ValueError("no such person ada@example.com here"), "ValueError: no such person … here"),
        (ValueError("cut off: 'Ada Love"), "ValueError: cut off: …"),
        (TypeError("can't compare offset-naive datetimes"), "TypeError: can't compare offset-naive datetimes"),
        (ValueError("first line\nKey (email)=(ada)"), "ValueError: first line"),
    ],
)
def test_an_error_message_leaves_out_the_values_it_quotes(error: Exception, said: str) -> None:
    assert isolation.describe_error(error) == said


def test_a_database_error_names_its_constraint_and_no_value() -> None:
    error = raised("SELECT 'ada-lovelace'::int")
    assert isolation.describe_error(error) == "DataError: invalid input syntax for type integer: …"
    game = factories.game(slug="ada")
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Game.objects.create(name="Other", slug=game.slug)
    said = isolation.describe_error(caught.value)
    assert said.startswith('IntegrityError: duplicate key value violates unique constraint "audience_game_slug')
    assert "ada" not in said


def test_a_long_error_message_is_truncated() -> None:
    assert len(isolation.describe_error(ValueError("x" * 5000))) == 2000


def test_failing_rows_are_recorded_and_all_others_are_processed() -> None:
    assert [row for half in halved([2, 4, 5, 6, 8, 9]) for row in half] == [1, 2, 3, 4]
    noted = FailedWork.objects.order_by("row").values_list("queue", "row", "attempts", "error")
    assert list(noted) == [("fan_out", "5", 1, "ValueError: odd"), ("fan_out", "9", 1, "ValueError: odd")]


def test_a_row_that_another_worker_recorded_meanwhile_is_not_counted_twice() -> None:
    halved([5])
    halved([5])
    assert FailedWork.objects.get().attempts == 1


def test_a_failed_row_is_retried_with_doubling_delays_and_then_set_aside() -> None:
    halved([5])
    waits = []
    for attempt in range(1, isolation.MAX_ATTEMPTS):
        failure = FailedWork.objects.get()
        assert (failure.attempts, failure.set_aside_at) == (attempt, None)
        waits.append(round((failure.next_attempt_at - timezone.now()).total_seconds(), -1))
        assert isolation.retry(Queue.FAN_OUT, lambda failure: halve([int(failure.row)])) == 0
        assert FailedWork.objects.get().attempts == attempt
        come_due()
        assert isolation.retry(Queue.FAN_OUT, lambda failure: halve([int(failure.row)])) == 0
    assert waits == [20, 40, 80, 160, 320, 640, 1280]
    failure = FailedWork.objects.get()
    assert failure.attempts == isolation.MAX_ATTEMPTS == 8
    assert failure.set_aside_at is not None
    come_due()
    assert isolation.retry(Queue.FAN_OUT, lambda failure: None) == 0


def test_the_record_of_a_failed_row_is_deleted_once_it_succeeds() -> None:
    halved([5])
    come_due()
    assert isolation.retry(Queue.FAN_OUT, lambda failure: halve([6])) == 1
    assert not FailedWork.objects.exists()


def test_a_failed_row_that_cannot_be_tried_now_stays() -> None:
    halved([5])
    come_due()

    def work(failure: FailedWork) -> None:
        raise isolation.RetryLater

    assert isolation.retry(Queue.FAN_OUT, work) == 0
    failure = FailedWork.objects.get()
    assert failure.attempts == 1
    assert timedelta() < failure.next_attempt_at - timezone.now() <= isolation.LEASE


def test_nothing_is_recorded_when_the_database_becomes_unavailable() -> None:
    def work(rows: Sequence[int]) -> None:
        raise OperationalError("server closed the connection")

    with pytest.raises(OperationalError):
        isolation.process_together(Queue.FAN_OUT, [1, 2], work, failure_key=place)
    assert not FailedWork.objects.exists()


def test_steps_are_processed_one_by_one_and_a_failed_one_only_when_due() -> None:
    tried: list[int] = []

    def step(row: int) -> int:
        tried.append(row)
        return halve([row])[0]

    def sweep() -> list[int]:
        tried.clear()
        return list(isolation.process_each(Queue.PRUNE, [2, 3, 4], step, failure_key=place))

    assert (sweep(), tried) == ([1, 2], [2, 3, 4])
    assert (sweep(), tried) == ([1, 2], [2, 4])
    come_due()
    assert (sweep(), tried) == ([1, 2], [2, 3, 4])
    assert FailedWork.objects.get().attempts == 2


def test_a_failure_of_a_deleted_game_is_not_recorded() -> None:
    gone = factories.game()
    pk = gone.pk
    gone.delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    isolation.record_failure(Queue.FAN_OUT, FailureKey("1", pk), ValueError("odd"))
    assert not FailedWork.objects.exists()
