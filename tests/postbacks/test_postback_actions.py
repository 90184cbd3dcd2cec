"""Checking a postback's credential again, rolling it back, and the history of both."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audience.database.encryption import encrypt
from audience.models import Role
from postbacks.configs import credential_checks, credentials, hold, upkeep
from postbacks.models import CredentialCheck, PostbackConfig, Purpose
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.hub import member

pytestmark = pytest.mark.django_db


def at(config: PostbackConfig, what: str) -> str:
    return f"/g/{config.game.slug}/integrations/{config.network}/{config.pk}/{what}/"


def run_pending() -> None:
    for check in CredentialCheck.objects.pending():
        credentials.run_check(check_id=str(check.pk))


def test_the_credential_of_a_held_postback_can_be_checked_again(sandbox: Sandbox, config: PostbackConfig) -> None:
    hold.hold(config=config, access="token", message="revoked")
    marketer = member(config.game, Role.MARKETER)
    answer = marketer.post(at(config, "check"))
    check = CredentialCheck.objects.get()
    assert (check.purpose, check.requested_by is not None) == ("release", True)
    assert answer["Location"].endswith(f"/checks/{check.pk}/")
    run_pending()
    config.refresh_from_db()
    assert config.held_at is None


def test_a_roll_back_restores_the_previous_credential_after_a_check(sandbox: Sandbox, config: PostbackConfig) -> None:
    config.previous_credential = {"token": TIKTOK_ACCOUNTS.rotated_token}
    config.previous_until = timezone.now() + timedelta(hours=1)
    config.save()
    marketer = member(config.game, Role.MARKETER)
    menu = marketer.get(f"/g/{config.game.slug}/integrations/tiktok/").content.decode()
    assert "Roll back credential" in menu
    assert marketer.post(at(config, "roll-back")).status_code == 302
    run_pending()
    config.refresh_from_db()
    assert config.credential["token"] == TIKTOK_ACCOUNTS.rotated_token


def test_a_roll_back_without_a_previous_credential_is_refused(config: PostbackConfig) -> None:
    marketer = member(config.game, Role.MARKETER)
    page = marketer.post(at(config, "roll-back"), follow=True).content.decode()
    assert "The previous credential is no longer stored. Enter the credential to use." in page
    assert "Roll back credential" not in page
    assert not CredentialCheck.objects.exists()


@pytest.mark.parametrize("what", ["check", "roll-back"])
def test_a_viewer_may_neither_recheck_nor_roll_back(config: PostbackConfig, what: str) -> None:
    assert member(config.game, Role.VIEWER).post(at(config, what)).status_code == 403
    assert not CredentialCheck.objects.exists()


def test_the_history_shows_each_change_with_its_time_and_user(sandbox: Sandbox, config: PostbackConfig) -> None:
    marketer = member(config.game, Role.MARKETER)
    marketer.post(at(config, "disable"))
    marketer.post(at(config, "check"))
    run_pending()
    page = member(config.game, Role.VIEWER).get(at(config, "history")).content.decode()
    assert "Disabled" in page
    assert "Before releasing deliveries on hold" in page
    assert "TikTok Ads accepted the test event" in page
    assert page.count("marketer-of-sky-raiders@studio.example") == 2
    assert TIKTOK_ACCOUNTS.token not in page


# What the page says of a check that nothing came of, by why it was made.
UNDECIDED = [
    ("save", "nothing was saved. Try again in a minute."),
    ("suspicion", "nothing is sent until the credential is checked. The next check is within a minute."),
    ("daily", "sending continues. The next check is within a day."),
    ("release", "conversions on hold stay on hold. Try again in a minute."),
    ("test", "the test conversion may not have arrived. Try again in a minute."),
]


@pytest.mark.parametrize(("purpose", "end"), UNDECIDED)
def test_the_history_explains_an_inconclusive_check(
    sandbox: Sandbox, config: PostbackConfig, purpose: str, end: str
) -> None:
    check = credential_checks.create(config=config, purpose=Purpose(purpose))
    sandbox.state.add_fault("tiktok", "unavailable", 1)
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypt("TEST1") if purpose == "test" else "")
    check.refresh_from_db()
    assert (check.state, check.message) == (
        "unverified",
        f"TikTok Ads could not verify the credential now (“System error”): {end}",
    )
    page = member(config.game, Role.VIEWER).get(at(config, "history")).content.decode()
    assert check.message in page
    assert ("nothing was saved" in page) == (purpose == "save")


@pytest.mark.parametrize(("purpose", "end"), UNDECIDED)
def test_the_history_explains_a_check_that_no_worker_ran(config: PostbackConfig, purpose: str, end: str) -> None:
    check = credential_checks.create(config=config, purpose=Purpose(purpose))
    CredentialCheck.objects.update(created_at=timezone.now() - timedelta(minutes=5, seconds=1))
    upkeep.run_lost_checks()
    check.refresh_from_db()
    assert (check.state, check.message) == ("unverified", f"The credential could not be verified in time: {end}")
    page = member(config.game, Role.VIEWER).get(at(config, "history")).content.decode()
    assert check.message in page


def test_the_history_of_another_game_is_not_found(config: PostbackConfig) -> None:
    other = member(factories.game(), Role.ADMIN)
    assert other.get(at(config, "history")).status_code == 404
