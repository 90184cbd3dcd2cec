"""The page of a network: adding, changing, disabling and deleting postbacks without showing secrets."""

import re
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from audience.database.encryption import encrypt
from audience.models import Game
from postbacks.configs import credentials
from postbacks.models import CheckState, CredentialCheck, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub

TEST_CODE = "TEST-CODE-4711"
GIVEN = {
    "pixel_id": TIKTOK_ACCOUNTS.pixel,
    "credential": TIKTOK_ACCOUNTS.token,
    "triggers": ["purchase"],
    "enabled": "on",
    "test_code": TEST_CODE,
}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def url(game: Game) -> str:
    return f"/g/{game.slug}/integrations/tiktok/"


def answered(check: CredentialCheck) -> CredentialCheck:
    """Play the worker, whose task carries the code encrypted."""
    encrypted = encrypt(TEST_CODE) if check.has_test_code else ""
    credentials.run_check(check_id=str(check.pk), encrypted_test_code=encrypted)
    check.refresh_from_db()
    return check


def test_saving_checks_the_credential_with_the_network_and_then_lists_the_postback(
    url: str, marketer: Client, sandbox: Sandbox
) -> None:
    asked = marketer.post(url + "add/", GIVEN)
    check = CredentialCheck.objects.get()
    assert asked["Location"] == f"{url}checks/{check.pk}/"
    assert "Checking with TikTok Ads…" in marketer.get(asked["Location"]).content.decode()
    assert not PostbackConfig.objects.exists()
    assert answered(check).state == CheckState.PASSED
    page = marketer.get(asked["Location"], follow=True).content.decode()
    assert f"TikTok Ads accepted the credentials. The postback for {TIKTOK_ACCOUNTS.pixel} was saved." in page
    assert "No recent activity" in page
    config = PostbackConfig.objects.get()
    assert (config.triggers, config.enabled, config.created_by.username) == (
        ["purchase"],
        True,
        "marketer-of-sky-raiders",
    )


def test_a_refusal_shows_the_networks_reason_and_saves_nothing(url: str, marketer: Client, sandbox: Sandbox) -> None:
    where = marketer.post(url + "add/", {**GIVEN, "credential": "0" * 40})["Location"]
    answered(CredentialCheck.objects.get())
    page = marketer.get(where).content.decode()
    assert "TikTok Ads refused" in page
    assert "Access token is incorrect or has been revoked" in page
    assert "Nothing was saved." in page
    assert not PostbackConfig.objects.exists()
    back = re.search(r'href="([^"]+\?check=[^"]+)"', page)
    assert back
    form = marketer.get(back[1]).content.decode()
    assert TIKTOK_ACCOUNTS.pixel in form
    assert re.search(r'<input[^>]+value="purchase"[^>]* checked', form)
    assert not re.search(r'<input[^>]+value="game_launch"[^>]* checked', form)


def test_an_htmx_request_receives_only_the_result(url: str, marketer: Client, sandbox: Sandbox) -> None:
    panel = marketer.post(url + "add/", GIVEN, headers=HTMX).content.decode()
    check = CredentialCheck.objects.get()
    assert "<html" not in panel
    assert f'hx-get="{url}checks/{check.pk}/"' in panel
    assert marketer.get(f"{url}checks/{check.pk}/", headers=HTMX).status_code == 204
    answered(check)
    assert marketer.get(f"{url}checks/{check.pk}/", headers=HTMX)["HX-Redirect"] == url


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"triggers": []}, "Select at least one trigger event."),
        ({"credential": ""}, "This field is required."),
        ({"pixel_id": "no pixel!"}, "This does not look like a TikTok Ads pixel code."),
    ],
)
def test_an_invalid_form_makes_no_call_to_the_network(
    url: str, marketer: Client, headers: Any, change: dict[str, Any], reason: str
) -> None:
    page = marketer.post(url + "add/", {**GIVEN, **change}, headers=headers).content.decode()
    assert reason in page
    assert "Not saved yet" in page
    assert TEST_CODE not in page
    assert TIKTOK_ACCOUNTS.token not in page
    assert not CredentialCheck.objects.exists()


