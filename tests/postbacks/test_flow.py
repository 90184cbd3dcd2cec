"""Flow control: the pace of the limiter, the pauses of the circuit breaker, and the row of a pixel."""

import random
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from postbacks.delivery import breaker, claims, pace, sending
from postbacks.models import Delivery, DeliveryAttempt, Flow
from postbacks.networks.interface.call import Outcome, Verdict
from postbacks.sandbox.server import Sandbox
from tests import factories

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AWAY = Outcome(Verdict.TRANSIENT, None, "No answer within 10 s")
WELL = Outcome(Verdict.SUCCESS, "0", "OK")


def flow(**given: Any) -> Flow:
    return Flow(**{"network": "reddit", "pixel_id": "a2_sandbox01", **given})


def no_jitter() -> float:
    return 0.0


# The limiter ------------------------------------------------------------------------------------


def test_calls_of_one_pixel_are_an_even_interval_apart() -> None:
    row = flow()
    moments = [moment for _ in range(4) for moment in pace.reserve_slots(row, 3, NOW)]
    assert moments[0] == NOW
    assert {after - before for before, after in pairwise(moments)} == {pace.interval("reddit")}
    assert row.next_slot_at == moments[-1] + pace.interval("reddit")


def test_no_second_has_more_calls_than_the_rate(settings: Any) -> None:
    settings.NETWORK_RATES = {"reddit": 10}
    row = flow()
    moments = [moment for _ in range(50) for moment in pace.reserve_slots(row, 1, NOW)]
    fullest = max(sum(start <= m < start + timedelta(seconds=1) for m in moments) for start in moments)
    assert fullest == 9


def test_time_that_passed_unused_is_not_caught_up_with() -> None:
    row = flow(next_slot_at=NOW - timedelta(hours=1))
    assert pace.reserve_slots(row, 1, NOW) == [NOW]
    assert row.next_slot_at == NOW + pace.interval("reddit")


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0.5, 1), (10, 3), (100, 22), (1000, 213)],
)
def test_slots_are_planned_a_quarter_of_a_second_ahead(settings: Any, rate: float, expected: int) -> None:
    settings.NETWORK_RATES = {"reddit": rate}
    assert pace.free_slots(flow(), NOW) == expected
    assert pace.free_slots(flow(next_slot_at=NOW + timedelta(seconds=1)), NOW) == 0


def test_turns_keep_the_interval_after_a_stall(settings: Any) -> None:
    settings.NETWORK_RATES = {"reddit": 10 / pace.RATE_SHARE}
    moment, slept = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal moment
        slept.append(round(seconds, 3))
        moment += seconds

    turns = pace.CallSpacing(clock=lambda: moment, sleep=sleep)
    for _ in range(3):  # three whose moment passed while the process stood still
        turns.wait("reddit", "a2_x", -5)
    turns.wait("reddit", "a2_other", 0)
    assert slept == [0.1, 0.1]


# The breaker ------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_the_breaker() -> None:
    row = flow()
    breaker.apply_outcomes(row, [AWAY] * 4, NOW, no_jitter)
    assert (row.failures, row.open_until, breaker.is_tripped(row)) == (4, None, False)
    breaker.apply_outcomes(row, [AWAY], NOW, no_jitter)
    assert row.open_until == NOW + breaker.OPEN_PERIOD
    assert breaker.is_open(row, NOW)


@pytest.mark.parametrize("verdict", [Verdict.SUCCESS, Verdict.PAYLOAD, Verdict.CREDENTIAL])
def test_any_answer_of_the_network_closes_the_breaker(verdict: Verdict) -> None:
    row = flow(failures=7, open_until=NOW, probing=True)
    breaker.apply_outcomes(row, [Outcome(verdict, None, "")], NOW)
    assert (row.failures, row.open_until, row.probing) == (0, None, False)


def test_calls_in_flight_when_the_breaker_opened_do_not_extend_the_pause() -> None:
    row = flow()
    breaker.apply_outcomes(row, [AWAY] * 30, NOW, no_jitter)
    assert (row.failures, row.open_until) == (5, NOW + breaker.OPEN_PERIOD)


def test_each_failed_probe_doubles_the_rest_up_to_the_longest() -> None:
    row, rests, now = flow(failures=4), [], NOW
    breaker.apply_outcomes(row, [AWAY], now, no_jitter)
    for _ in range(8):
        assert row.open_until is not None
        rests.append((row.open_until - now).total_seconds())
        now = row.open_until
        breaker.probe(row, now)
        assert breaker.is_open(row, now)  # nobody else tries meanwhile
        breaker.apply_outcomes(row, [AWAY], now, no_jitter)
    assert rests == [15, 30, 60, 120, 240, 480, 600, 600]


def test_jitter_only_adds() -> None:
    row = flow(failures=4)
    breaker.apply_outcomes(row, [AWAY], NOW, lambda: 1.0)
    assert row.open_until == NOW + breaker.OPEN_PERIOD * (1 + breaker.MAX_JITTER)


