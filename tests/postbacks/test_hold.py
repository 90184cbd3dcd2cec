"""A refused credential: suspicion, second check, hold and release."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from audience.models import Conversion
from postbacks import erasure
from postbacks.configs import credentials, hold, lifecycle, rules, upkeep, versions
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.delivery import claims, sending
from postbacks.models import (
    CheckState,
    ConfigVersion,
    CredentialCheck,
    Delivery,
    DeliveryAttempt,
    PostbackConfig,
    Purpose,
)
from postbacks.networks import NETWORKS
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories

pytestmark = pytest.mark.django_db

TOKENS = {kind: (accounts.token, accounts.rotated_token) for kind, accounts in factories.ACCOUNTS.items()}


@pytest.fixture
def config() -> PostbackConfig:
    return factories.config(factories.game())


def queue(config: PostbackConfig, count: int = 5) -> None:
    for number in range(count):
        at = timezone.now() - timedelta(minutes=number + 1)
        factories.delivery(config, event_at=at, event_id=f"minute-{number + 1}")


def drain(config: PostbackConfig) -> None:
    sending.drain(network=config.network, max_in_flight=1)


def answer_checks() -> None:
    """What the worker does with the checks that were asked."""
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


def revoke(sandbox: Sandbox, config: PostbackConfig, *, revoked: bool = True) -> None:
    sandbox.state.revoke(config.network, TOKENS[config.network][0], revoked=revoked)


def rotate(config: PostbackConfig) -> CredentialCheck:
    config.refresh_from_db()
    check = lifecycle.change(
        config=config,
        changed_by=None,
        proposed=ProposedSettings.of(config, credential={"token": TOKENS[config.network][1]}, enabled=True),
    )
    assert check is not None
    answer_checks()
    check.refresh_from_db()
    return check


def states() -> dict[str, int]:
    found: dict[str, int] = {}
    for state in Delivery.objects.values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def held(config: PostbackConfig) -> Any:
    """(suspected, held, for what)"""
    config.refresh_from_db()
    return config.suspected_at is not None, config.held_at is not None, config.held_for


@pytest.mark.parametrize("network", NETWORKS)
def test_a_refused_credential_stops_sending_at_once_and_counts_no_attempt(sandbox: Sandbox, network: str) -> None:
    config = factories.config(factories.game(), network=network)
    queue(config)
    revoke(sandbox, config)
    drain(config)
    assert held(config) == (True, False, "")
    assert states() == {"waiting": 5}
    assert DeliveryAttempt.objects.values_list("status", "verdict").get() == ("failed", "credential")
    assert CredentialCheck.objects.values_list("purpose", "state").get() == ("suspicion", "pending")
    drain(config)
    assert DeliveryAttempt.objects.count() == 1


@pytest.mark.parametrize(
    ("network", "fault", "access", "said"),
    [
        ("tiktok", "unauthorized", "token", "TikTok Ads does not accept this access token"),
        ("tiktok", "forbidden", "pixel", "This access token has no access to pixel code"),
        ("reddit", "unauthorized", "token", "Reddit Ads does not accept this conversion access token"),
        ("reddit", "forbidden", "pixel", "This conversion access token has no access to pixel ID"),
        ("snapchat", "unauthorized", "token", "Snapchat Ads does not accept this access token"),
        ("snapchat", "forbidden", "pixel", "This access token has no access to pixel ID"),
    ],
)
def test_a_second_refusal_puts_the_config_on_hold_with_its_cause(
    sandbox: Sandbox, network: str, fault: str, access: str, said: str
) -> None:
    config = factories.config(factories.game(), network=network)
    queue(config)
    sandbox.state.add_fault(network, fault, 2)
    drain(config)
    answer_checks()
    assert held(config) == (False, True, access)
    assert config.held_message.startswith(said)
    assert states() == {"held": 5}
    assert set(Delivery.objects.values_list("next_attempt_at", "reason")) == {(None, "")}


def test_an_accepted_second_check_resumes_sending(sandbox: Sandbox, config: PostbackConfig) -> None:
    queue(config)
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    drain(config)
    answer_checks()
    assert held(config) == (False, False, "")
    drain(config)
    assert states() == {"delivered": 4, "waiting": 1}  # the refused one by its schedule
    with time_machine.travel(timezone.now() + timedelta(seconds=40)):
        drain(config)
    assert states() == {"delivered": 5}


def test_an_unreachable_network_leaves_the_suspicion_and_is_checked_again(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    queue(config)
    revoke(sandbox, config)
    drain(config)
    sandbox.state.add_fault("tiktok", "html_502", 1)
    answer_checks()
    assert held(config) == (True, False, "")
    assert states() == {"waiting": 5}
    upkeep.check_suspects()
    assert CredentialCheck.objects.count() == 1  # not at once
    with time_machine.travel(timezone.now() + upkeep.CHECK_AGAIN_AFTER + timedelta(seconds=1)):
        upkeep.check_suspects()
        upkeep.check_suspects()
        assert CredentialCheck.objects.count() == 2
        answer_checks()
    assert held(config) == (False, True, "token")


def test_events_refused_for_their_rights_do_not_repeatedly_stop_others(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    queue(config)
    for _ in range(3):
        sandbox.state.add_fault("tiktok", "forbidden", 1)
        drain(config)
        answer_checks()
    assert CredentialCheck.objects.count() == 1
    assert states() == {"delivered": 3, "waiting": 2}


def test_a_token_revoked_right_after_a_passed_check_is_detected(sandbox: Sandbox, config: PostbackConfig) -> None:
    queue(config, 20)
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    drain(config)
    answer_checks()
    revoke(sandbox, config)
    drain(config)
    assert held(config) == (True, False, "")
    assert DeliveryAttempt.objects.filter(verdict="credential").count() == 1 + 3
    answer_checks()
    assert states() == {"held": 20}


def test_a_conversion_that_comes_during_a_hold_is_held(sandbox: Sandbox, config: PostbackConfig) -> None:
    hold.hold(config=config, access="token", message="revoked")
    player = factories.person(config.game)
    factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    row = Delivery.objects.get()
    assert (row.state, row.reason, row.next_attempt_at) == ("held", "", None)
    assert Conversion.objects.get().reason == ""


def test_a_delivery_that_became_waiting_during_the_hold_is_held(config: PostbackConfig) -> None:
    hold.hold(config=config, access="token", message="revoked")
    queue(config, 2)
    upkeep.reconcile()
    assert states() == {"held": 2}


def test_a_good_rotation_releases_everything_the_oldest_first(sandbox: Sandbox, config: PostbackConfig) -> None:
    queue(config)
    revoke(sandbox, config)
    drain(config)
    answer_checks()
    assert rotate(config).state == CheckState.PASSED
    assert held(config) == (False, False, "")
    assert config.held_message == ""
    drain(config)
    assert states() == {"delivered": 5}
    sent = [r for r in sandbox.received("tiktok") if r["status"] == 200 and r["response"]["code"] == 0]
    ids = [r["body"]["data"][0]["event_id"] for r in sent if r["body"]["data"][0]["event"] != "Pageview"]
    assert ids == [f"minute-{number}" for number in (5, 4, 3, 2, 1)]
    assert {r["headers"]["Access-Token"] for r in sent} == {TIKTOK_ACCOUNTS.rotated_token}


def test_a_rotation_to_another_bad_token_changes_nothing(sandbox: Sandbox, config: PostbackConfig) -> None:
    queue(config)
    revoke(sandbox, config)
    sandbox.state.revoke("tiktok", TIKTOK_ACCOUNTS.rotated_token, revoked=True)
    drain(config)
    answer_checks()
    assert rotate(config).state == CheckState.REFUSED
    assert held(config) == (False, True, "token")
    assert config.credential["token"] == TIKTOK_ACCOUNTS.token
    assert (config.version, config.paused_until) == (1, None)
    assert states() == {"held": 5}


def test_a_held_delivery_past_its_deadline_fails_as_too_old(sandbox: Sandbox) -> None:
    config = factories.config(factories.game(), network="reddit")
    old = timezone.now() - timedelta(hours=168, seconds=1)
    factories.delivery(config, event_at=old, dead_after=old + timedelta(hours=168))
    sent_before = factories.delivery(config, safe_until=timezone.now() - timedelta(seconds=1), verdict="credential")
    queue(config, 1)
    hold.hold(config=config, access="token", message="revoked")
    assert hold.release(config=config) == 1
    assert sorted(Delivery.objects.values_list("state", "reason")) == [
        ("failed", ""),
        ("failed", "too_old"),
        ("waiting", ""),
    ]
    sent_before.refresh_from_db()
    assert sent_before.verdict == "credential"
    drain(config)
    assert len(sandbox.received("reddit")) == 1


def test_a_repeated_check_releases_the_hold_once_the_permission_is_restored(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    queue(config)
    revoke(sandbox, config)
    drain(config)
    answer_checks()
    refused = credentials.request_release(config=config, requested_by=None)
    answer_checks()
    refused.refresh_from_db()
    assert (refused.state, refused.purpose, held(config)) == ("refused", "release", (False, True, "token"))
    revoke(sandbox, config, revoked=False)
    credentials.request_release(config=config, requested_by=None)
    answer_checks()
    assert held(config) == (False, False, "")
    drain(config)
    assert states() == {"delivered": 5}


def test_a_held_config_is_checked_every_hour_and_a_quiet_one_every_day(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    hold.hold(config=config, access="token", message="revoked")
    quiet = factories.config(config.game, network="reddit")
    upkeep.check_daily()
    assert CredentialCheck.objects.values_list("config", "purpose").get() == (config.pk, "release")
    answer_checks()
    assert held(config) == (False, False, "")  # it was good all the time
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        upkeep.check_daily()
        upkeep.check_daily()
        daily = CredentialCheck.objects.filter(purpose=Purpose.DAILY)
        assert {check.config_id for check in daily} == {config.pk, quiet.pk}
        assert daily.count() == 2


def test_a_refused_daily_check_is_repeated_before_the_hold(sandbox: Sandbox, config: PostbackConfig) -> None:
    revoke(sandbox, config)
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        upkeep.check_daily()
        answer_checks()
        assert held(config) == (True, False, "")
        answer_checks()
    assert held(config) == (False, True, "token")


def test_a_late_answer_about_an_old_credential_holds_nothing(sandbox: Sandbox, config: PostbackConfig) -> None:
    hold.suspect(config=config)
    revoke(sandbox, config)
    PostbackConfig.objects.filter(pk=config.pk).update(suspected_at=None)
    config.credential = {"token": TIKTOK_ACCOUNTS.rotated_token}
    config.save()
    answer_checks()
    assert held(config) == (False, False, "")


def test_a_credential_that_no_key_decrypts_is_held_without_a_call(config: PostbackConfig, settings: Any) -> None:
    settings.CREDENTIAL_KEYS = ["A" * 43 + "="]
    hold.suspect(config=config)
    assert held(config) == (False, True, "token")
    assert config.held_message == rules.UNREADABLE
    assert not CredentialCheck.objects.exists()


@pytest.mark.parametrize(("how", "reason"), [("disable", "config_disabled"), ("delete", "config_deleted")])
def test_held_deliveries_of_a_postback_switched_off_are_cancelled(
    sandbox: Sandbox, config: PostbackConfig, how: str, reason: str
) -> None:
    queue(config, 2)
    hold.hold(config=config, access="token", message="revoked")
    getattr(lifecycle, how)(config=config)
    drain(config)
    assert set(Delivery.objects.values_list("state", "reason")) == {("skipped", reason)}
    assert sandbox.received("tiktok") == []


def test_an_erasure_cancels_what_is_held(config: PostbackConfig) -> None:
    queue(config, 1)
    hold.hold(config=config, access="token", message="revoked")
    assert erasure.erase_deliveries([Conversion.objects.get().person_id]) == 1
    assert Delivery.objects.values_list("state", "reason").get() == ("cancelled", "erased")


# Rotation and the way back ----------------------------------------------------------------------


def test_every_change_is_a_version_with_who_made_it(
    sandbox: Sandbox, config: PostbackConfig, django_user_model: Any
) -> None:
    ada = django_user_model.objects.create(username="ada")
    lifecycle.change(
        config=config, changed_by=ada, proposed=ProposedSettings.of(config, triggers=["purchase"], enabled=True)
    )
    lifecycle.disable(config=config, changed_by=ada)
    rotate(config)
    versions = ConfigVersion.objects.filter(config=config).order_by("number")
    assert list(versions.values_list("number", "change", "set_by__username", "enabled")) == [
        (2, "Trigger events changed", "ada", True),
        (3, "Disabled", "ada", False),
        (4, "Credential rotated, enabled", None, True),
    ]
    assert [version.triggers for version in versions] == [["purchase"]] * 3


def test_the_previous_credential_can_be_restored_for_a_day(sandbox: Sandbox, config: PostbackConfig) -> None:
    rotate(config)
    config.refresh_from_db()
    assert (config.credential["token"], config.previous_credential["token"]) == (
        TIKTOK_ACCOUNTS.rotated_token,
        TIKTOK_ACCOUNTS.token,
    )
    assert config.can_roll_back
    lifecycle.roll_back(config=config, requested_by=None)
    answer_checks()
    config.refresh_from_db()
    assert (config.credential["token"], config.version) == (TIKTOK_ACCOUNTS.token, 3)
    assert config.previous_credential["token"] == TIKTOK_ACCOUNTS.rotated_token


def test_the_previous_credential_is_deleted_after_a_day(sandbox: Sandbox, config: PostbackConfig) -> None:
    rotate(config)
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1)):
        config.refresh_from_db()
        with pytest.raises(rules.SettingsRefused, match="no longer stored"):
            lifecycle.roll_back(config=config, requested_by=None)
        upkeep.reconcile()
    config.refresh_from_db()
    assert (dict(config.previous_credential), config.previous_until) == ({}, None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT previous_credential FROM postbacks_postbackconfig WHERE id = %s", [config.pk])
        assert cursor.fetchone() == ("",)


def test_the_audit_log_shows_no_credential(sandbox: Sandbox, config: PostbackConfig) -> None:
    from auditlog.models import LogEntry

    rotate(config)
    entry = LogEntry.objects.get_for_object(config).first()
    assert entry is not None
    assert TIKTOK_ACCOUNTS.token not in str(entry.changes)
    assert TIKTOK_ACCOUNTS.rotated_token not in str(entry.changes)
    assert entry.changes["previous_credential"] == ["none", "•••• set"]


@pytest.mark.django_db(transaction=True)
def test_no_call_after_a_rotation_carries_the_old_credential(sandbox: Sandbox) -> None:
    """Under load, with calls in flight when the rotation comes: the swap waits for them."""
    config = factories.config(factories.game())
    queue(config, 60)
    sandbox.state.set_delay("tiktok", 0.15)

    def work() -> None:
        sending.drain(network="tiktok", seconds=20)
        connection.close()

    sender = threading.Thread(target=work)
    sender.start()
    while not DeliveryAttempt.objects.exists():
        sender.join(0.01)
    assert rotate(config).state == CheckState.PASSED
    swapped_at = ConfigVersion.objects.get(config=config).set_at.timestamp()
    sender.join()
    sending.drain(network="tiktok", seconds=20)
    assert states() == {"delivered": 60}
    calls = [r for r in sandbox.received("tiktok") if r["body"]["data"][0]["event"] != "Pageview"]
    old = [r for r in calls if r["headers"]["Access-Token"] == TIKTOK_ACCOUNTS.token]
    # received_at is when the sandbox had answered, and every old call was answered before the swap.
    assert old
    assert max(timezone.datetime.fromisoformat(r["received_at"]).timestamp() for r in old) <= swapped_at
    assert len(calls) == 60
    assert not DeliveryAttempt.objects.filter(finished_at=None).exists()


def test_a_pause_stops_new_claims_and_ends_by_itself(config: PostbackConfig) -> None:
    queue(config, 1)
    versions.pause_and_wait(config_id=config.pk)
    assert list(claims.claim(network="tiktok")) == []
    with time_machine.travel(timezone.now() + 2 * versions.MAX_CALL + timedelta(seconds=1)):
        assert len(list(claims.claim(network="tiktok"))) == 1


# Under load -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_token_revoked_under_load_costs_at_most_three_failed_sends(sandbox: Sandbox) -> None:
    config = factories.config(factories.game())
    queue(config, 80)
    sender = threading.Thread(target=lambda: (sending.drain(network="tiktok", seconds=20), connection.close()))
    sender.start()
    while Delivery.objects.filter(state="delivered").count() < 10:
        sender.join(0.01)
    revoke(sandbox, config)
    sender.join()
    answer_checks()
    assert 1 <= DeliveryAttempt.objects.filter(verdict="credential").count() <= 3
    assert not DeliveryAttempt.objects.filter(finished_at=None).exists()
    delivered = states()["delivered"]
    assert states() == {"delivered": delivered, "held": 80 - delivered}
    rotate(config)
    sending.drain(network="tiktok", seconds=20)
    assert states() == {"delivered": 80}
