"""A hold that a user sets: what waits, what explains it, and that only a user ends it."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.utils import timezone

from audience.models import Role
from postbacks.configs import credentials, hold, lifecycle, upkeep
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.configs.rules import SettingsRefused
from postbacks.delivery import replays, sending
from postbacks.models import ConfigVersion, CredentialCheck, Delivery, PostbackConfig
from postbacks.monitoring.health.evaluation import evaluate_configs
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

pytestmark = pytest.mark.django_db
CAUSE = "A user put this postback on hold: “Wrong campaign”."


def waiting(config: PostbackConfig, count: int = 2) -> None:
    for minutes in range(count):
        factories.delivery(config, event_at=timezone.now() - timedelta(minutes=minutes + 1))


def states() -> list[str]:
    return list(Delivery.objects.order_by("event_at").values_list("state", flat=True))


def answer_checks() -> None:
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


def held_for(config: PostbackConfig) -> tuple[bool, str]:
    config.refresh_from_db()
    return config.held_at is not None, config.held_for


def entries(config: PostbackConfig) -> list[Any]:
    return list(LogEntry.objects.filter(object_pk=str(config.pk)).order_by("pk"))


@pytest.fixture
def on_hold(config: PostbackConfig) -> PostbackConfig:
    waiting(config)
    assert lifecycle.put_on_hold(config=config, note=" Wrong  campaign ") == 2
    config.refresh_from_db()
    return config


def test_a_hold_stops_sending_until_a_user_releases_it(sandbox: Sandbox, on_hold: PostbackConfig) -> None:
    assert (held_for(on_hold), on_hold.held_message) == ((True, "user"), CAUSE)
    sending.drain(network="tiktok", max_in_flight=1)
    assert states() == ["held", "held"]

    assert lifecycle.release(config=on_hold) == 2
    sending.drain(network="tiktok", max_in_flight=1)
    assert (held_for(on_hold), states()) == ((False, ""), ["delivered", "delivered"])
    assert not CredentialCheck.objects.exists()


def test_a_hold_and_its_release_are_versions_and_one_audit_entry_each(config: PostbackConfig) -> None:
    person: Any = hub.user("ada")
    before = len(entries(config))
    lifecycle.put_on_hold(config=config, changed_by=person)
    lifecycle.release(config=config, changed_by=person)
    changes = [set(entry.changes) for entry in entries(config)[before:]]
    assert changes == [{"held_at", "held_for", "held_message"}, {"held_at"}]
    versions = ConfigVersion.objects.filter(config=config).order_by("number").values_list("number", "change", "set_by")
    assert list(versions) == [(2, "Put on hold", person.pk), (3, "Released from hold", person.pk)]


def test_no_check_ends_a_hold_by_a_user(sandbox: Sandbox, on_hold: PostbackConfig) -> None:
    PostbackConfig.objects.update(validated_at=timezone.now() - timedelta(days=2))
    upkeep.check_daily()
    assert not CredentialCheck.objects.exists()

    check = credentials.request_release(config=on_hold, requested_by=None)
    answer_checks()
    check.refresh_from_db()
    assert check.state == "passed"
    assert check.message.endswith("A user put the postback on hold, so it stays on hold until a user releases it.")
    assert (held_for(on_hold), states()) == ((True, "user"), ["held", "held"])


def test_a_rotation_does_not_end_a_hold_by_a_user(sandbox: Sandbox, on_hold: PostbackConfig) -> None:
    proposed = ProposedSettings.of(on_hold, credential={"token": TIKTOK_ACCOUNTS.rotated_token})
    assert lifecycle.change(config=on_hold, proposed=proposed, changed_by=None)
    answer_checks()
    assert (held_for(on_hold), states()) == ((True, "user"), ["held", "held"])
    assert on_hold.credential["token"] == TIKTOK_ACCOUNTS.rotated_token


def test_a_refused_credential_does_not_change_a_hold_by_a_user(sandbox: Sandbox, on_hold: PostbackConfig) -> None:
    sandbox.state.add_fault("tiktok", "unauthorized", 1)
    check = credentials.request_release(config=on_hold, requested_by=None)
    answer_checks()
    check.refresh_from_db()
    assert (check.state, held_for(on_hold), on_hold.held_message) == ("refused", (True, "user"), CAUSE)


def test_a_hold_by_a_user_replaces_one_for_a_refused_credential(sandbox: Sandbox, config: PostbackConfig) -> None:
    hold.hold(config=config, access="token", message="Revoked.")
    lifecycle.put_on_hold(config=config)
    assert (held_for(config), config.held_message) == ((True, "user"), "A user put this postback on hold.")
    upkeep.check_daily()
    assert not CredentialCheck.objects.exists()


def test_a_hold_for_a_refused_credential_can_be_released_without_a_check(
    sandbox: Sandbox, config: PostbackConfig
) -> None:
    waiting(config, 1)
    hold.hold(config=config, access="token", message="Revoked.")
    assert lifecycle.release(config=config) == 1
    assert (held_for(config), states()) == ((False, ""), ["waiting"])


def test_what_changes_nothing_is_refused(config: PostbackConfig) -> None:
    with pytest.raises(SettingsRefused, match="This postback is not on hold."):
        lifecycle.release(config=config)
    lifecycle.put_on_hold(config=config)
    with pytest.raises(SettingsRefused, match="A user put this postback on hold already."):
        lifecycle.put_on_hold(config=config)
    lifecycle.delete(config=config)
    for change in (lifecycle.put_on_hold, lifecycle.release):
        with pytest.raises(SettingsRefused, match="This postback was deleted"):
            change(config=config)
    assert ConfigVersion.objects.filter(config=config, change="Put on hold").count() == 1


def test_the_health_says_that_a_user_set_it_and_what_to_do(on_hold: PostbackConfig) -> None:
    status = evaluate_configs([on_hold])[on_hold.pk]
    assert status.explanation == f"Nothing is sent; 2 conversions are on hold. {CAUSE}"
    assert status.next_step == "Release it to send them. A conversion whose deadline has passed by then is not sent."
    assert (status.indicator, status.dot) == (None, "warn")


def test_a_failed_delivery_is_not_sent_again_during_a_hold(config: PostbackConfig) -> None:
    failed = factories.delivery(config, state="failed", verdict="transient", finished_at=timezone.now())
    lifecycle.put_on_hold(config=config)
    with pytest.raises(replays.NotSendable, match="A user put the postback on hold. Release it first."):
        replays.send_again(failed)


def test_a_marketer_holds_and_releases_in_the_hub(config: PostbackConfig) -> None:
    waiting(config)
    marketer = hub.member(config.game, Role.MARKETER)
    page = f"/g/{config.game.slug}/integrations/tiktok/"
    assert f"{page}{config.pk}/hold/" in marketer.get(page).content.decode()
    assert held_for(config) == (False, "")
    answer = marketer.post(f"{page}{config.pk}/hold/", {"note": "Wrong campaign"}, follow=True).content.decode()
    assert "is on hold. 2 conversions wait until a user releases it." in answer
    assert CAUSE in answer
    assert "Rotate credentials" not in answer
    assert ">Release</button>" in answer
    answer = marketer.post(f"{page}{config.pk}/release/", follow=True).content.decode()
    assert "was released. 2 conversions are sent now." in answer
    assert (held_for(config), states()) == ((False, ""), ["waiting", "waiting"])
    answer = marketer.post(f"{page}{config.pk}/release/", follow=True).content.decode()
    assert "This postback is not on hold." in answer


def test_a_conversion_that_waits_for_the_release_says_so(on_hold: PostbackConfig) -> None:
    conversion = Delivery.objects.order_by("event_at")[0].conversion_id
    page = hub.member(on_hold.game, Role.VIEWER).get(f"/g/{on_hold.game.slug}/conversions/{conversion}/")
    text = page.content.decode()
    assert CAUSE in text
    assert "Release the postback under Integrations." in text
    assert "Rotate the credential" not in text
