"""Lanes: calls side by side, gathered by one thread."""

import threading
import time
from typing import Any

import pytest
from django.utils import timezone

from postbacks.delivery import attempts, claims, pace, sending
from postbacks.delivery.lanes import Lanes
from postbacks.models import Delivery, DeliveryAttempt, Flow
from postbacks.sandbox.server import Sandbox
from tests import factories


def doubled(number: int) -> int:
    return 2 * number


def test_without_lanes_the_caller_makes_the_call() -> None:
    threads = []

    def call(number: int) -> int:
        threads.append(threading.current_thread())
        return doubled(number)

    with Lanes(call, 0) as lanes:
        lanes.start([1, 2])
        assert lanes.gather(enough=9, seconds=5) == [2, 4]
    assert threads == [threading.current_thread()] * 2


def test_everything_that_was_started_comes_back_once() -> None:
    got: list[int] = []
    with Lanes(doubled, 8) as lanes:
        for start in range(0, 500, 50):
            lanes.start(range(start, start + 50))
            got += lanes.gather(enough=20, seconds=5)
        while lanes.flying:
            got += lanes.gather(enough=20, seconds=5)
    assert sorted(got) == [2 * number for number in range(500)]


def test_it_waits_for_as_many_as_are_enough_and_no_longer_than_told() -> None:
    go = threading.Event()

    def call(number: int) -> int:
        if number:
            go.wait(10)
        return number

    with Lanes(call, 2) as lanes:
        lanes.start([0, 1])
        started = time.monotonic()
        assert lanes.gather(enough=1, seconds=10) == [0]
        assert lanes.gather(enough=1, seconds=0.05) == []
        assert time.monotonic() - started < 5
        assert lanes.flying == 1
        go.set()
        assert lanes.gather(enough=64, seconds=10) == [1]  # all that is out is enough


def test_a_desk_that_fails_begins_nothing_more() -> None:
    begun: list[int] = []
    go = threading.Event()

    def call(number: int) -> int:
        begun.append(number)
        go.wait(10)
        return number

    def fail() -> None:
        with Lanes(call, 1) as lanes:
            lanes.start([1, 2, 3])
            while not begun:
                time.sleep(0.01)
            threading.Timer(0.1, go.set).start()
            raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        fail()
    assert begun == [1]


@pytest.mark.django_db
@pytest.mark.parametrize(("fault", "count", "rests"), [("unavailable", 5, True), ("unavailable", 4, False)])
def test_what_is_claimed_of_a_pixel_that_rests_is_taken_back(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str, count: int, rests: bool
) -> None:
    """Claims that wait for a lane while the breaker opens spend no attempt."""
    config = factories.config(factories.game())
    for _ in range(8):
        factories.delivery(config, next_attempt_at=timezone.now())
    sandbox.state.add_fault("tiktok", fault, count)
    desk = sending._Round("tiktok", 0)
    taken = claims.claim(network="tiktok", most=8)
    assert len(taken) == 8
    for part in (taken[:count], taken[count:]):
        desk._lanes.start(part)
        desk._land()
    expected = (count, 8 - count) if rests else (8, 0)
    assert (DeliveryAttempt.objects.count(), Delivery.objects.filter(attempts_made=0).count()) == expected
    assert Delivery.objects.filter(leased_until__isnull=False).count() == 0
    assert Flow.objects.get().open_until is not None if rests else Flow.objects.get().open_until is None


@pytest.mark.parametrize("flying", [1, sending.ENOUGH, sending.ENOUGH + 1])
def test_a_limited_pixel_has_most_of_its_plan_left_when_more_is_claimed(
    monkeypatch: pytest.MonkeyPatch, flying: int
) -> None:
    waited: list[float] = []
    desk = sending._Round("tiktok", 0)
    monkeypatch.setattr(desk._lanes, "flying", flying)
    monkeypatch.setattr(desk._lanes, "gather", lambda *, enough, seconds: waited.append(seconds) or [])

    desk._land()
    is_limited = flying <= sending.ENOUGH
    assert (waited[0] <= pace.AHEAD.total_seconds() / 5) is is_limited


@pytest.mark.django_db
def test_the_body_is_kept_to_the_letter(sandbox: Sandbox) -> None:
    config = factories.config(factories.game())
    row = factories.delivery(config)
    row.conversion.properties = {"value": 0.1, "currency": "EUR", "items": [{"name": "Zölle „∞“ 'x' %s \\ 🎲"}]}
    row.conversion.save()
    sending.drain(network="tiktok", lanes=0)
    (request,) = sandbox.received("tiktok")
    assert DeliveryAttempt.objects.get().payload == request["body"]
    assert "🎲" in str(request["body"])


@pytest.mark.django_db
def test_a_claim_costs_as_many_statements_whatever_its_size(sandbox: Sandbox, django_assert_num_queries: Any) -> None:
    config = factories.config(factories.game())
    for _ in range(15):
        factories.delivery(config)
    Flow.objects.create(network=config.network, pixel_id=config.pixel_id)
    for count in (3, 12):
        with django_assert_num_queries(11):
            taken = claims.claim(network="tiktok", most=count)
        assert len(taken) == count
        assert attempts.latest_start(taken[0]) < attempts.latest_start(taken[-1])
