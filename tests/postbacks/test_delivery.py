"""Sending deliveries to the sandbox, with workers that are killed or run at the same time."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from audience.models import Conversion, Touch
from postbacks import erasure
from postbacks.configs import lifecycle
from postbacks.delivery import attempts, claims, sending
from postbacks.delivery.leases import Claim
from postbacks.delivery.recording import CallResult
from postbacks.models import Delivery, DeliveryAttempt, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.call import Outcome, Response, Verdict
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.network_urls import point_at
from tests.postbacks.echo import Echo

pytestmark = pytest.mark.django_db


def waiting(network: str = "tiktok", count: int = 1, **of_conversion: Any) -> Any:
    """The first of `count` deliveries that wait to be sent, with config, player and click."""
    game = factories.game()
    factories.config(game, network=network)
    player = factories.person(game, anonymous="anon-1", user="user-1")
    click = factories.touch(player, network=network)
    for _ in range(count):
        factories.conversion(player, touch=click, **of_conversion)
    fan_out.fan_out_due()
    return Delivery.objects.order_by("created_at").first()


def drain() -> bool:
    """In this thread, so that it sees the test's transaction; whether anything that may be sent is left."""
    left = [sending.drain(network=network, max_in_flight=1) for network in NETWORKS]
    return any(left)


def claimed() -> Any:
    """A claim of TikTok's next delivery, or None."""
    return next(claims.claim(network="tiktok"), None)


def log() -> list[tuple[Any, ...]]:
    return list(
        DeliveryAttempt.objects.order_by("number").values_list("number", "status", "verdict", "http_status", "message")
    )


def in_seconds(row: Any) -> float:
    return float((row.next_attempt_at - timezone.now()).total_seconds())


def test_an_accepted_postback_is_delivered_with_one_attempt_in_the_log(sandbox: Sandbox) -> None:
    row = waiting()
    assert drain() is False
    row.refresh_from_db()
    assert (row.state, row.attempts_made, row.next_attempt_at, row.leased_until) == ("delivered", 1, None, None)
    assert row.finished_at is not None
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.number, attempt.status, attempt.verdict, attempt.http_status) == (1, "success", "success", 200)
    assert (attempt.provider_code, attempt.message, attempt.config_version) == ("0", "OK", 1)
    assert attempt.request_id
    assert attempt.latency_ms is not None
    assert attempt.finished_at is not None
    (request,) = sandbox.received("tiktok")
    event = request["body"]["data"][0]
    assert event["event_id"] == row.event_id
    assert event["event_time"] == int(row.event_at.timestamp())
    assert (event["user"]["ttclid"], event["user"]["ip"]) == ("E.C.P.click", "203.0.113.7")
    assert (event["properties"]["value"], event["properties"]["currency"]) == (9.99, "USD")


def test_reddit_gets_its_own_event(sandbox: Sandbox) -> None:
    row = waiting("reddit", trigger="game_launch", properties={})
    drain()
    (request,) = sandbox.received("reddit")
    event = request["body"]["data"]["events"][0]
    assert event["type"] == {"tracking_type": "CUSTOM", "custom_event_name": "game_launch"}
    assert event["event_at"] // 1000 == int(row.event_at.timestamp())
    assert event["metadata"] == {"conversion_id": row.event_id}
    assert log() == [(1, "success", "success", 200, "Successfully processed 1 conversion events.")]


def test_a_delivery_refused_twice_with_503_succeeds_once(sandbox: Sandbox) -> None:
    row = waiting()
    sandbox.state.add_fault("tiktok", "unavailable", 2)
    with time_machine.travel(timezone.now(), tick=True) as clock:
        drain()
        row.refresh_from_db()
        assert (row.state, row.leased_until) == ("waiting", None)
        assert 29 < in_seconds(row) <= 33
        assert drain() is False
        assert row.attempts.count() == 1
        clock.shift(34)
        drain()
        row.refresh_from_db()
        assert 119 < in_seconds(row) <= 132
        clock.shift(133)
        drain()
    row.refresh_from_db()
    assert (row.state, row.attempts_made) == ("delivered", 3)
    assert [entry[:4] for entry in log()] == [
        (1, "retried", "transient", 503),
        (2, "retried", "transient", 503),
        (3, "success", "success", 200),
    ]
    sent = {request["body"]["data"][0]["event_id"] for request in sandbox.received("tiktok")}
    assert sent == {row.event_id}


