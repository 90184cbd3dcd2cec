"""An admin in a browser: keys, members, erasing a player; and signing in with a passkey."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core import mail
from playwright.sync_api import CDPSession, Page, expect

from audience.models import ApiKey, Erasure, Game, Invitation, Membership, Person, Role
from tests import factories, hub


def test_an_admin_creates_rotates_and_revokes_a_key(admin: Page, game: Game) -> None:
    page = admin
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="Create a key").click()
    page.get_by_label("Name", exact=True).fill("Payment backend")
    page.get_by_label("Kind").select_option("Secret")
    page.get_by_role("button", name="Create key").click()
    value = page.locator("#value").inner_text()
    assert value.startswith("sk_imapik-")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == value

    page.get_by_role("link", name="Done").click()
    expect(page.get_by_text(value)).to_have_count(0)
    page.get_by_label("Menu of Payment backend").click()
    page.get_by_role("link", name="Rotate").click()
    page.get_by_label("7 days").check()
    page.get_by_role("button", name="Rotate key").click()
    expect(page.get_by_text("works for 6 d 23 h more")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="Rotating 1").click()
    expect(page.get_by_role("row").filter(has_text="Payment backend")).to_contain_text(
        "Old key works for 6 d 23 h more"
    )

    page.get_by_label("Menu of Payment backend").click()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_label("Enter Payment backend to confirm").fill("payment backend")
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text("The key still works.")).to_be_visible()
    page.get_by_label("Enter Payment backend to confirm").fill("Payment backend")
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text("Payment backend was revoked")).to_be_visible()
    assert sorted(key.is_live for key in ApiKey.objects.all()) == [False, True]


def test_an_admin_invites_a_user_who_joins(admin: Page, game: Game) -> None:
    page = admin
    page.get_by_role("link", name="Members").click()
    page.get_by_role("link", name="Invite", exact=True).click()
    page.get_by_label("Email").fill("new@studio.example")
    page.get_by_label("Marketer").check()
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_role("row").filter(has_text="new@studio.example")).to_contain_text("Waiting")

    found = re.search(r"/accounts/invitations/\S+", mail.outbox[0].body)
    assert found
    browser = page.context.browser
    assert browser
    theirs = browser.new_context(base_url=page.url.split("/g/")[0]).new_page()
    theirs.goto(found[0])
    expect(theirs.get_by_label("Email")).to_have_value("new@studio.example")
    theirs.get_by_label("Password", exact=True).fill("correct horse battery")
    theirs.get_by_label("Password again").fill("correct horse battery")
    theirs.get_by_role("button", name="Join Sky Raiders").click()
    theirs.wait_for_url(f"**/g/{game.slug}/")
    theirs.context.close()
    assert Membership.objects.get(user__email="new@studio.example").role == Role.MARKETER
    assert Invitation.objects.get().accepted_at is not None
    page.reload()
    expect(page.get_by_role("row").filter(has_text="new@studio.example")).to_contain_text("Marketer")


def test_an_admin_erases_a_player(admin: Page, game: Game, worker: None) -> None:
    player = factories.person(game, user="player-7")
    page = admin
    page.goto(f"/g/{game.slug}/people/{player.pk}/")
    page.get_by_text("Erase …").click()
    page.get_by_label("Enter player-7 to confirm").fill("player-7")
    page.get_by_role("button", name="Erase this player").click()
    page.wait_for_url(f"**/g/{game.slug}/privacy/**")
    expect(page.get_by_role("row").filter(has_text="Done")).to_be_visible()
    assert not Person.objects.exists()
    assert Erasure.objects.get().subject == ""


@pytest.fixture
def device(page: Page) -> CDPSession:
    """A virtual authenticator in the window, with a fingerprint that always fits."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return session


def test_a_passkey_can_be_added_and_used_to_sign_in(page: Page, device: CDPSession, admin: Page, game: Game) -> None:
    page.get_by_role("link", name="Your account").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Add passkey").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/")
    expect(page.locator("#recovery_codes li")).to_have_count(10)
    assert str(Authenticator.objects.get(type="webauthn")) == "Laptop"

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"**/g/{game.slug}/")
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_role("row").filter(has_text="Laptop")).to_contain_text("Alone")


def test_a_passkey_replaces_the_code_after_the_password(
    page: Page, device: CDPSession, admin: Page, game: Game
) -> None:
    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Sign in with the passkey alone").uncheck()
    page.get_by_role("button", name="Add passkey").click()
    page.wait_for_url("**/accounts/2fa/recovery-codes/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Email").fill(User.objects.get().email)
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Use a passkey instead").click()
    page.wait_for_url(f"**/g/{game.slug}/")


def test_a_missing_passkey_is_reported_on_the_page(page: Page, device: Any) -> None:
    device.send("WebAuthn.disable")
    device.send("WebAuthn.enable")
    device.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}},
    )
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser got no answer")
