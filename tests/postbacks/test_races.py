"""Two processes that do the same at once, and a process that was suspended for half a minute."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audience.database import clock
from audience.digest import attribution
from audience.digest.identity import ResolvedPlayers
from audience.models import Conversion
from audience.models.attribution import ConversionQuerySet
from postbacks.configs import credentials, hold, lifecycle, upkeep
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.delivery import attempts, claims, leases, replays, retry_schedule, sending
from postbacks.delivery.recording import CallResult
from postbacks.http import network_calls
from postbacks.models import Alert, CredentialCheck, Delivery, DeliveryAttempt, Flow, PostbackConfig
from postbacks.monitoring.alerts import watch
from postbacks.monitoring.health.types import Health, HealthStatus
from postbacks.networks.interface.call import Outcome, Response, Verdict
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.network_urls import point_at
from tests.postbacks.canned import answering

pytestmark = pytest.mark.django_db
REFUSED = Outcome(Verdict.CREDENTIAL, "40105", "no", access="token")


def elsewhere(work: Callable[[], object], seconds: float = 20) -> None:
    """Run it as another process would: in a thread with a connection of its own. Waits for it, up to `seconds`."""

    def run() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(seconds)


def claimed() -> Any:
    (claim,) = claims.claim(network="tiktok")
    return claim


def answered(claim: Any, outcome: Outcome = REFUSED) -> list[CallResult]:
    return [CallResult(claim, outcome, None, Response(200, {}, b"{}", 5))]


def lease_over() -> None:
    Delivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    Flow.objects.update(next_slot_at=None)


# Digest and fan-out -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_click_won_while_the_fan_out_reads_is_seen(config: PostbackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    player = factories.person(config.game, anonymous="a")
    conversion = factories.conversion(player)
    click = factories.touch(player)
    real = ConversionQuerySet.to_fan_out
    slow = "(SELECT pg_sleep(0.6)) IS NOT NULL"
    monkeypatch.setattr(ConversionQuerySet, "to_fan_out", lambda self: real(self).extra(where=[slow]))
    thread = threading.Thread(target=lambda: (fan_out.fan_out_due(), connection.close()))
    thread.start()
    thread.join(0.3)
    Conversion.objects.filter(pk=conversion.pk).update(touch=click, reason="", fanned_out_at=None)
    thread.join()
    monkeypatch.undo()
    fan_out.fan_out_due()
    assert Delivery.objects.values_list("state", "reason").get() == ("waiting", "")


@pytest.mark.django_db(transaction=True)
def test_a_conversion_handed_over_while_a_click_comes_in_goes_to_one_network(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    factories.config(config.game, network="reddit")
    player = factories.person(config.game, anonymous="a")
    first = factories.touch(player, clicked_at=timezone.now() - timedelta(hours=2))
    factories.conversion(player, touch=first)
    factories.touch(player, network="reddit", click_id="r")
    handed_over = []

    def hand_over_before_clicks_are_read(execute: Any, sql: Any, *arguments: Any) -> Any:
        if 'FROM "audience_touch"' in str(sql) and not handed_over:
            handed_over.append(sql)
            elsewhere(lambda: (fan_out.fan_out_due(), sending.drain(network="tiktok", max_in_flight=1)))
        return execute(sql, *arguments)

    with transaction.atomic(), connection.execute_wrapper(hand_over_before_clicks_are_read):
        attribution.attribute(game=config.game, events=[], people=ResolvedPlayers(by_event={}, changed={player.pk}))
    fan_out.fan_out_due()
    for network in ("tiktok", "reddit"):
        sending.drain(network=network, max_in_flight=1)
    assert len(handed_over) == 1
    assert Delivery.objects.filter(state="delivered").count() == 1


# Holds and swaps --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_release_while_an_answer_is_written_leaves_nothing_held(
    config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = factories.delivery(config)
    claim = claimed()
    hold.hold(config=config, access="token", message="no")
    real = retry_schedule.next_attempt

    def meanwhile(**given: Any) -> Any:
        elsewhere(lambda: hold.release(config=config), seconds=2)
        return real(**given)

    monkeypatch.setattr(retry_schedule, "next_attempt", meanwhile)
    monkeypatch.setattr(hold, "suspect", lambda **given: None)
    attempts.process_answers(answered(claim))
    row.refresh_from_db()
    assert row.state == "waiting"


def test_deliveries_held_without_a_hold_are_released(config: PostbackConfig) -> None:
    row = factories.delivery(config, state="held", next_attempt_at=None)
    upkeep.reconcile()
    row.refresh_from_db()
    assert (row.state, row.next_attempt_at is not None) == ("waiting", True)


def test_an_older_check_does_not_switch_a_postback_on_again(sandbox: Sandbox, config: PostbackConfig) -> None:
    token = TIKTOK_ACCOUNTS.rotated_token
    check = lifecycle.change(
        config=config, changed_by=None, proposed=ProposedSettings.of(config, credential={"token": token})
    )
    assert check is not None
    lifecycle.disable(config=config)
    credentials.run_check(check_id=str(check.pk))
    config.refresh_from_db()
    check.refresh_from_db()
    assert (config.enabled, config.credential["token"]) == (False, TIKTOK_ACCOUNTS.token)
    assert (check.state, check.message[:44]) == ("refused", "The settings of this postback were changed by"[:44])


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_evaluated_with_the_config_locked(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold.suspect(config=config)
    sandbox.state.revoke("tiktok", TIKTOK_ACCOUNTS.token, revoked=True)
    real, locked = hold.hold, []

    def look() -> None:
        try:
            with transaction.atomic():
                PostbackConfig.objects.select_for_update(nowait=True, no_key=True).get(pk=config.pk)
        except DatabaseError:
            locked.append(True)

    def meanwhile(**given: Any) -> None:
        elsewhere(look)
        real(**given)

    monkeypatch.setattr(hold, "hold", meanwhile)
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    assert locked == [True]


def test_a_refusal_of_an_older_version_suspects_nothing(config: PostbackConfig) -> None:
    factories.delivery(config)
    claim = claimed()
    PostbackConfig.objects.update(version=2, credential={"token": TIKTOK_ACCOUNTS.rotated_token})
    attempts.process_answers(answered(claim))
    config.refresh_from_db()
    row = Delivery.objects.get()
    assert config.suspected_at is None
    assert (row.state, row.next_attempt_at <= timezone.now()) == ("waiting", True)


def test_a_recheck_refused_once_is_a_suspicion_and_no_hold(sandbox: Sandbox, config: PostbackConfig) -> None:
    sandbox.state.revoke("tiktok", TIKTOK_ACCOUNTS.token, revoked=True)
    check = credentials.request_release(config=config, requested_by=None)
    credentials.run_check(check_id=str(check.pk))
    config.refresh_from_db()
    assert (config.held_at, config.suspected_at is not None) == (None, True)


@pytest.mark.parametrize("given", [{"attempts_made": 7, "attempts_counted": 7}, {"attempts_counted": 6}])
def test_a_last_attempt_refused_for_the_credential_waits_for_the_hold(
    config: PostbackConfig, given: dict[str, Any]
) -> None:
    now = timezone.now()
    row = factories.delivery(
        config, first_attempt_at=now - timedelta(hours=42), safe_until=now + timedelta(hours=5), **given
    )
    attempts.process_answers(answered(claimed()))
    row.refresh_from_db()
    assert row.state == "waiting"
    assert row.next_attempt_at <= row.deadline


# Workers that stood still -----------------------------------------------------------------------


def test_a_call_taken_back_by_two_workers_leaves_the_row_as_due_as_before(config: PostbackConfig) -> None:
    factories.delivery(config)
    one = claimed()
    lease_over()
    two = claimed()
    leases.undo([two])
    leases.undo([one])
    Flow.objects.update(next_slot_at=None)
    assert claimed().number == 2


def test_a_call_returned_after_a_release_is_not_changed(config: PostbackConfig) -> None:
    row = factories.delivery(config)
    one = claimed()
    lease_over()
    hold.hold(config=config, access="token", message="no")
    hold.release(config=config)
    leases.undo([one])
    row.refresh_from_db()
    assert (row.attempts_made, row.attempts_counted) == (1, 0)


def test_the_attempt_of_a_killed_worker_is_closed_with_its_delivery(config: PostbackConfig) -> None:
    row = factories.delivery(config)
    claimed()
    lease_over()
    hold.hold(config=config, access="token", message="no")
    Delivery.objects.update(safe_until=timezone.now() - timedelta(seconds=1))
    hold.release(config=config)
    row.refresh_from_db()
    assert (row.state, row.verdict) == ("failed", "transient")
    assert DeliveryAttempt.objects.values_list("status", flat=True).get() == "failed"


def test_a_stall_while_the_clock_is_measured_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    real, looks = timezone.now, iter([timedelta(), timedelta(seconds=60)])
    monkeypatch.setattr(clock.timezone, "now", lambda: real() + next(looks, timedelta()))
    clock.synchronise()
    monkeypatch.undo()
    assert abs(clock.now() - timezone.now()) < timedelta(seconds=1)


def test_a_pixel_with_an_open_breaker_is_sent_by_a_later_task(config: PostbackConfig) -> None:
    factories.delivery(config)
    later = timezone.now() + timedelta(hours=1)
    Flow.objects.create(network="tiktok", pixel_id=config.pixel_id, next_slot_at=later)
    assert sending.drain(network="tiktok", max_in_flight=1) is False


def test_a_replay_cancelled_while_a_call_was_out_is_not_tried_again(config: PostbackConfig) -> None:
    now = timezone.now()
    row = factories.delivery(
        config, state="failed", verdict="transient", next_attempt_at=None, finished_at=now, attempts_made=8
    )
    replay = replays.start(config=config, failed_from=None, failed_until=None, verdict="", requested_by=None)
    replays.advance()
    claim = claimed()
    replays.cancel(replay=replay)
    attempts.process_answers(answered(claim, Outcome(Verdict.TRANSIENT, "50000", "no")))
    row.refresh_from_db()
    assert (row.state, row.verdict) == ("failed", "transient")


# Odd answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        '{"code":40002,"message":"Invalid value \\ud83d","request_id":"r"}',
        '{"code":40002,"message":"Invalid","request_id":"r\\u0000"}',
    ],
)
def test_text_that_cannot_be_stored_fails_only_its_delivery(config: PostbackConfig, settings: Any, body: str) -> None:
    factories.delivery(config)
    with answering(200, body) as url:
        point_at(settings, url)
        sending.drain(network="tiktok", max_in_flight=1)
    assert Delivery.objects.values_list("state", "verdict").get() == ("failed", "payload")


def test_a_call_that_raises_counts_as_an_attempt_and_affects_no_other(
    sandbox: Sandbox, config: PostbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [factories.delivery(config) for _ in range(2)]
    real, calls = network_calls.post, iter([RuntimeError("odd")])

    def post(*args: Any, **given: Any) -> Response:
        for error in calls:
            raise error
        return real(*args, **given)

    monkeypatch.setattr(network_calls, "post", post)
    sending.drain(network="tiktok", max_in_flight=1)
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["delivered", "waiting"]
    assert DeliveryAttempt.objects.filter(delivery__in=rows, status="retried", verdict="transient").count() == 1


def test_a_rate_limit_in_between_is_no_recovery(config: PostbackConfig) -> None:
    now = timezone.now()

    def look(health: Health, seconds: int) -> bool:
        status = HealthStatus(health, now + timedelta(seconds=30), "", "", "")
        return watch._update_alert(config, status, Alert.objects.first(), now + timedelta(seconds=seconds))

    look(Health.DEGRADED, 0)
    look(Health.HEALTHY, 15)
    for seconds in (30, 45, 60, 75):
        look(Health.RATE_LIMITED, seconds)
    assert look(Health.HEALTHY, 90) is False
    assert look(Health.HEALTHY, 151) is True
