"""An operator in a browser, with the admin site alone: an account, a member, a key and its rotation, and a postback."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from auditlog.models import LogEntry
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from audience.models import ApiKey, Game, Membership, Role
from postbacks.models import Delivery, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories, hub
from tests.audience import immutable

EMAIL, PASSWORD = "new@studio.example", "correct horse battery"


@pytest.fixture
def root(page: Page, game: Game) -> Page:
    """The window, signed in through the form as a superuser, on the first page of the admin."""
    person: Any = hub.user("root", is_staff=True, is_superuser=True)
    page.goto("/admin/")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")
    return page


def press(page: Page, button: str) -> None:
    """Press the button of an action on the page of a row, and the one of its confirmation page."""
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_role("link", name="Cancel")).to_be_visible()
    page.get_by_role("button", name=button, exact=True).click()


def said(page: Page, text: str) -> None:
    expect(page.locator(".messagelist")).to_contain_text(text)


def status(page: Page, value: str) -> int:
    """The status of a request that sends one event with the key."""
    headers = {"x-immutable-publishable-key": value}
    answer = page.request.post(immutable.MESSAGES, data={"messages": [immutable.message()]}, headers=headers)
    return answer.status


def test_an_account_made_in_the_admin_sets_its_password_and_signs_in(root: Page, browser: Browser, game: Game) -> None:
    page = root
    page.goto("/admin/auth/user/")
    page.get_by_role("link", name="Add user").click()
    page.get_by_label("Email address").fill(EMAIL)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="Password reset link").click()
    page.get_by_role("button", name="Create link").click()
    link = page.locator("#link").inner_text()
    page.goto("/admin/audience/membership/add/")
    page.get_by_label("Game").select_option(game.name)
    page.get_by_label("Email of the account").fill(EMAIL)
    page.get_by_label("Role").select_option("Viewer")
    page.get_by_role("button", name="Add member").click()
    said(page, "was added")

    theirs = browser.new_context(base_url=page.url.split("/admin/")[0]).new_page()
    theirs.goto(urlsplit(link).path)
    theirs.locator("[name=password1]").fill(PASSWORD)
    theirs.locator("[name=password2]").fill(PASSWORD)
    theirs.get_by_role("button", name="Set password").click()
    theirs.goto("/accounts/login/")
    theirs.get_by_label("Email").fill(EMAIL)
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Sign in", exact=True).click()
    theirs.wait_for_url(f"**/g/{game.slug}/")
    theirs.context.close()

    page.get_by_role("row").filter(has_text=EMAIL).get_by_role("link").first.click()
    page.get_by_role("button", name="Change role").click()
    page.get_by_label("Role").select_option("Admin")
    page.get_by_role("button", name="Change role").click()
    said(page, "The member is an admin now.")
    assert Membership.objects.get(user__email=EMAIL).role == Role.ADMIN


def test_a_key_is_created_rotated_with_an_overlap_and_revoked(root: Page, game: Game) -> None:
    page = root
    page.goto("/admin/audience/apikey/")
    page.get_by_role("link", name="Add api key").click()
    page.get_by_label("Game").select_option(game.name)
    page.locator("#id_name").fill("Payment backend")
    page.get_by_label("Kind").select_option("Server")
    page.get_by_role("button", name="Create key").click()
    old = page.locator(".new-key").inner_text()
    assert old.startswith("sk_imapik-server-")
    assert status(page, old) == 200

    page.get_by_role("link", name="Back to the keys").click()
    expect(page.get_by_text(old)).to_have_count(0)
    page.get_by_role("row").filter(has_text="Payment backend").get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("Rotate")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_label("24 hours").check()
    page.get_by_role("button", name="Rotate").click()
    new = page.locator(".new-key").inner_text()
    expect(page.get_by_text("works until")).to_be_visible()
    assert (new != old, status(page, old), status(page, new)) == (True, 200, 200)

    page.goto(f"/admin/audience/apikey/{ApiKey.objects.get(replaced_by__isnull=False).pk}/change/")
    press(page, "Revoke")
    said(page, "The key was revoked.")
    assert (status(page, old), status(page, new)) == (401, 200)


def test_a_postback_is_held_checked_released_disabled_and_rotated(
    root: Page, game: Game, sandbox: Sandbox, worker: None
) -> None:
    config, page = factories.config(game), root
    factories.delivery(config, next_attempt_at=timezone.now() + timedelta(hours=1))
    url = f"/admin/postbacks/postbackconfig/{config.pk}/change/"

    page.goto(url)
    page.get_by_role("button", name="Put on hold").click()
    expect(page.get_by_text("1 conversion waits now")).to_be_visible()
    page.get_by_label("Reason").fill("Wrong campaign")
    page.get_by_role("button", name="Put on hold").click()
    said(page, "The postback is on hold. 1 conversion waits until a user releases it.")
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    expect(page.get_by_role("row").filter(has_text=config.pixel_id)).to_contain_text("“Wrong campaign”")

    page.goto(url)
    press(page, "Check credential")
    accepted(page)
    expect(page.get_by_text("it stays on hold until a user releases it")).to_be_visible()
    page.goto(url)
    press(page, "Release")
    said(page, "The postback was released. 1 conversion is sent now.")
    hub_page = f"/g/{game.slug}/conversions/{Delivery.objects.get().conversion_id}/"
    page.goto(hub_page)
    for _ in range(20):
        if page.get_by_text("Delivered").count():
            break
        page.wait_for_timeout(250)
        page.reload()
    assert Delivery.objects.get().state == "delivered"

    factories.delivery(config, next_attempt_at=timezone.now() + timedelta(hours=1))
    page.goto(url)
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("1 conversion is waiting; it will not be sent.")).to_be_visible()
    page.get_by_role("button", name="Disable").click()
    said(page, "The postback is disabled.")
    page.goto(url)
    press(page, "Enable")
    said(page, "The postback is enabled.")

    page.goto(url)
    page.get_by_role("button", name="Rotate credential").click()
    page.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.rotated_token)
    page.get_by_role("button", name="Rotate credential").click()
    accepted(page)
    assert PostbackConfig.objects.get().credential["token"] == TIKTOK_ACCOUNTS.rotated_token
    assert {entry.actor.username for entry in LogEntry.objects.filter(content_type__model="postbackconfig")[:4]} == {
        "root"
    }


def accepted(page: Page) -> None:
    """Reload the page of a check until the network has accepted the credential."""
    page.wait_for_url("**/admin/postbacks/credentialcheck/**")
    for _ in range(20):
        if page.get_by_role("link", name="Reload this page").count() == 0:
            break
        page.wait_for_timeout(250)
        page.get_by_role("link", name="Reload this page").click()
    expect(page.locator(".field-state .readonly")).to_have_text("Accepted")
