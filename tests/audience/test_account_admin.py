"""Accounts in the Django admin: only superusers change them or copy links into them."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from allauth.mfa.models import Authenticator
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from audience.models import AddressChange, Game, Membership, Role
from tests import hub

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> None:
    cache.clear()


@pytest.fixture
def ada(game: Game) -> User:
    """An admin of a game."""
    person: Any = hub.user("ada")
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    return person


@pytest.fixture
def root() -> Client:
    return hub.signed_in(hub.user("root", is_staff=True, is_superuser=True))


@pytest.fixture
def operator() -> Client:
    """Staff with every permission there is, and no superuser."""
    person: Any = hub.user("operator", is_staff=True)
    person.user_permissions.set(Permission.objects.all())
    return hub.signed_in(person)


def page_of(account: User, rest: str = "change/") -> str:
    return f"/admin/auth/user/{account.pk}/{rest}"


def shown_link(page: str) -> str:
    found = re.search(r'<code id="link">([^<]+)</code>', page)
    assert found
    return found[1]


def entries(account: User) -> list[Any]:
    return list(LogEntry.objects.filter(content_type__model="user", object_pk=str(account.pk)).order_by("pk"))


def test_a_superuser_copies_a_link_that_sets_the_password(ada: User, root: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://hub.example"
    assert page_of(ada, "password/") in root.get(page_of(ada)).content.decode()
    asking = root.get(page_of(ada, "password/"), headers={"Host": "testserver"}).content.decode()
    assert "<code" not in asking
    answer = root.post(page_of(ada, "password/"))
    link = shown_link(answer.content.decode())
    assert link.startswith("https://hub.example/accounts/password/reset/key/")
    assert "no-store" in answer["Cache-Control"]
    entry = entries(ada)[-1]
    assert (entry.changes, entry.actor.username) == ({"password reset link": ["None", "made"]}, "root")
    client, new = Client(), "another battery staple"
    form = client.get(urlsplit(link).path, follow=True).request["PATH_INFO"]
    assert client.post(form, {"password1": new, "password2": new}).status_code == 302
    ada.refresh_from_db()
    assert ada.check_password(new)
    assert link not in str(list(LogEntry.objects.values()))


def test_a_superuser_asks_for_another_address_which_its_owner_confirms(ada: User, root: Client) -> None:
    page = root.post(page_of(ada, "address/"), {"email": "ada@new.example"}).content.decode()
    link = shown_link(page)
    ada.refresh_from_db()
    assert ada.email == "ada@studio.example"
    assert [message.to for message in mail.outbox] == [["ada@new.example"], ["ada@studio.example"]]
    assert root.post(urlsplit(link).path).status_code == 410
    assert hub.signed_in(ada).post(urlsplit(link).path)["Location"] == "/accounts/"
    ada.refresh_from_db()
    assert ada.email == "ada@new.example"


def test_an_address_of_another_account_is_refused(ada: User, root: Client) -> None:
    page = root.post(page_of(ada, "address/"), {"email": "ROOT@studio.example"}).content.decode()
    assert "Another account signs in with root@studio.example." in page
    assert (AddressChange.objects.count(), len(mail.outbox)) == (0, 0)


def test_the_form_of_an_account_changes_no_address_and_shows_no_hash(ada: User, root: Client) -> None:
    page = root.get(page_of(ada)).content.decode()
    assert "pbkdf2" not in page
    assert 'name="email"' not in page
    assert 'name="password"' not in page
    data = {"username": "ada", "email": "boss@studio.example", "password": "x", "is_active": "on", "is_staff": "on"}
    assert root.post(page_of(ada), data).status_code == 302
    before = ada.password
    ada.refresh_from_db()
    assert (ada.email, ada.password, ada.is_staff) == ("ada@studio.example", before, True)
    entry = entries(ada)[-1]
    assert entry.changes == {"is_staff": ["False", "True"]}
    assert (entry.actor.username, entry.remote_addr) == ("root", "127.0.0.1")


def test_a_new_account_has_no_password_until_its_link_is_followed(root: Client) -> None:
    answer = root.post("/admin/auth/user/add/", {"email": " New@Studio.example "})
    made = User.objects.get(email="new@studio.example")
    assert answer["Location"] == page_of(made)
    assert not made.has_usable_password()
    assert (made.is_staff, made.is_superuser) == (False, False)
    answer = root.post("/admin/auth/user/add/", {"email": "NEW@studio.example"})
    assert "An account for this address already exists." in answer.content.decode()
    assert User.objects.filter(email__iexact="new@studio.example").count() == 1


def test_staff_of_any_permission_change_no_account(ada: User, operator: Client) -> None:
    """A link, a flag, a group or a missing second factor of somebody else would be their games."""
    factor = Authenticator.objects.create(user=ada, type="totp", data={"secret": "sealed"})
    group = Group.objects.create(name="Operators")
    assert operator.get(page_of(ada)).status_code == 200
    assert page_of(ada, "password/") not in operator.get(page_of(ada)).content.decode()
    own = User.objects.get(username="operator")
    for url, data in (
        (page_of(ada, "password/"), {}),
        (page_of(ada, "address/"), {"email": "mine@new.example"}),
        (page_of(ada), {"username": "ada", "is_superuser": "on"}),
        (page_of(own), {"username": "operator", "is_superuser": "on", "is_staff": "on", "is_active": "on"}),
        (page_of(ada, "delete/"), {"post": "yes"}),
        ("/admin/auth/user/add/", {"email": "x@new.example"}),
        (f"/admin/auth/group/{group.pk}/change/", {"name": "Root"}),
        (f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"}),
    ):
        assert operator.post(url, data).status_code == 403, url
    chosen = {"action": "delete_selected", "_selected_action": [str(factor.pk)], "post": "yes"}
    operator.post("/admin/mfa/authenticator/", chosen)
    assert (Authenticator.objects.count(), Group.objects.get().name) == (1, "Operators")
    assert (AddressChange.objects.count(), len(mail.outbox), User.objects.count()) == (0, 0, 2)
    assert not User.objects.filter(is_superuser=True).exists()
    assert "auth/user" not in str([entry.changes for entry in entries(ada)[1:]])
    assert len(entries(ada)) == 1  # that she was made


def test_a_game_admin_reaches_no_account(ada: User, game: Game) -> None:
    admin = hub.member(game, Role.ADMIN)
    for url in (page_of(ada), page_of(ada, "password/"), page_of(ada, "address/")):
        for answer in (admin.get(url), admin.post(url, {"email": "mine@new.example"})):
            assert answer.status_code == 302, url
            assert answer["Location"].startswith("/admin/login/"), url
    assert AddressChange.objects.count() == 0


def last_change(account: User) -> tuple[Any, ...]:
    entry = entries(account)[-1]
    return entry.changes, entry.actor and entry.actor.username, entry.actor_email, entry.remote_addr


PASSWORD_CHANGED = {"password": ["set", "set"]}


def test_every_way_to_a_new_password_is_in_the_audit_log(ada: User, root: Client, monkeypatch: Any) -> None:
    new, client = "another battery staple", Client(REMOTE_ADDR="203.0.113.9")
    client.post("/accounts/login/", {"login": ada.email, "password": hub.PASSWORD})
    asked = {"oldpassword": hub.PASSWORD, "password1": new, "password2": new}
    assert client.post("/accounts/password/change/", asked).status_code == 302
    assert last_change(ada) == (PASSWORD_CHANGED, "ada", ada.email, "203.0.113.9")

    stranger = Client(REMOTE_ADDR="203.0.113.10")
    stranger.post("/accounts/password/reset/", {"email": ada.email})
    found = re.search(r"https?://\S+/accounts/password/reset/key/\S+", mail.outbox[-1].body)
    assert found
    form = stranger.get(urlsplit(found[0]).path, follow=True).request["PATH_INFO"]
    assert stranger.post(form, {"password1": f"{new} 2", "password2": f"{new} 2"}).status_code == 302
    assert last_change(ada) == (PASSWORD_CHANGED, "ada", ada.email, "203.0.113.10")

    person = User.objects.get(username="root")
    given = {"old_password": hub.PASSWORD, "new_password1": new, "new_password2": new}
    assert root.post("/admin/password_change/", given).status_code == 302
    assert last_change(person) == (PASSWORD_CHANGED, "root", person.email, "127.0.0.1")

    monkeypatch.setattr("getpass.getpass", lambda **_: f"{new} 3")
    monkeypatch.setattr("getpass.getuser", lambda: "deploy")
    call_command("changepassword", "ada")
    assert last_change(ada) == (PASSWORD_CHANGED, None, "manage.py changepassword (deploy)", None)
    for password in (new, f"{new} 2", hub.PASSWORD, "pbkdf2", ada.password):
        assert password not in str(list(LogEntry.objects.values()))


def test_an_account_made_in_the_shell_names_the_command(monkeypatch: Any) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    monkeypatch.setattr("getpass.getuser", lambda: "deploy")
    call_command("createsuperuser", interactive=False, username="boss", email="boss@studio.example")
    entry = entries(User.objects.get())[0]
    assert entry.get_action_display() == "create"
    assert entry.actor_email == "manage.py createsuperuser (deploy)"
    assert (entry.changes["is_superuser"], entry.changes["email"][1]) == (["None", "True"], "boss@studio.example")
    assert entry.changes["password"] == ["", "set"]


def test_flags_groups_and_permissions_are_in_the_audit_log(ada: User, root: Client) -> None:
    group, right = Group.objects.create(name="Operators"), Permission.objects.get(codename="view_game")
    data = {
        "username": "ada",
        "is_active": "on",
        "is_superuser": "on",
        "groups": group.pk,
        "user_permissions": right.pk,
    }
    root.post(page_of(ada), data)
    changed = [entry.changes for entry in entries(ada)[1:]]
    assert changed[0] == {"is_superuser": ["False", "True"]}
    assert {name for entry in changed[1:] for name in entry} == {"groups", "user_permissions"}
    assert {entry.actor.username for entry in entries(ada)[1:]} == {"root"}


def test_a_second_factor_added_and_removed_is_in_the_audit_log(ada: User, root: Client) -> None:
    factor = Authenticator.objects.create(user=ada, type="totp", data={"secret": "sealed"})
    factor.record_usage()
    assert root.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"}).status_code == 302
    found = LogEntry.objects.filter(content_type__model="authenticator").order_by("pk")
    assert [(entry.get_action_display(), entry.actor and entry.actor.username) for entry in found] == [
        ("create", None),
        ("delete", "root"),
    ]
    assert found[1].changes == {"type": ["totp", "None"], "user": ["ada@studio.example", ""]}
    assert "sealed" not in str(list(LogEntry.objects.values()))


def test_the_admin_lists_who_changed_what_from_where(ada: User, root: Client) -> None:
    root.post(page_of(ada), {"username": "ada", "is_active": "on", "is_staff": "on"}, REMOTE_ADDR="203.0.113.9")
    page = root.get("/admin/auditlog/logentry/").content.decode()
    assert "root@studio.example" in page
    assert "203.0.113.9" in page
    assert "1 change: is_staff" in page


def test_a_hash_upgraded_at_sign_in_is_not_logged_as_a_change(ada: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher", *settings.PASSWORD_HASHERS]
    client = Client()
    client.post("/accounts/login/", {"login": ada.email, "password": hub.PASSWORD})
    assert "_auth_user_id" in client.session
    ada.refresh_from_db()
    assert ada.password.startswith("scrypt")
    assert len(entries(ada)) == 1