@pytest.mark.parametrize(
    ("network", "fault", "verdict", "status"),
    [
        ("tiktok", "bad_request", "payload", 200),
        ("reddit", "bad_request", "payload", 400),
    ],
)
def test_a_refusal_fails_and_is_not_retried(
    sandbox: Sandbox, network: str, fault: str, verdict: str, status: int
) -> None:
    row = waiting(network)
    sandbox.state.add_fault(network, fault, 1)
    drain()
    row.refresh_from_db()
    assert (row.state, row.next_attempt_at, row.leased_until) == ("failed", None, None)
    assert [entry[:4] for entry in log()] == [(1, "failed", verdict, status)]
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        drain()
    assert DeliveryAttempt.objects.count() == 1


@pytest.mark.parametrize(("fault", "status"), [("html_502", 502), ("rate_limited", 200), ("reset", None)])
def test_connection_errors_are_retried(sandbox: Sandbox, fault: str, status: int | None) -> None:
    row = waiting()
    sandbox.state.add_fault("tiktok", fault, 1)
    drain()
    row.refresh_from_db()
    assert (row.state, row.next_attempt_at is not None) == ("waiting", True)
    assert [entry[:4] for entry in log()] == [(1, "retried", "transient", status)]


def test_a_call_without_an_answer_ends_after_the_timeout(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 0.2)
    row = waiting()
    sandbox.state.add_fault("tiktok", "timeout", 1)
    drain()
    assert log() == [(1, "retried", "transient", None, "No answer within 10 s")]
    assert row.attempts.get().latency_ms >= 200


def test_the_last_retry_fails_for_good(sandbox: Sandbox) -> None:
    row = waiting()
    Delivery.objects.update(attempts_made=7, attempts_counted=7, first_attempt_at=timezone.now() - timedelta(hours=30))
    sandbox.state.add_fault("tiktok", "unavailable", 1)
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason, row.next_attempt_at) == ("failed", "", None)
    assert [entry[:3] for entry in log()] == [(8, "failed", "transient")]


def test_nothing_is_sent_47_hours_after_the_first_attempt(sandbox: Sandbox) -> None:
    row = waiting()
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(attempts_made=2, first_attempt_at=past - timedelta(hours=47), safe_until=past)
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("failed", "")
    assert sandbox.received("tiktok") == []
    assert log() == []


def test_an_event_that_grew_too_old_fails_unsent(sandbox: Sandbox) -> None:
    row = waiting("reddit")
    Conversion.objects.update(event_at=timezone.now() - timedelta(hours=168, seconds=1))
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("failed", "too_old")
    assert sandbox.received("reddit") == []


def test_a_retry_that_would_come_too_late_for_the_network_is_not_scheduled(sandbox: Sandbox) -> None:
    row = waiting("reddit", event_at=timezone.now() - timedelta(hours=167, minutes=59, seconds=40))
    sandbox.state.add_fault("reddit", "unavailable", 1)
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("failed", "too_old")
    assert [entry[:2] for entry in log()] == [(1, "failed")]


@pytest.mark.parametrize(("how", "reason"), [("disable", "config_disabled"), ("delete", "config_deleted")])
def test_a_delivery_of_a_postback_disabled_meanwhile_is_not_sent(sandbox: Sandbox, how: str, reason: str) -> None:
    row = waiting()
    getattr(lifecycle, how)(config=PostbackConfig.objects.get())
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason, row.next_attempt_at) == ("skipped", reason, None)
    assert Conversion.objects.get().reason == reason
    assert sandbox.received("tiktok") == []
    assert log() == []


def test_a_launch_that_a_merge_made_a_repeat_is_not_sent(sandbox: Sandbox) -> None:
    row = waiting(trigger="game_launch")
    Conversion.objects.update(reason="repeat_launch", fanned_out_at=None)
    fan_out.fan_out_due()
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("skipped", "repeat_launch")
    assert sandbox.received("tiktok") == []


