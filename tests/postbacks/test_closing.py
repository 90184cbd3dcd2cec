"""Answers closed on a thread beside the desk: one bunch at a time, and none forgotten."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from postbacks.models import Delivery
from postbacks.sandbox.server import Sandbox
from postbacks.sending import delivery
from postbacks.sending.closing import Closing
from tests import factories

Bunch = Any  # what is handed over is nobody's business here


def test_a_bunch_is_begun_while_the_caller_goes_on_and_told_of_with_the_next() -> None:
    go, closed = threading.Event(), []

    def close(answers: Sequence[Bunch]) -> set[str]:
        go.wait(10)
        closed.append((list(answers), threading.current_thread()))
        return {f"pixel-{answers[0]}"}

    with Closing(close) as closing:
        assert closing.start([1]) == set()
        assert closed == []
        go.set()
        assert closing.start([2]) == {"pixel-1"}
        assert closing.wait() == {"pixel-2"}
        assert closing.wait() == set()
    assert [answers for answers, _ in closed] == [[1], [2]]
    assert threading.current_thread() not in {thread for _, thread in closed}


def test_on_the_way_out_the_last_bunch_is_waited_for() -> None:
    closed: list[Bunch] = []

    def close(answers: Sequence[Bunch]) -> set[str]:
        closed.extend(answers)
        return set()

    with Closing(close) as closing:
        closing.start([1, 2])
    assert closed == [1, 2]


def test_a_bunch_that_fails_is_told_and_takes_no_other_with_it() -> None:
    closed: list[Bunch] = []

    def close(answers: Sequence[Bunch]) -> set[str]:
        if answers == [1]:
            raise ConnectionError("the database is away")
        closed.extend(answers)
        return set()

    def two_bunches() -> None:
        with Closing(close) as closing:
            closing.start([1])
            closing.start([2])

    with pytest.raises(ConnectionError):
        two_bunches()
    assert closed == [2]


def test_one_that_fails_on_the_way_out_is_told_too() -> None:
    def close(answers: Sequence[Bunch]) -> set[str]:
        raise ConnectionError("the database is away")

    def one_bunch() -> None:
        with Closing(close) as closing:
            closing.start([1])

    with pytest.raises(ConnectionError):
        one_bunch()


@pytest.mark.django_db(transaction=True)
def test_under_load_everything_is_written_once_and_no_connection_is_left(
    sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bunches of a few, so that many are closed while others fly."""
    settings.NETWORK_RATES = {"tiktok": 10_000, "reddit": 10_000}
    monkeypatch.setattr(delivery, "ENOUGH", 8)
    config = factories.config(factories.game())
    for _ in range(80):
        factories.delivery(config, next_attempt_at=timezone.now())
    sandbox.state.add_fault("tiktok", "unavailable", 3)
    threads = set()
    closing = delivery._close

    def noting(answers: Any) -> set[str]:
        threads.add(threading.current_thread().name.partition("_")[0])
        return closing(answers)

    monkeypatch.setattr(delivery, "_close", noting)
    delivery.drain(network="tiktok", seconds=20, lanes=8)

    assert "close" in threads
    states = sorted(Delivery.objects.values_list("state", "attempts_made", "leased_until"))
    assert states == [("delivered", 1, None)] * 77 + [("waiting", 1, None)] * 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert cursor.fetchone() == (1,)
