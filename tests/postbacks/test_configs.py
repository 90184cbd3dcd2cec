"""Changes of a postback, and which of them require a check by the network."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.database.encryption import encrypt
from audience.models import Game
from postbacks.configs import credentials, lifecycle, rules
from postbacks.configs.proposed_settings import ProposedSettings
from postbacks.models import CredentialCheck, Delivery, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories

pytestmark = pytest.mark.django_db
BOTH = ["game_launch", "purchase"]


def change(config: PostbackConfig, **given: Any) -> CredentialCheck | None:
    return lifecycle.change(config=config, proposed=ProposedSettings.of(config, **given), changed_by=None)


def test_triggers_and_switch_are_changed_without_asking_the_network(config: PostbackConfig) -> None:
    validated_at = config.validated_at
    assert change(config, triggers=["purchase"], enabled=False) is None
    config.refresh_from_db()
    assert (config.triggers, config.enabled, config.version) == (["purchase"], False, 2)
    assert config.validated_at == validated_at
    assert config.credential == {"token": TIKTOK_ACCOUNTS.token}
    assert CredentialCheck.objects.count() == 0


def test_saving_unchanged_settings_makes_no_version(config: PostbackConfig) -> None:
    assert change(config, triggers=BOTH[::-1]) is None
    config.refresh_from_db()
    assert config.version == 1


@pytest.mark.parametrize(
    ("given", "token"),
    [
        ({"pixel_id": TIKTOK_ACCOUNTS.second_pixel}, TIKTOK_ACCOUNTS.token),
        ({"test_code": "TEST12345"}, TIKTOK_ACCOUNTS.token),
        ({"credential": {"token": TIKTOK_ACCOUNTS.rotated_token}}, TIKTOK_ACCOUNTS.rotated_token),
    ],
)
def test_a_new_pixel_credential_or_test_code_is_checked_by_the_network_first(
    sandbox: Sandbox, config: PostbackConfig, given: dict[str, str], token: str
) -> None:
    check = change(config, **given, triggers=["purchase"])
    assert check is not None
    config.refresh_from_db()
    assert (config.version, config.triggers, config.pixel_id) == (1, BOTH, TIKTOK_ACCOUNTS.pixel)
    code = given.get("test_code")
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt(code) if code else "")
    config.refresh_from_db()
    assert (config.version, config.triggers) == (2, ["purchase"])
    assert config.pixel_id == given.get("pixel_id", TIKTOK_ACCOUNTS.pixel)
    assert config.credential == {"token": token}
    assert sandbox.received("tiktok", test=bool(code))[0]["headers"]["Access-Token"] == token
    assert PostbackConfig.objects.count() == 1


def test_a_refused_change_leaves_the_config_as_it_was(sandbox: Sandbox, config: PostbackConfig) -> None:
    check = change(config, credential={"token": "wrong-token"}, enabled=False)
    assert check is not None
    credentials.run_check(check_id=str(check.pk))
    config.refresh_from_db()
    assert (config.version, config.enabled, config.credential) == (1, True, {"token": TIKTOK_ACCOUNTS.token})


def test_a_second_postback_for_a_pixel_is_refused_before_asking(config: PostbackConfig) -> None:
    with pytest.raises(rules.SettingsRefused, match=r"^This game already has a postback for this pixel"):
        credentials.request_check(
            game=config.game,
            requested_by=None,
            proposed=ProposedSettings(
                network="tiktok", pixel_id=f" {config.pixel_id} ", credential={"token": "a"}, triggers=BOTH
            ),
        )
    assert CredentialCheck.objects.count() == 0


def test_a_pixel_of_another_postback_is_refused_on_editing_too(config: PostbackConfig) -> None:
    other = factories.config(config.game, pixel_id=TIKTOK_ACCOUNTS.second_pixel)
    with pytest.raises(rules.SettingsRefused, match="already has a postback"):
        change(other, pixel_id=config.pixel_id)
    assert CredentialCheck.objects.count() == 0


def test_another_game_may_use_the_same_pixel(config: PostbackConfig, other_game: Game) -> None:
    given = {"network": "tiktok", "pixel_id": config.pixel_id, "credential": {"token": "a"}, "triggers": BOTH}
    assert (
        credentials.request_check(game=other_game, requested_by=None, proposed=ProposedSettings(**given)).state
        == "pending"
    )


@pytest.mark.parametrize("triggers", [[], ["refund"], ["purchase", "refund"]])
def test_settings_without_a_known_trigger_are_refused(config: PostbackConfig, triggers: list[str]) -> None:
    for given in ({}, {"credential": {"token": "new"}}):
        with pytest.raises(rules.SettingsRefused, match=r"^Select at least one trigger event\.$"):
            change(config, triggers=triggers, **given)
    config.refresh_from_db()
    assert (config.triggers, config.version) == (BOTH, 1)
    assert CredentialCheck.objects.count() == 0


def test_an_unreadable_credential_has_to_be_entered_again(config: PostbackConfig, settings: Any) -> None:
    settings.CREDENTIAL_KEYS = ["A" * 43 + "="]
    with pytest.raises(rules.SettingsRefused, match="cannot be read"):
        change(config, pixel_id=TIKTOK_ACCOUNTS.second_pixel)
    lifecycle.disable(config=config)  # and nothing else is in the way
    assert change(config, credential={"token": TIKTOK_ACCOUNTS.token}) is not None


def test_enable_and_disable_are_versions_and_happen_once(config: PostbackConfig) -> None:
    lifecycle.disable(config=config)
    lifecycle.disable(config=config)
    config.refresh_from_db()
    assert (config.enabled, config.version) == (False, 2)
    lifecycle.enable(config=config)
    config.refresh_from_db()
    assert (config.enabled, config.version) == (True, 3)


def test_deleting_wipes_the_credential_and_keeps_the_log(config: PostbackConfig) -> None:
    player = factories.person(config.game)
    factories.conversion(player, touch=factories.touch(player))
    fan_out.fan_out_due()
    later = timezone.now() + timedelta(hours=6)
    Delivery.objects.update(next_attempt_at=later)
    lifecycle.delete(config=config)
    lifecycle.delete(config=config)
    config.refresh_from_db()
    assert (config.deleted_at is not None, config.enabled, config.credential, config.version) == (True, False, {}, 2)
    assert Delivery.objects.get().next_attempt_at <= timezone.now()
    assert list(PostbackConfig.objects.kept()) == []
    for verb in (lifecycle.enable, lifecycle.disable):
        with pytest.raises(rules.SettingsRefused, match="deleted"):
            verb(config=config)


def test_a_pixel_can_be_added_again_after_its_postback_was_deleted(sandbox: Sandbox, config: PostbackConfig) -> None:
    lifecycle.delete(config=config)
    check = credentials.request_check(
        game=config.game,
        requested_by=None,
        proposed=ProposedSettings(
            network="tiktok", pixel_id=config.pixel_id, credential={"token": TIKTOK_ACCOUNTS.token}, triggers=BOTH
        ),
    )
    credentials.run_check(check_id=str(check.pk))
    assert PostbackConfig.objects.kept().get().pk != config.pk