@pytest.mark.parametrize(("retry_after", "rest"), [(None, pace.DEFAULT_PAUSE), (40.0, timedelta(seconds=40))])
def test_too_many_requests_rests_the_pixel_and_is_no_failure(retry_after: float | None, rest: timedelta) -> None:
    row = flow(failures=3)
    limited = Outcome(Verdict.TRANSIENT, "429", "slow down", retry_after=retry_after, limited=True)
    breaker.apply_outcomes(row, [limited], NOW)
    assert (row.failures, row.open_until, row.limited_at, row.next_slot_at) == (0, None, NOW, NOW + rest)


# Over the tables and the sockets ----------------------------------------------------------------


def queue(count: int, network: str = "tiktok", **given: Any) -> Any:
    config = factories.config(factories.game(), network=network, **given)
    for _ in range(count):
        factories.delivery(config, next_attempt_at=timezone.now() - timedelta(seconds=1))
    return config


@pytest.mark.django_db
def test_an_outage_costs_a_handful_of_attempts_and_then_one_probe_at_a_time(sandbox: Sandbox) -> None:
    queue(12)
    sandbox.state.add_fault("tiktok", "unavailable", 7)
    with time_machine.travel(timezone.now(), tick=True) as clock:
        sending.drain(network="tiktok", max_in_flight=1)
        assert DeliveryAttempt.objects.count() == 5
        assert sending.drain(network="tiktok", max_in_flight=1) is False
        for probes in (1, 2):
            clock.shift(120)
            Delivery.objects.filter(attempts_made__gt=0).update(next_attempt_at=timezone.now() + timedelta(hours=1))
            sending.drain(network="tiktok", max_in_flight=1)
            assert DeliveryAttempt.objects.count() == 5 + probes
        clock.shift(240)
        sending.drain(network="tiktok", max_in_flight=1)
    assert Flow.objects.get().failures == 0
    assert Delivery.objects.filter(state="delivered").count() == 6
    assert Delivery.objects.filter(state="waiting").count() == 6


@pytest.mark.django_db
def test_a_paused_pixel_does_not_delay_another_of_its_network(sandbox: Sandbox) -> None:
    queue(3)
    Flow.objects.create(network="tiktok", pixel_id=factories.PIXELS["tiktok"], next_slot_at=NOW + timedelta(days=900))
    other = queue(1, pixel_id="CSANDBOX0AFTERCLICK2")
    sending.drain(network="tiktok", max_in_flight=1)
    assert Delivery.objects.filter(state="delivered").values_list("config", flat=True).get() == other.pk


@pytest.mark.django_db
def test_two_games_with_one_pixel_share_its_limit(sandbox: Sandbox, settings: Any) -> None:
    settings.NETWORK_RATES = {"tiktok": 1, "reddit": 1}
    queue(1)
    queue(1)
    assert len(list(claims.claim(network="tiktok", limit=5))) == 1
    assert list(claims.claim(network="tiktok", limit=5)) == []
    assert 0.3 < (claims.seconds_until_claimable("tiktok") or 0) <= 1.18


@pytest.mark.django_db(transaction=True)
def test_two_drains_together_keep_to_the_rate(sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.NETWORK_RATES = {"tiktok": 40, "reddit": 10}
    queue(60)

    def work() -> None:
        sending.drain(network="tiktok", seconds=20)
        connection.close()

    def elsewhere() -> None:  # as another process would: with a desk and turns of its own
        sending.NetworkDrain("tiktok", 1).run(sending.time.monotonic() + 20)
        connection.close()

    threads = [threading.Thread(target=work), threading.Thread(target=elsewhere)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Delivery.objects.filter(state="delivered").count() == 60
    at = sorted(datetime.fromisoformat(r["received_at"]).timestamp() for r in sandbox.received("tiktok"))
    assert max(sum(start <= moment < start + 1 for moment in at) for start in at) <= 40


@pytest.mark.django_db(transaction=True)
def test_a_drain_at_work_is_joined_not_doubled(sandbox: Sandbox) -> None:
    queue(20)
    sandbox.state.set_delay("tiktok", 0.2)
    first = threading.Thread(target=lambda: (sending.drain(network="tiktok"), connection.close()))
    first.start()
    while not DeliveryAttempt.objects.exists():
        first.join(0.01)
    assert sending.drain(network="tiktok") is False
    first.join()
    assert set(Delivery.objects.values_list("state", "attempts_made")) == {("delivered", 1)}


@pytest.mark.django_db
def test_the_delivery_that_has_waited_longest_is_sent_first(sandbox: Sandbox) -> None:
    config = queue(0)
    ages = random.Random(4).sample(range(1, 40), 12)
    for age in ages:
        factories.delivery(config, next_attempt_at=timezone.now() - timedelta(minutes=age), event_id=f"age-{age:02}")
    sending.drain(network="tiktok", max_in_flight=1)
    sent = [request["body"]["data"][0]["event_id"] for request in sandbox.received("tiktok")]
    assert sent == [f"age-{age:02}" for age in sorted(ages, reverse=True)]
