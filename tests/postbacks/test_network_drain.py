"""NetworkDrain: concurrent calls of one network, with answers recorded by one thread."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from postbacks.delivery import attempts, breaker, claims, recording, sending
from postbacks.delivery.leases import Claim
from postbacks.delivery.recording import CallResult
from postbacks.delivery.sending import NetworkDrain
from postbacks.http import network_calls
from postbacks.models import (
    CheckState,
    CredentialCheck,
    Delivery,
    DeliveryAttempt,
    Flow,
    PostbackConfig,
    Purpose,
)
from postbacks.networks.interface.call import Outcome, Response, Verdict
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience.concurrency import in_thread


def queue(config: PostbackConfig, count: int) -> None:
    for _ in range(count):
        factories.delivery(config, next_attempt_at=timezone.now())


def claimed(count: int) -> list[Claim]:
    found = list(claims.claim(network="tiktok", limit=count))
    assert len(found) == count
    return found


def later(found: Sequence[Claim], seconds: float) -> list[Claim]:
    return [replace(claim, starts_at=claim.starts_at + timedelta(seconds=seconds)) for claim in found]


def finish(drain: NetworkDrain) -> None:
    while drain.in_flight:
        drain.collect()


@pytest.fixture
def unlimited(settings: Any) -> None:
    settings.NETWORK_RATES = {"tiktok": 10_000, "reddit": 10_000}


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "rests"), [(5, True), (4, False)])
def test_claims_of_a_pixel_that_has_to_pause_are_returned(
    sandbox: Sandbox, config: PostbackConfig, count: int, rests: bool
) -> None:
    queue(config, 8)
    sandbox.state.add_fault("tiktok", "unavailable", count)
    drain = NetworkDrain("tiktok")
    found = claimed(8)
    drain.submit([*found[:count], *later(found[count:], 1.5)])
    finish(drain)
    expected = (count, 8 - count) if rests else (8, 0)
    assert (DeliveryAttempt.objects.count(), Delivery.objects.filter(attempts_made=0).count()) == expected
    assert Delivery.objects.exclude(leased_until=None).count() == 0
    assert (Flow.objects.get().open_until is not None) is rests


@pytest.mark.django_db
def test_what_is_claimed_with_a_credential_that_is_refused_is_given_back_once_the_config_is_suspected(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    queue(config, 4)
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    drain = NetworkDrain("tiktok")
    refused, *others = claimed(4)
    drain.submit([refused, *later(others, 1)])
    finish(drain)
    config.refresh_from_db()
    assert config.suspected_at is not None
    assert DeliveryAttempt.objects.values_list("delivery", "verdict").get() == (refused.delivery.pk, "credential")
    assert Delivery.objects.filter(state="waiting", attempts_made=0, leased_until=None).count() == 3


@pytest.mark.django_db
def test_one_refusal_of_a_credential_that_was_just_checked_stops_only_what_was_in_flight(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    given = {"network": "tiktok", "pixel_id": config.pixel_id, "config_version": config.version, "credential": {}}
    CredentialCheck.objects.create(
        game=config.game,
        config=config,
        purpose=Purpose.SUSPICION,
        state=CheckState.PASSED,
        finished_at=timezone.now(),
        triggers=["game_launch"],
        enabled=True,
        **given,
    )
    queue(config, 30)
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    sending.drain(network="tiktok", seconds=6)
    assert sorted(Delivery.objects.values_list("state", "attempts_made")) == [("delivered", 1)] * 29 + [("waiting", 1)]


@pytest.mark.django_db
def test_a_pixel_that_rests_for_seconds_does_not_keep_the_drain_from_the_others(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    later = timezone.now() + timedelta(seconds=4)
    Flow.objects.create(network="tiktok", pixel_id=config.pixel_id, next_slot_at=later)
    queue(config, 1)
    assert sending.drain(network="tiktok", seconds=8) is False
    assert timezone.now() < later, "a wake-up for another pixel would have found the drain asleep"


@pytest.mark.django_db
def test_a_call_that_could_not_begin_in_time_is_given_back(sandbox: Sandbox, config: PostbackConfig) -> None:
    queue(config, 2)
    drain = NetworkDrain("tiktok")
    drain.submit(later(claimed(2), -3))
    finish(drain)
    assert sandbox.received("tiktok") == []
    assert Delivery.objects.filter(attempts_made=0, leased_until=None, first_attempt_at=None).count() == 2


@pytest.mark.django_db
def test_a_drain_that_fails_begins_no_further_call(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process_answers(answers: Sequence[CallResult]) -> set[str]:
        raise ConnectionError("the database is away")

    queue(config, 5)
    sandbox.state.set_delay("tiktok", 0.2)
    monkeypatch.setattr(attempts, "process_answers", process_answers)
    with pytest.raises(ConnectionError), NetworkDrain("tiktok", 1) as drain:
        drain.submit(claimed(5))
    assert len(sandbox.received("tiktok")) <= 2, "the one that was answered, and the one under way by then"


@pytest.mark.django_db
def test_calls_run_side_by_side_up_to_the_maximum_in_threads_without_a_database_connection(
    sandbox: Sandbox, config: PostbackConfig, unlimited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(config, 20)
    sandbox.state.set_delay("tiktok", 0.05)
    real, lock, now, most, connected = network_calls.post, threading.Lock(), 0, 0, []

    def post(*args: Any, **given: Any) -> Any:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
            connected.append(connection.connection is not None)
        try:
            return real(*args, **given)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(network_calls, "post", post)
    sending.drain(network="tiktok", max_in_flight=6)
    assert Delivery.objects.filter(state="delivered").count() == 20
    assert most == 6
    assert connected == [False] * 20


@pytest.mark.django_db
def test_under_load_everything_is_recorded_once_and_no_thread_is_left(
    sandbox: Sandbox, config: PostbackConfig, unlimited: None
) -> None:
    queue(config, 80)
    sandbox.state.add_fault("tiktok", "unavailable", 3)
    sending.drain(network="tiktok", seconds=20, max_in_flight=8)
    states = sorted(Delivery.objects.values_list("state", "attempts_made", "leased_until"))
    assert states == [("delivered", 1, None)] * 77 + [("waiting", 1, None)] * 3
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("deliver-")] == []


@pytest.mark.django_db
def test_answers_that_come_together_are_recorded_together(
    sandbox: Sandbox, config: PostbackConfig, unlimited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(config, 20)
    real, sizes = attempts.process_answers, []

    def process_answers(answers: Sequence[CallResult]) -> set[str]:
        sizes.append(len(answers))
        return real(answers)

    monkeypatch.setattr(attempts, "process_answers", process_answers)
    sending.drain(network="tiktok")
    assert sum(sizes) == 20
    assert max(sizes) > 1


@pytest.mark.django_db
def test_what_becomes_due_while_another_thread_drains_is_not_left_to_the_beat(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second drain returns at once, so the first one has to see what the second one came for."""
    real = sending.NetworkDrain.run

    def run(self: NetworkDrain, until: float) -> None:
        real(self, until)
        queue(config, 1)
        results.append(sending.drain(network="tiktok"))

    results: list[bool] = []
    monkeypatch.setattr(sending.NetworkDrain, "run", run)
    results.append(sending.drain(network="tiktok"))
    assert results == [False, True]