def test_a_second_postback_for_a_pixel_is_refused(url: str, game: Game, marketer: Client) -> None:
    factories.config(game)
    page = marketer.post(url + "add/", GIVEN).content.decode()
    assert "already has a postback" in page
    assert not CredentialCheck.objects.exists()


def test_a_token_and_a_test_code_are_never_rendered(url: str, game: Game, marketer: Client, sandbox: Sandbox) -> None:
    config = factories.config(game, pixel_id=TIKTOK_ACCOUNTS.second_pixel)
    pages = [marketer.post(url + "add/", GIVEN, headers=headers) for headers in ({}, HTMX)]
    check = CredentialCheck.objects.first()
    assert check
    pages += [marketer.get(f"{url}checks/{check.pk}/"), marketer.get(f"{url}add/?check={check.pk}")]
    pages += [marketer.get(url), marketer.get(f"{url}{config.pk}/edit/")]
    for page in pages:
        assert TIKTOK_ACCOUNTS.token not in page.content.decode()
        assert TEST_CODE not in page.content.decode()
    assert TIKTOK_ACCOUNTS.token not in str(list(LogEntry.objects.values()))


def test_changing_the_triggers_makes_no_call_to_the_network(url: str, game: Game, marketer: Client) -> None:
    config = factories.config(game)
    given = {"pixel_id": config.pixel_id, "credential": "", "triggers": ["game_launch"], "enabled": "on"}
    assert marketer.post(f"{url}{config.pk}/edit/", given)["Location"] == url
    config.refresh_from_db()
    assert config.triggers == ["game_launch"]
    assert config.credential["token"] == TIKTOK_ACCOUNTS.token
    assert not CredentialCheck.objects.exists()


def test_rotating_the_credential_checks_it_with_the_network(
    url: str, game: Game, marketer: Client, sandbox: Sandbox
) -> None:
    config = factories.config(game)
    edit = f"{url}{config.pk}/edit/"
    assert re.search(r"<details[^>]*>\s*<summary>Rotate credentials</summary>", marketer.get(edit).content.decode())
    given = {"pixel_id": config.pixel_id, "triggers": config.triggers, "enabled": "on"}
    marketer.post(edit, {**given, "credential": TIKTOK_ACCOUNTS.rotated_token})
    answered(CredentialCheck.objects.get())
    config.refresh_from_db()
    assert config.credential["token"] == TIKTOK_ACCOUNTS.rotated_token


def test_the_menu_disables_and_enables_a_postback(url: str, game: Game, marketer: Client) -> None:
    config = factories.config(game)
    page = marketer.post(f"{url}{config.pk}/disable/", follow=True).content.decode()
    assert "Disabled" in page
    assert PostbackConfig.objects.get().enabled is False
    page = marketer.post(f"{url}{config.pk}/enable/", follow=True).content.decode()
    assert "Enabled" in page
    assert PostbackConfig.objects.get().enabled is True


def test_deleting_needs_a_confirmation_and_removes_the_credential(url: str, game: Game, marketer: Client) -> None:
    config = factories.config(game)
    assert "This cannot be undone." in hub.normalized_html(marketer.get(f"{url}{config.pk}/delete/").content.decode())
    for typed in ("", config.pixel_id.lower(), f"{config.pixel_id}X"):
        refused = marketer.post(f"{url}{config.pk}/delete/", {"confirmation": typed})
        assert refused.status_code == 200
        assert "Nothing was deleted." in refused.content.decode()
    assert PostbackConfig.objects.kept().get().credential == config.credential
    page = marketer.post(f"{url}{config.pk}/delete/", {"confirmation": config.pixel_id}, follow=True).content.decode()
    assert config.pixel_id not in page.split('id="postbacks"')[1]
    config.refresh_from_db()
    assert config.deleted_at is not None
    assert config.credential == {}
    assert marketer.get(f"{url}{config.pk}/edit/").status_code == 404
