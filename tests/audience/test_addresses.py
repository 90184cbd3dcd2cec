"""The email address of an account is changed only by a link mailed to the new address."""

import re
from datetime import timedelta
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from audience.accounts import addresses, members
from audience.models import AddressChange, Game, Invitation, Membership, Role
from audience.models.keys import sha256_hex
from tests import hub

pytestmark = pytest.mark.django_db
PAGE = "/accounts/email/"
NEW = "ada@new.example"


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> None:
    cache.clear()


@pytest.fixture
def ada() -> User:
    person: Any = hub.user("ada")
    return person


@pytest.fixture
def browser(ada: User) -> Client:
    """Signed in as Ada, who has just typed her password again."""
    client = Client()
    client.post("/accounts/login/", {"login": ada.email, "password": hub.PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": hub.PASSWORD})
    return client


def mailed_link(message: Any) -> str:
    found = re.search(r"https?://\S+/accounts/email/\S+", message.body)
    assert found
    return urlsplit(found[0]).path


def ask(client: Client, email: str = NEW) -> str:
    """Ask for another address through the page; the path of the link that was mailed."""
    assert client.post(PAGE, {"email": email})["Location"] == PAGE
    return mailed_link(mail.outbox[0])


def signs_in(email: str) -> bool:
    client = Client()
    client.post("/accounts/login/", {"login": email, "password": hub.PASSWORD})
    return "_auth_user_id" in client.session


def test_an_address_changes_once_the_link_mailed_to_the_new_one_was_followed(ada: User, browser: Client) -> None:
    link = ask(browser, " Ada@New.example ")
    assert [message.to for message in mail.outbox] == [[NEW], ["ada@studio.example"]]
    assert "cancel the change under Your account" in mail.outbox[1].body
    assert browser.get(link).status_code == 200
    ada.refresh_from_db()
    assert ada.email == "ada@studio.example"  # mail scanners follow links
    assert browser.post(link)["Location"] == "/accounts/"
    ada.refresh_from_db()
    assert (ada.email, AddressChange.objects.count()) == (NEW, 0)
    assert mail.outbox[2].to == ["ada@studio.example"]
    assert "You now sign in with ada@new.example. ada@studio.example no longer works." in mail.outbox[2].body
    assert (signs_in(NEW), signs_in("ada@studio.example")) == (True, False)
    assert (browser.get(link).status_code, browser.post(link).status_code) == (410, 410)


def test_the_change_is_in_the_audit_log_with_actor_and_address(ada: User, browser: Client) -> None:
    browser.post(ask(browser))
    entry = LogEntry.objects.get(object_pk=str(ada.pk), content_type__model="user", action=LogEntry.Action.UPDATE)
    assert entry.changes == {"email": ["ada@studio.example", NEW]}
    assert (entry.actor, entry.remote_addr) == (ada, "127.0.0.1")
    asked = LogEntry.objects.get(content_type__model="addresschange", action=LogEntry.Action.CREATE)
    assert (asked.changes["email"][1], asked.actor) == (NEW, ada)
    token = mailed_link(mail.outbox[0]).rstrip("/").rsplit("/", 1)[1]
    assert token not in str(list(LogEntry.objects.values()))
    assert sha256_hex(token) not in str(list(LogEntry.objects.values()))


def test_an_unconfirmed_address_cannot_be_used_to_sign_in(ada: User, browser: Client, game: Game) -> None:
    victim = "boss@studio.example"
    ask(browser, victim)
    EmailAddress.objects.create(user=ada, email=victim, primary=True, verified=False)
    EmailAddress.objects.create(user=ada, email="also@studio.example", verified=True)
    invited = members.invite(game=game, email=victim, role=Role.ADMIN, invited_by=None)
    mail.outbox.clear()
    assert not signs_in(victim)
    assert not signs_in("also@studio.example")
    for email in (victim, "also@studio.example"):
        Client().post("/accounts/password/reset/", {"email": email})
    assert mail.outbox == []
    answer = browser.post(f"/accounts/invitations/{invited.token}/")
    assert "This invitation is for someone else" in answer.content.decode()
    assert addresses.find_account(victim) is None
    assert not Membership.objects.filter(user=ada).exists()
    assert Invitation.objects.get().is_open


def test_the_page_that_made_any_address_the_primary_one_is_gone(ada: User, browser: Client) -> None:
    EmailAddress.objects.create(user=ada, email="boss@studio.example")
    for data in (
        {"action_primary": "", "email": "boss@studio.example"},
        {"action_add": "", "email": "boss@studio.example"},
        {"action_send": "", "email": "boss@studio.example"},
    ):
        browser.post(PAGE, data)
        ada.refresh_from_db()
        assert ada.email == "ada@studio.example"


def test_the_link_works_only_in_the_account_that_requested_it(ada: User, browser: Client) -> None:
    link, other = ask(browser), hub.signed_in(hub.user("other"))
    assert Client().get(link)["Location"].startswith("/accounts/login/?next=/accounts/email/")
    page = other.get(link)
    assert page.status_code == 410
    assert "You are signed in as<strong>other@studio.example</strong>" in hub.normalized_html(page.content.decode())
    assert other.post(link).status_code == 410
    assert list(User.objects.order_by("pk").values_list("email", flat=True)) == [
        "ada@studio.example",
        "other@studio.example",
    ]


def test_a_link_ends_after_three_days_with_a_newer_one_and_when_it_is_cancelled(ada: User, browser: Client) -> None:
    first = ask(browser)
    mail.outbox.clear()
    second = ask(browser)
    assert (browser.get(first).status_code, browser.get(second).status_code) == (410, 200)
    assert AddressChange.objects.get().expires_at - timezone.now() < timedelta(days=3)
    AddressChange.objects.update(expires_at=timezone.now())
    assert browser.post(second).status_code == 410
    mail.outbox.clear()
    third = ask(browser)
    assert browser.post(PAGE, {"cancel": "1"})["Location"] == PAGE
    assert browser.post(third).status_code == 410
    ada.refresh_from_db()
    assert (ada.email, AddressChange.objects.count()) == ("ada@studio.example", 0)


def test_an_address_of_another_account_is_neither_revealed_nor_assigned(ada: User, browser: Client) -> None:
    hub.user("boss")
    pages = []
    browser.get(PAGE)  # what signing in had to say
    for email in ("boss@studio.example", "nobody@studio.example"):
        mail.outbox.clear()
        browser.post(PAGE, {"email": email})
        said = browser.get(PAGE).content.decode()
        pages.append(re.sub(r'value="[^"]{60,}"|datetime="[^"]+"', "", said.replace(email, "…")))
        if email.startswith("boss"):
            assert "Another account already uses this address" in mail.outbox[0].body
            assert "/accounts/email/" not in mail.outbox[0].body
    assert pages[0] == pages[1]
    asked = addresses.request_change(user=ada, email="boss@studio.example")
    with pytest.raises(addresses.AddressError, match=r"Another account signs in with boss@studio\.example\."):
        addresses.confirm(token=asked.token, user=ada)
    ada.refresh_from_db()
    assert ada.email == "ada@studio.example"


def test_an_invitation_accepted_meanwhile_keeps_its_address(ada: User, browser: Client, game: Game) -> None:
    link = ask(browser)
    invited = members.invite(game=game, email=NEW, role=Role.VIEWER, invited_by=None)
    members.accept_as_new(invitation=invited.invitation, password="correct horse battery")
    answer = browser.post(link)
    assert (answer.status_code, "Another account signs in with" in answer.content.decode()) == (410, True)
    assert User.objects.filter(email=NEW).count() == 1


def test_an_address_with_lookalike_letters_is_another_address(db: None) -> None:
    """PostgreSQL makes an I of both i and ı."""
    hub.user("ivan")
    assert addresses.find_account("ıvan@studio.example") is None
    assert addresses.find_account("IVAN@studio.example") == User.objects.get()
    Client().post("/accounts/password/reset/", {"email": "ıvan@studio.example"})
    assert mail.outbox == []


def test_an_address_in_capitals_can_be_used_to_sign_in(ada: User) -> None:
    User.objects.update(email="Ada@Studio.example")
    assert signs_in("ada@STUDIO.example")


@pytest.mark.parametrize("given", ["", "no address", "a@b", "ada@studio.example"])
def test_an_invalid_or_unchanged_address_is_refused_and_nothing_is_stored(
    ada: User, browser: Client, given: str
) -> None:
    answer = browser.post(PAGE, {"email": given})
    assert answer.status_code == 200
    assert 'class="errorlist' in answer.content.decode()
    assert (AddressChange.objects.count(), len(mail.outbox)) == (0, 0)


def test_at_most_five_change_mails_are_sent_per_hour(ada: User, browser: Client) -> None:
    for number in range(5):
        assert browser.post(PAGE, {"email": f"a{number}@new.example"}).status_code == 302
    assert browser.post(PAGE, {"email": "a6@new.example"}).status_code == 429
    assert AddressChange.objects.get().email == "a4@new.example"


def test_without_a_mail_server_the_account_pages_say_so(ada: User, browser: Client, game: Game, settings: Any) -> None:
    Membership.objects.create(game=game, user=ada, role=Role.ADMIN)
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    said = "This installation has no mail server"
    for url in (PAGE, f"/g/{game.slug}/members/"):
        assert said in browser.get(url).content.decode(), url
    reset = Client().get("/accounts/password/reset/").content.decode()
    assert said in reset
    assert "<form" not in reset
    asked = browser.post(PAGE, {"email": NEW}, follow=True).content.decode()
    assert "An administrator of this installation can copy the link for you." in asked
    assert "confirmation link was sent" not in asked
    invited = browser.post(
        f"/g/{game.slug}/members/invite/", {"email": "x@new.example", "role": "viewer"}, follow=True
    ).content.decode()
    assert "x@new.example is invited, but this installation has no mail server." in invited
    assert "Copy a new link" not in invited


def test_only_a_superuser_can_copy_an_invitation_link(game: Game) -> None:
    root = hub.signed_in(hub.user("root", is_superuser=True))
    invited = members.invite(game=game, email=NEW, role=Role.ADMIN, invited_by=None)
    url = f"/g/{game.slug}/members/invitations/{invited.invitation.pk}/link/"
    for client in (hub.member(game, Role.ADMIN), hub.member(game, Role.VIEWER)):
        answer = client.post(url)
        assert answer.status_code == 403
        assert "/accounts/invitations/" not in answer.content.decode()
    assert Client().get(f"/accounts/invitations/{invited.token}/").status_code == 200
    page = root.post(url).content.decode()
    found = re.search(r"/accounts/invitations/([\w-]+)/", page)
    assert found
    assert hub.inline_code(page) == []
    assert Client().get(found[0]).status_code == 200
    assert Client().get(f"/accounts/invitations/{invited.token}/").status_code == 404


def test_the_migration_restores_the_address_that_an_invitation_confirmed(game: Game) -> None:
    """Members who had made somebody else's address theirs; one whom no invitation names keeps what is known."""
    people: dict[str, Any] = {name: hub.user(f"{name}@studio.example") for name in ("mallory", "carol", "dora", "eve")}
    for name, person in people.items():
        User.objects.filter(pk=person.pk).update(email=f"boss-{name}@studio.example")
        if name != "carol":
            digest = sha256_hex(name)
            Invitation.objects.create(game=game, email=person.username, digest=digest, accepted_at=timezone.now())
        given = {"email": f"boss-{name}@studio.example", "primary": True, "verified": name == "dora"}
        EmailAddress.objects.create(user=person, **given)
    hub.user("eve")  # somebody else has the address by now
    with connection.cursor() as cursor:
        cursor.execute(import_module("audience.migrations.0022_addresses_that_were_proven").RESTORE)
    assert {name: User.objects.get(pk=person.pk).email for name, person in people.items()} == {
        "mallory": "mallory@studio.example",
        "carol": "boss-carol@studio.example",
        "dora": "boss-dora@studio.example",
        "eve": "boss-eve@studio.example",
    }
