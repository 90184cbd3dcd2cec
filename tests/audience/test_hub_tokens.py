"""The pages of tokens: a member's own, after the password was entered again, and those of a game, for its admins."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core import signing
from django.core.cache import cache
from django.test import Client, override_settings

from audience.accounts import tokens
from audience.accounts.audit_log import entries
from audience.database import clock
from audience.models import ApiToken, Game, Membership, Role, Scope
from audience.models.keys import sha256_hex
from audience.models.tokens import TokenState
from tests import hub
from tests.management_api import Api
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
OWN = "/accounts/tokens/"
FORM = {"name": "CI", "role": "marketer", "scopes": ["read", "postbacks"]}
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> None:
    cache.clear()


@pytest.fixture
def admin(game: Game) -> Client:
    return hub.member(game, Role.ADMIN)


@pytest.fixture
def ada(game: Game) -> User:
    user: Any = hub.user("ada")
    Membership.objects.create(game=game, user=user, role=Role.MARKETER)
    return user


@pytest.fixture
def browser(ada: User) -> Client:
    """Signed in as Ada, who entered her password again."""
    client = Client()
    client.post("/accounts/login/", {"login": ada.email, "password": hub.PASSWORD})
    client.post("/accounts/reauthenticate/", {"password": hub.PASSWORD})
    return client


def shown(response: Any) -> str:
    """The token that a page shows."""
    found = re.search(r'<code id="value">([^<]+)</code>', response.content.decode())
    assert found
    return found[1]


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return hub.normalized_html(response.content.decode())


def test_a_token_of_a_game_is_shown_only_in_the_response_that_created_it(game: Game, admin: Client) -> None:
    response = admin.post(f"/g/{game.slug}/tokens/new/", FORM)
    value = shown(response)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    token = ApiToken.objects.get()
    assert (token.game, token.user, token.role, token.scopes) == (game, None, "marketer", ["read", "postbacks"])
    assert (token.digest, token.prefix, token.expires_at) == (sha256_hex(value), value[:12], None)
    assert token.created_by is not None
    assert token.created_by.username == "admin-of-sky-raiders"
    for url in ("tokens/", f"tokens/{token.pk}/rotate/", f"tokens/{token.pk}/revoke/", "audit-log/"):
        assert value not in page(admin, f"/g/{game.slug}/{url}")
    sessions = [signing.loads(row.session_data, salt="django.contrib.sessions.SessionStore")
                for row in Session.objects.all() if ":" in row.session_data]  # fmt: skip
    assert value not in str(sessions) + str(list(LogEntry.objects.values()))
    assert Api(value).get("token").json()["role"] == "marketer"


def test_the_list_shows_name_role_scopes_use_and_end(game: Game, admin: Client) -> None:
    with time_machine.travel(NOW, tick=False):
        values: dict[str, Any] = {"game": game, "role": Role.ADMIN, "scopes": [Scope.KEYS]}
        token = tokens.create_game_token(name="CI", **values, expires_at=NOW + timedelta(days=3)).token
        ApiToken.objects.update(last_used_at=NOW - timedelta(minutes=5))
        html = page(admin, f"/g/{game.slug}/tokens/")
    for text in (token.prefix, "Admin", "<code>keys</code>", "5 minutes ago", "Live", "Works for 3 d more"):
        assert text in html, text


def test_an_empty_list_names_the_next_step_with_a_command(game: Game, admin: Client, browser: Client) -> None:
    html = page(admin, f"/g/{game.slug}/tokens/")
    assert "No API tokens yet" in html
    assert f"/api/v1/games/{game.slug}" in html
    assert f'href="/g/{game.slug}/tokens/new/"' in html
    assert "/api/v1/games</code>" in page(browser, OWN)
    assert 'href="/help/api/"' in page(browser, OWN)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MARKETER])
def test_only_admins_see_the_tokens_of_a_game_and_their_link(game: Game, admin: Client, role: Role) -> None:
    link, member = f'href="/g/{game.slug}/tokens/"', hub.member(game, role)
    assert link in page(admin, f"/g/{game.slug}/keys/")
    assert link not in page(member, f"/g/{game.slug}/keys/")
    for path in ("", "new/"):
        assert member.get(f"/g/{game.slug}/tokens/{path}").status_code == 403
    assert member.post(f"/g/{game.slug}/tokens/new/", FORM).status_code == 403
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 81}, "at most 80 characters"),
        ({"scopes": []}, "Select at least one scope."),
        ({"scopes": ["everything"]}, "everything is not one of the available choices"),
        ({"role": "owner"}, "owner is not one of the available choices"),
        ({"ends_on": "2020-01-01"}, "This day is over. Select a later one."),
        ({"ends_on": "9999-12-31"}, "Enter a day before 2100."),
        ({"name": "a\0b"}, "Null characters are not allowed."),
    ],
)
def test_an_invalid_form_creates_no_token(game: Game, admin: Client, change: dict[str, Any], error: str) -> None:
    assert error in page_after(admin, f"/g/{game.slug}/tokens/new/", {**FORM, **change})
    assert not ApiToken.objects.exists()


def page_after(client: Client, url: str, form: dict[str, Any]) -> str:
    response = client.post(url, form)
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_last_day_belongs_to_the_life_of_a_token(game: Game, admin: Client) -> None:
    with time_machine.travel(NOW, tick=False):
        admin.post(f"/g/{game.slug}/tokens/new/", {**FORM, "ends_on": "2026-11-21"})
    assert ApiToken.objects.get().expires_at == datetime(2026, 11, 22, tzinfo=UTC)


def test_more_than_fifty_tokens_are_refused_on_the_page(game: Game, admin: Client) -> None:
    for number in range(50):
        tokens.create_game_token(game=game, name=f"{number}", role=Role.VIEWER, scopes=[Scope.READ])
    html = page_after(admin, f"/g/{game.slug}/tokens/new/", FORM)
    assert "There are already 50 tokens. Revoke one first." in html
    assert ApiToken.objects.count() == 50


def test_a_rotation_keeps_the_old_token_for_the_chosen_time(game: Game, admin: Client) -> None:
    old = tokens.create_game_token(game=game, name="CI", role=Role.MARKETER, scopes=[Scope.READ, Scope.POSTBACKS])
    url = f"/g/{game.slug}/tokens/{old.token.pk}/rotate/"
    before = clock.now()
    value = shown(admin.post(url, {"overlap": "3600"}))
    old.token.refresh_from_db()
    new = old.token.replaced_by
    assert new is not None
    assert (new.digest, new.role, new.scopes) == (sha256_hex(value), "marketer", ["read", "postbacks"])
    assert old.token.expires_at is not None
    assert timedelta(0) <= old.token.expires_at - before - timedelta(hours=1) < timedelta(seconds=20)
    html = page(admin, f"/g/{game.slug}/tokens/")
    assert "Rotating" in html
    assert "Works for 59 min more" in html
    assert admin.post(url, {"overlap": "3600"}).status_code == 404
    assert ApiToken.objects.count() == 2
    assert Api(old.value).get("token").json()["state"] == "rotating"


def test_a_token_is_revoked_once_its_name_is_entered(game: Game, admin: Client) -> None:
    new = tokens.create_game_token(game=game, name="CI", role=Role.ADMIN, scopes=[Scope.READ])
    url = f"/g/{game.slug}/tokens/{new.token.pk}/revoke/"
    assert "This cannot be undone." in page(admin, url)
    assert "This is not “CI”. The token still works." in page_after(admin, url, {"confirmation": "ci"})
    assert ApiToken.objects.get().state == TokenState.LIVE
    assert admin.post(url, {"confirmation": "CI"})["Location"] == f"/g/{game.slug}/tokens/"
    assert ApiToken.objects.get().state == TokenState.REVOKED
    assert Api(new.value).get("token").json()["code"] == "revoked_token"
    assert "No API tokens that work" in page(admin, f"/g/{game.slug}/tokens/")
    assert (admin.get(url).status_code, admin.post(url, {"confirmation": "CI"}).status_code) == (404, 404)
    entry = entries(game).order_by("-pk")[0]
    assert (entry.actor.username, list(entry.changes)) == ("admin-of-sky-raiders", ["revoked_at"])


def test_tokens_of_others_are_not_found(game: Game, other_game: Game, admin: Client, browser: Client) -> None:
    other: Any = hub.user("bo")
    rows = [
        tokens.create_game_token(game=other_game, name="Theirs", role=Role.ADMIN, scopes=[Scope.READ]).token,
        tokens.create_user_token(user=other, name="Theirs", scopes=[Scope.READ]).token,
    ]
    for row in rows:
        for client, base in ((admin, f"/g/{game.slug}/tokens/"), (browser, OWN)):
            for path, form in (("rotate", {"overlap": "0"}), ("revoke", {"confirmation": "Theirs"})):
                assert client.post(f"{base}{row.pk}/{path}/", form).status_code == 404
            assert "Theirs" not in page(client, base)
    assert {row.state for row in ApiToken.objects.all()} == {TokenState.LIVE}


def test_an_own_token_is_created_after_the_password_was_entered_again(ada: User) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": ada.email, "password": hub.PASSWORD})
    assert client.get(f"{OWN}new/").status_code == 200
    form = {"name": "Laptop", "scopes": ["read"]}
    answer = client.post(f"{OWN}new/", form)
    assert answer["Location"] == "/accounts/reauthenticate/?next=%2Faccounts%2Ftokens%2Fnew%2F"
    assert not ApiToken.objects.exists()
    wrong = {"password": "wrong", "next": f"{OWN}new/"}
    assert client.post("/accounts/reauthenticate/", wrong).status_code == 200
    assert not ApiToken.objects.exists()
    response = client.post("/accounts/reauthenticate/", {"password": hub.PASSWORD, "next": f"{OWN}new/"})
    value = shown(response)
    assert "no-store" in response["Cache-Control"]
    token = ApiToken.objects.get()
    assert (token.user, token.game, token.role, token.scopes) == (ada, None, "", ["read"])
    assert token.digest == sha256_hex(value)
    assert value not in page(client, OWN)


def test_an_own_token_is_rotated_and_revoked_on_the_account_pages(ada: User, browser: Client) -> None:
    old = tokens.create_user_token(user=ada, name="Laptop", scopes=[Scope.READ])
    value = shown(browser.post(f"{OWN}{old.token.pk}/rotate/", {"overlap": "0"}))
    assert Api(old.value).get("token").json()["code"] == "expired_token"
    assert Api(value).get("token").json()["user"] == "ada@studio.example"
    new = ApiToken.objects.get(digest=sha256_hex(value))
    assert browser.post(f"{OWN}{new.pk}/revoke/", {"confirmation": "Laptop"})["Location"] == OWN
    assert Api(value).get("token").json()["code"] == "revoked_token"
    html = page(browser, OWN)
    assert (html.count("Replaced"), html.count("Revoked")) == (1, 1)


def test_a_rotation_of_an_own_token_requires_the_password_again(ada: User) -> None:
    client = hub.signed_in(ada)
    token = tokens.create_user_token(user=ada, name="Laptop", scopes=[Scope.READ]).token
    answer = client.post(f"{OWN}{token.pk}/rotate/", {"overlap": "0"})
    assert answer["Location"].startswith("/accounts/reauthenticate/?next=")
    assert ApiToken.objects.get().state == TokenState.LIVE


def test_the_account_page_counts_the_tokens_that_work(ada: User, browser: Client) -> None:
    for name in ("Laptop", "Desktop", "Old"):
        tokens.create_user_token(user=ada, name=name, scopes=[Scope.READ])
    tokens.revoke_token(token=ApiToken.objects.get(name="Old"))
    html = page(browser, "/accounts/")
    assert "<strong>API tokens</strong><p>2 tokens</p>" in html
    assert f'href="{OWN}"' in html


@override_settings(REQUIRE_MFA_FOR_ADMINS=True)
def test_an_admin_without_the_required_second_factor_creates_no_token(game: Game, admin: Client, ada: User) -> None:
    for url in (f"{OWN}new/", f"/g/{game.slug}/tokens/new/", f"/g/{game.slug}/tokens/"):
        assert admin.get(url)["Location"] == "/accounts/2fa/"
    assert admin.post(f"{OWN}new/", FORM)["Location"] == "/accounts/2fa/"
    assert admin.post(f"/g/{game.slug}/tokens/new/", FORM)["Location"] == "/accounts/2fa/"
    assert not ApiToken.objects.exists()
    assert hub.signed_in(ada).get(f"{OWN}new/").status_code == 200


def test_the_list_takes_as_many_queries_for_thirty_tokens_as_for_three(game: Game, admin: Client) -> None:
    url = f"/g/{game.slug}/tokens/"

    def create(number: int) -> None:
        for _ in range(number):
            user: Any = User.objects.create(username=f"creator-{User.objects.count()}")
            values: dict[str, Any] = {"role": Role.VIEWER, "scopes": [Scope.READ], "created_by": user}
            tokens.create_game_token(game=game, name="CI", **values)

    create(3)
    admin.get(url)
    few = queries_of(lambda: admin.get(url))
    create(27)
    assert queries_of(lambda: admin.get(url)) == few