@pytest.mark.django_db
def test_the_body_is_stored_as_it_was_sent(sandbox: Sandbox, config: PostbackConfig) -> None:
    row = factories.delivery(config)
    assert row.conversion is not None
    row.conversion.properties = {"value": 0.1, "currency": "EUR", "items": [{"name": "Zölle „∞“ 'x' %s \\ 🎲"}]}
    row.conversion.save()
    sending.drain(network="tiktok")
    (request,) = sandbox.received("tiktok")
    assert DeliveryAttempt.objects.get().payload == request["body"]
    assert "🎲" in str(request["body"])


@pytest.mark.django_db
def test_a_drain_whose_time_is_up_enqueues_the_next_one_which_goes_on(
    sandbox: Sandbox, config: PostbackConfig, unlimited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[tuple[str, ...]] = []
    monkeypatch.setattr(sending, "wake", lambda *message: woken.append(message))
    queue(config, 20)
    sandbox.state.set_delay("tiktok", 0.2)
    assert sending.drain(network="tiktok", seconds=0.3, max_in_flight=4) is True
    assert woken == [("postbacks.tasks.deliver", "tiktok")]
    assert 4 <= Delivery.objects.filter(state="delivered").count() < 20
    assert Delivery.objects.exclude(leased_until=None).count() == 0
    assert sending.drain(network="tiktok", seconds=20, max_in_flight=4) is False
    assert len(woken) == 1
    assert Delivery.objects.filter(state="delivered", attempts_made=1).count() == 20


@pytest.mark.django_db(transaction=True)
def test_while_the_last_call_of_a_drain_is_made_the_next_drain_sends_what_is_due(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    queue(config, 1)
    sandbox.state.set_delay("tiktok", 3)
    first = threading.Thread(target=sending.drain, kwargs={"network": "tiktok", "seconds": 0.3})
    first.start()
    time.sleep(1)
    sandbox.state.set_delay("tiktok", 0)
    queue(config, 1)
    sending.drain(network="tiktok", seconds=0.3)
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["delivered", "waiting"]
    assert first.is_alive()
    first.join()
    assert list(Delivery.objects.values_list("state", "attempts_made")) == [("delivered", 1)] * 2


@pytest.mark.django_db(transaction=True)
def test_while_the_last_calls_of_two_drains_are_made_a_third_drain_sends_nothing(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    sandbox.state.set_delay("tiktok", 4)
    running = []
    for _ in range(2):
        queue(config, 1)
        running.append(in_thread(lambda: sending.drain(network="tiktok", seconds=0.3)))
        time.sleep(1)
    sandbox.state.set_delay("tiktok", 0)
    queue(config, 1)
    assert sending.drain(network="tiktok") is False
    assert all(thread.is_alive() for thread in running)
    assert sorted(Delivery.objects.values_list("state", "attempts_made")) == [("waiting", 0), *[("waiting", 1)] * 2]

    for thread in running:
        thread.join()
    sending.drain(network="tiktok")
    assert list(Delivery.objects.values_list("state", "attempts_made")) == [("delivered", 1)] * 3


@pytest.mark.django_db
def test_a_drain_that_cannot_begin_keeps_no_later_one_from_its_network(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any) -> NetworkDrain:
        raise MemoryError

    queue(config, 1)
    with monkeypatch.context() as patched:
        patched.setattr(sending, "NetworkDrain", refused)
        for _ in range(3):  # more often than drains of a network may run
            with pytest.raises(MemoryError):
                sending.drain(network="tiktok")
    sending.drain(network="tiktok")
    assert Delivery.objects.get().state == "delivered"


def deadlock() -> OperationalError:
    return OperationalError("deadlock detected")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("failures", "state"), [(3, "delivered"), (4, "waiting")])
def test_an_answer_whose_recording_ends_in_deadlocks_is_recorded_within_three_seconds_or_left_to_its_lease(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch, failures: int, state: str
) -> None:
    def record(answers: Sequence[CallResult]) -> list[UUID]:
        if next(calls) < failures:
            raise deadlock()
        return real(answers)

    queue(config, 1)
    real, calls = recording.record, itertools.count()
    monkeypatch.setattr(recording, "record", record)
    with nullcontext() if state == "delivered" else pytest.raises(OperationalError), NetworkDrain("tiktok") as drain:
        drain.submit(claimed(1))
    assert Delivery.objects.get().state == state
    assert len(sandbox.received("tiktok")) == 1


@pytest.mark.django_db(transaction=True)
def test_a_failure_counts_once_for_its_pixel_when_the_outcomes_of_another_pixel_are_retried(
    config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply_outcomes(*given: Any) -> None:
        if next(calls) == 1:  # the second pixel
            raise deadlock()
        real(*given)

    other = factories.config(config.game, pixel_id="C0SECONDPIXEL0000000")
    for one in (config, other):
        queue(one, 1)
    failed = Outcome(Verdict.TRANSIENT, None, "503")
    answers = [CallResult(claim, failed, None, Response(503, {}, b"", 5)) for claim in claimed(2)]
    real, calls = breaker.apply_outcomes, itertools.count()
    monkeypatch.setattr(breaker, "apply_outcomes", apply_outcomes)
    attempts.process_answers(answers)
    assert dict(Flow.objects.values_list("pixel_id", "failures")) == {config.pixel_id: 1, other.pixel_id: 1}
    assert next(calls) == 3, "the second pixel was tried again, the first one not"


@pytest.mark.django_db
def test_a_claim_that_fails_loses_no_answer_of_the_calls_that_are_made(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(**given: Any) -> Iterator[Claim]:
        if next(calls):
            raise deadlock()
        return real(**given)

    queue(config, 4)
    sandbox.state.set_delay("tiktok", 0.5)
    real, calls = claims.claim, itertools.count()
    monkeypatch.setattr(claims, "claim", claim)
    with pytest.raises(OperationalError):
        sending.drain(network="tiktok")
    assert list(Delivery.objects.values_list("state", "attempts_made")) == [("delivered", 1)] * 4