def test_an_erased_conversion_is_cancelled(sandbox: Sandbox) -> None:
    row = waiting()
    Conversion.objects.all().delete()
    drain()
    row.refresh_from_db()
    assert (row.state, row.reason) == ("cancelled", "erased")
    assert sandbox.received("tiktok") == []


def test_it_uses_the_current_credential_and_records_its_version(sandbox: Sandbox) -> None:
    waiting()
    PostbackConfig.objects.update(version=5)
    config = PostbackConfig.objects.get()
    config.credential = {"token": TIKTOK_ACCOUNTS.rotated_token}
    config.save()
    drain()
    assert DeliveryAttempt.objects.get().config_version == 5
    assert sandbox.received("tiktok")[0]["headers"]["Access-Token"] == TIKTOK_ACCOUNTS.rotated_token


def test_a_credential_that_no_key_decrypts_fails_only_its_deliveries(sandbox: Sandbox, settings: Any) -> None:
    row = waiting()
    keys, settings.CREDENTIAL_KEYS = settings.CREDENTIAL_KEYS, ["A" * 43 + "="]
    healthy = waiting("reddit")
    drain()
    settings.CREDENTIAL_KEYS = keys
    row.refresh_from_db()
    healthy = Delivery.objects.get(network="reddit")
    assert (row.state, healthy.state) == ("held", "delivered")
    attempt = row.attempts.get()
    assert (attempt.verdict, attempt.http_status) == ("credential", None)
    assert attempt.message == "The stored credential cannot be read. Enter it again."


def test_an_event_that_cannot_be_built_fails_and_says_so(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: Any, **__: Any) -> Any:
        raise KeyError("ada@example.com")

    row = waiting()
    monkeypatch.setattr(sending.conversion_facts, "read_facts", odd)
    drain()
    row.refresh_from_db()
    assert (row.state, row.leased_until) == ("failed", None)
    said = "This event cannot be converted to a TikTok Ads event (KeyError). Nothing was sent."
    assert log() == [(1, "failed", "payload", None, said)]


def test_an_event_time_out_of_range_is_a_failure_not_a_stuck_row(sandbox: Sandbox) -> None:
    row = waiting()
    Conversion.objects.update(event_at=timezone.now().replace(year=2290))
    drain()
    row.refresh_from_db()
    assert row.state == "failed"
    assert sandbox.received("tiktok") == []


def test_a_token_that_the_network_repeats_is_not_stored(settings: Any) -> None:
    with Echo() as network:
        point_at(settings, network.url)
        waiting()
        Touch.objects.update(page_url=f"https://game.example/{TIKTOK_ACCOUNTS.token}")
        drain()
    attempt = DeliveryAttempt.objects.get()
    assert "https://game.example/[hidden] " in attempt.message
    assert attempt.request_id == attempt.message


def test_a_message_and_a_code_that_are_too_long_are_cut(sandbox: Sandbox) -> None:
    waiting()
    taken = claimed()
    outcome = Outcome(Verdict.PAYLOAD, "4" * 100, "x" * 600, request_id="r" * 512)
    attempts.process_answers([CallResult(taken, outcome, None, Response(400, {}, b"", 12))])
    attempt = DeliveryAttempt.objects.get()
    assert (len(attempt.message), len(attempt.provider_code), len(attempt.request_id)) == (500, 64, 512)
    assert TIKTOK_ACCOUNTS.token not in repr(taken)


# Workers that die, and workers that come back ---------------------------------------------------


def answer(taken: Claim, verdict: Verdict) -> CallResult:
    return CallResult(taken, Outcome(verdict, "0", "late"), None, Response(200, {}, b"", 12))


def test_a_killed_workers_delivery_is_sent_again_with_the_same_event_id(sandbox: Sandbox) -> None:
    row = waiting()
    assert claimed() is not None  # and then the worker was killed
    row.refresh_from_db()
    assert 15 < (row.leased_until - timezone.now()).total_seconds() <= 30.2
    drain()
    assert sandbox.received("tiktok") == []
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        drain()
    row.refresh_from_db()
    assert (row.state, row.attempts_made) == ("delivered", 2)
    stopped = "The worker stopped before the answer arrived. Sent again with the same event ID."
    assert log() == [(1, "retried", "", None, stopped), (2, "success", "success", 200, "OK")]
    assert [r["body"]["data"][0]["event_id"] for r in sandbox.received("tiktok")] == [row.event_id]


