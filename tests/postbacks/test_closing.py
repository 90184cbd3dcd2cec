"""Answers closed on a thread beside the desk: one bunch at a time, and none forgotten."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from postbacks.delivery import attempts, claims, sending
from postbacks.delivery.closing import Closing
from postbacks.models import Delivery
from postbacks.networks.interface.network import Outcome, Verdict
from postbacks.sandbox.server import Sandbox
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


def test_a_bunch_that_is_closed_in_place_comes_after_the_one_under_way_also_when_that_failed() -> None:
    go, closed = threading.Event(), []

    def close(answers: Sequence[Bunch]) -> set[str]:
        closed.append((list(answers), threading.current_thread() is here))
        if answers == [1]:
            go.wait(10)
            raise ConnectionError("the database is away")
        return {f"pixel-{answers[0]}"}

    here = threading.current_thread()
    with Closing(close) as closing:
        closing.start([1])
        threading.Timer(0.1, go.set).start()
        with pytest.raises(ConnectionError):
            closing.finish([2])
        closing.start([3])
        assert closing.finish([4]) == {"pixel-3", "pixel-4"}
        assert closing.finish([]) == set()
    assert closed == [([1], False), ([2], True), ([3], False), ([4], True)]


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
    monkeypatch.setattr(sending, "ENOUGH", 8)
    config = factories.config(factories.game())
    for _ in range(80):
        factories.delivery(config, next_attempt_at=timezone.now())
    sandbox.state.add_fault("tiktok", "unavailable", 3)
    threads, before = set(), connections_open()
    closing = sending._close

    def noting(answers: Any) -> set[str]:
        threads.add(threading.current_thread().name.partition("_")[0])
        return closing(answers)

    monkeypatch.setattr(sending, "_close", noting)
    sending.drain(network="tiktok", seconds=20, lanes=8)

    assert "close" in threads
    states = sorted(Delivery.objects.values_list("state", "attempts_made", "leased_until"))
    assert states == [("delivered", 1, None)] * 77 + [("waiting", 1, None)] * 3
    deadline = time.monotonic() + 15
    while connections_open() > before:  # a backend is seen for a moment longer than its client
        assert time.monotonic() < deadline
        time.sleep(0.02)


def connections_open() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_what_was_not_sent_is_given_back_only_when_the_reason_is_written_down(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be claimed at once, and sent with the credential that was refused."""
    order: list[str] = []
    desk = sending._Round("tiktok", 0)
    config = factories.config(factories.game())
    for _ in range(4):
        factories.delivery(config, next_attempt_at=timezone.now())
    [refused, *unsent] = claims.claim(network="tiktok", most=4)
    answer = attempts.Answer(refused, Outcome(Verdict.CREDENTIAL, "40001", "refused"))
    go = threading.Event()

    def close(answers: Sequence[Bunch]) -> set[str]:
        go.wait(10)
        order.append("closed")
        return set()

    monkeypatch.setattr(desk._closing, "_close", close)
    monkeypatch.setattr(attempts, "take_back", lambda claims: order.append(f"{len(claims)} taken back"))
    with desk._closing:
        desk._closing.start([answer])
        desk._lanes._done.extend(unsent)
        desk._lanes.flying = len(unsent)
        threading.Timer(0.1, go.set).start()
        desk._land()
    assert order == ["closed", "3 taken back"]