def test_a_delivery_that_kills_its_workers_ends(sandbox: Sandbox) -> None:
    row = waiting()
    moment = timezone.now()
    for _ in range(8):
        with time_machine.travel(moment):
            assert claimed() is not None
        moment += timedelta(seconds=31)
    with time_machine.travel(moment):
        assert claimed() is None
    row.refresh_from_db()
    assert (row.state, row.attempts_made) == ("failed", 8)
    assert log()[-1] == (8, "failed", "", None, "The worker stopped before the answer arrived.")


def test_a_late_success_ends_a_waiting_delivery(sandbox: Sandbox) -> None:
    row = waiting()
    late = claimed()
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        newer = claimed()
    assert late is not None
    assert newer is not None
    attempts.process_answers([answer(late, Verdict.SUCCESS)])
    row.refresh_from_db()
    assert row.state == "delivered"
    attempts.process_answers([answer(newer, Verdict.TRANSIENT)])
    row.refresh_from_db()
    assert (row.state, row.next_attempt_at) == ("delivered", None)
    assert [entry[:2] for entry in log()] == [(1, "success"), (2, "failed")]


@pytest.mark.parametrize("verdict", [Verdict.TRANSIENT, Verdict.PAYLOAD, Verdict.CREDENTIAL])
def test_a_late_failure_changes_nothing_for_the_newer_attempt(sandbox: Sandbox, verdict: Verdict) -> None:
    row = waiting()
    late = claimed()
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        newer = claimed()
    assert late is not None
    assert newer is not None
    row.refresh_from_db()
    before = (row.state, row.leased_until, row.attempts_made, row.next_attempt_at)
    attempts.process_answers([answer(late, verdict)])
    row.refresh_from_db()
    assert (row.state, row.leased_until, row.attempts_made, row.next_attempt_at) == before
    attempts.process_answers([answer(newer, Verdict.SUCCESS)])
    row.refresh_from_db()
    assert row.state == "delivered"


@pytest.mark.parametrize("verdict", [Verdict.SUCCESS, Verdict.TRANSIENT])
def test_a_delivery_cancelled_during_its_call_stays_cancelled(sandbox: Sandbox, verdict: Verdict) -> None:
    row = waiting()
    taken = claimed()
    assert taken is not None
    assert erasure.erase_deliveries([Conversion.objects.get().person_id]) == 1
    attempts.process_answers([answer(taken, verdict)])
    row.refresh_from_db()
    assert (row.state, row.reason, row.next_attempt_at, row.leased_until) == ("cancelled", "erased", None, None)
    assert log()[0][:2] == (1, "success" if verdict == Verdict.SUCCESS else "failed")
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        drain()
    assert sandbox.received("tiktok") == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_draining_send_each_delivery_once(sandbox: Sandbox) -> None:
    waiting(count=40)

    def work() -> None:
        sending.drain(network="tiktok", seconds=20)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [request["body"]["data"][0]["event_id"] for request in sandbox.received("tiktok")]
    assert sorted(sent) == sorted(Conversion.objects.values_list("message_id", flat=True))
    assert set(Delivery.objects.values_list("state", "attempts_made")) == {("delivered", 1)}
    assert DeliveryAttempt.objects.filter(status="success").count() == 40


@pytest.mark.django_db(transaction=True)
def test_a_network_that_hangs_does_not_hold_up_the_other(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 6.0)
    waiting(count=4)
    waiting("reddit", count=4)
    sandbox.state.add_fault("tiktok", "timeout", 4)

    def work(network: str) -> None:
        sending.drain(network=network, seconds=4)
        connection.close()

    threads = [threading.Thread(target=work, args=[network]) for network in NETWORKS]
    for thread in threads:
        thread.start()
    threads[1].join(5)
    assert threads[0].is_alive()
    assert len(sandbox.received("reddit")) == 4
    for thread in threads:
        thread.join()
