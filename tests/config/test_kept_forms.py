"""A form that is posted after its session has ended: sign in, then back to the form with its contents."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from audience.games.keys import NewKey
from audience.models import ApiKey, Game, Membership, Role
from config import form_filling, kept_forms
from tests import forms, hub
from tests.audience.test_hub_access import kwargs_of_pages
from tests.browser import pages, rows
from tests.network_urls import point_at

SIGN_IN = "/accounts/login/"
NOTE = "<strong>You were signed out, and nothing was changed.</strong>"


@pytest.fixture(autouse=True)
def _counted_anew(settings: Any) -> None:
    point_at(settings, "http://127.0.0.1:9")
    cache.clear()


@pytest.fixture
def person(game: Game) -> Any:
    """An admin of the game and of the installation."""
    user: Any = hub.user("ada", is_staff=True, is_superuser=True)
    Membership.objects.create(game=game, user=user, role=Role.ADMIN)
    return user


def sign_in(client: Client, answer: Any) -> str:
    """Follow the redirect to the sign-in page, sign in, and return where that leads to."""
    place = urlsplit(answer.headers.get("HX-Redirect") or answer["Location"])
    assert place.path == SIGN_IN
    after = parse_qs(place.query)["next"][0]
    page = client.get(f"{place.path}?{place.query}").content.decode()
    assert "Your session has ended" in page
    given = {"login": "ada@studio.example", "password": hub.PASSWORD, "next": after}
    signed_in = client.post(SIGN_IN, given)
    assert (signed_in.status_code, signed_in["Location"]) == (302, after)
    return after


def methods(url: str) -> tuple[str, ...]:
    return tuple(getattr(resolve(urlsplit(url).path).func, "methods", ("GET", "POST")))


# Pages without a game: they take a POST at their own address, if at all.
UNLISTED = {"games", "game-new", "account", "account_email", "imitations", "invitation", "address-confirm"}
UNLISTED |= {"account_tokens", "account_token_new", "account_token_rotate", "account_token_revoke"}
UNLISTED |= {"account_time_zone", "help", "help-page", "help-source", "llms"}


def posting(game: Game, key: ApiKey) -> dict[str, str]:
    """The address of every view of the Hub that takes a POST, of the account pages, and of some of the admin."""
    kwargs: dict[str, dict[str, Any]] = {**kwargs_of_pages(game, key), "alert-choice": {"slug": game.slug}}
    named = {name: reverse(name, kwargs=given) for name, given in kwargs.items()}
    found = {name: url for name, url in named.items() if "POST" in methods(url)}
    names = (
        "game-new",
        "account_email",
        "account_time_zone",
        "account_token_new",
        "account_change_password",
        "mfa_activate_totp",
        "usersessions_list",
    )
    found |= {name: reverse(name) for name in (*names, "admin:audience_game_add", "admin:auth_user_add")}
    return found


@pytest.mark.long
def test_every_post_without_a_session_leads_back_to_a_page(game: Game, key: NewKey, person: Any) -> None:
    urls = posting(game, key.key)
    only = {name for name, url in urls.items() if "GET" not in methods(url)}
    assert {"erase", "alert-choice", "replay-start", "postback-enable", "set-aside-retry", "hook-test"} <= only
    assert len(only) > 20
    assert len(urls) > 45
    wrong = {}
    for name, url in urls.items():
        client = Client()
        after = sign_in(client, client.post(url, {"note": "kept"}, headers={"Accept": "text/html"}))
        page = client.get(after, follow=True, headers={"Accept": "text/html"})
        is_asked_again = page.redirect_chain[-1:] == [(f"/accounts/reauthenticate/?next={quote(after, safe='')}", 302)]
        text = page.content.decode()
        if page.status_code != 200 or "</main>" not in text or (NOTE not in text and not is_asked_again):
            wrong[name] = (after, page.status_code, page.redirect_chain)
        cache.clear()
    assert wrong == {}


def test_every_post_of_the_hub_is_in_this_walk(game: Game, key: NewKey) -> None:
    urls = posting(game, key.key)
    taking = {name for name, entry in pages.of_the_hub().items() if "POST" in getattr(entry.callback, "methods", ())}
    assert taking - set(urls) == set()
    # Views without a game have no list of methods.
    unlisted = {name for name, entry in pages.of_the_hub().items() if not hasattr(entry.callback, "methods")}
    assert unlisted - UNLISTED == set()


FORMS = {
    "key-new": ("keys/new/", ""),
    "goal-add": ("goals/add/", ""),
    "member-invite": ("members/invite/", ""),
    "token-new": ("tokens/new/", ""),
    "retention": ("privacy/retention/", ""),
    "consent": ("privacy/consent/", ""),
    "joins-settings": ("joins/settings/", ""),
    "ad-clicks": ("integrations/ad-clicks/", ""),
    "settings-general": ("settings/", "settings/general/"),
    "settings-reports": ("settings/", "settings/reports/"),
    "settings-attribution": ("settings/", "settings/attribution/"),
    "hook-add": ("alerts/hooks/add/", ""),
    "postback-add": ("integrations/tiktok/add/", ""),
    "postback-add-google": ("integrations/google/add/", ""),
    "postback-add-custom": ("integrations/custom/add/", ""),
    "dry-run-new": ("integrations/tiktok/add/", "integrations/tiktok/dry-run/"),
    "erase": ("privacy/", "privacy/erase/"),
    "alert-choice": ("alerts/", "alerts/choice/"),
    "test-conversion": ("integrations/tiktok/", "integrations/tiktok/test/"),
}


@pytest.mark.long
@pytest.mark.parametrize("htmx", [False, True])
@pytest.mark.parametrize("name", list(FORMS))
def test_a_form_comes_back_with_its_contents(game: Game, person: Any, name: str, htmx: bool) -> None:
    rows.fill(game)
    path, target = (f"/g/{game.slug}/{part}" if part else "" for part in FORMS[name])
    form = path if name == "dry-run-new" else target or path
    before = forms.read(hub.signed_in(person).get(path).content.decode(), path, form)
    entered = forms.entered(before)
    secrets = {control.name for control in before if control.kind in {"password", "hidden"}}
    secrets |= kept_forms.SECRET_PARTS | {"test_code"}
    entered |= {control.name: ["a-secret"] for control in before if control.kind == "password"}

    client = Client()
    headers = {"Referer": f"http://testserver{path}"}
    if htmx:
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{path}"}
    assert sign_in(client, client.post(target or path, entered, headers=headers)) == path
    page = client.get(path).content.decode()
    assert NOTE in page
    assert "Your input is back in the form" in page
    kept = {field: [text.replace("\r\n", "\n") for text in texts] for field, texts in entered.items()}
    shown = forms.posted(forms.read(page, path, form))
    assert {name: texts for name, texts in shown.items() if name not in secrets} == {
        name: texts for name, texts in kept.items() if name not in secrets
    }
    assert "a-secret" not in page
    assert NOTE not in client.get(path).content.decode()


def test_a_form_of_the_admin_comes_back_with_its_contents(person: Any) -> None:
    path, client = reverse("admin:audience_game_add"), Client()
    entered = forms.entered(forms.read(hub.signed_in(person).get(path).content.decode(), path, path))
    assert sign_in(client, client.post(path, entered)) == path
    shown = forms.posted(forms.read(client.get(path).content.decode(), path, path))
    assert shown["name"] == entered["name"]
    assert shown == {name: texts for name, texts in entered.items() if name in shown}


def test_a_button_says_that_nothing_was_done(game: Game, key: NewKey, person: Any) -> None:
    client, url = Client(), reverse("set-aside-retry", kwargs={"slug": game.slug})
    after = sign_in(client, client.post(url, headers={"Referer": f"http://testserver/g/{game.slug}/?range=7d"}))
    assert after == f"/g/{game.slug}/?range=7d"
    page = hub.normalized_html(client.get(after).content.decode())
    assert f"{hub.normalized_html(NOTE)}Try again." in page


def test_another_site_is_not_where_a_form_leads_to(game: Game, person: Any) -> None:
    client, url = Client(), reverse("set-aside-retry", kwargs={"slug": game.slug})
    for sender in ("https://evil.example/", f"http://testserver{url}", "http://testserver/nowhere/", "javascript:1"):
        answer = client.post(url, headers={"Referer": sender})
        assert answer["Location"] == f"{SIGN_IN}?next=/g/{game.slug}/"


def test_secrets_and_other_texts_are_not_readable_in_the_session(game: Game) -> None:
    client = Client()
    given = {"pixel_id": "CPIXEL0123456789", "credential": "a-secret", "test_code": "TEST1", "credential_headers": "k"}
    client.post(f"/g/{game.slug}/integrations/custom/add/", given)
    session = Session.objects.get()
    stored = str(session.get_decoded())
    assert "CPIXEL" not in stored
    assert "a-secret" not in stored
    kept = kept_forms.decrypt(session.get_decoded()[kept_forms.SESSION_KEY])
    names = {name for name, _ in kept["entered"]}
    assert "pixel_id" in names
    assert names.isdisjoint({"credential", "test_code"})


def test_a_kept_form_is_forgotten_after_an_hour(game: Game, person: Any) -> None:
    client, path = Client(), f"/g/{game.slug}/keys/new/"
    sign_in(client, client.post(path, {"name": "kept"}))
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        page = client.get(path).content.decode()
    assert NOTE not in page
    assert NOTE not in client.get(path).content.decode()


def test_another_user_of_the_browser_does_not_see_the_form(game: Game, person: Any) -> None:
    other: Any = hub.user("bob")
    Membership.objects.create(game=game, user=other, role=Role.ADMIN)
    for path in (f"/g/{game.slug}/keys/new/", "/accounts/email/"):
        client = Client()
        credentials = {"login": "bob@studio.example", "password": hub.PASSWORD}
        client.post(SIGN_IN, credentials)
        Session.objects.all().delete()
        sign_in(client, client.post(path, {"name": "of bob", "email": "new-of-bob@studio.example"}))
        page = client.get(path).content.decode()
        assert NOTE not in page
        assert "of bob" not in page.replace("-", " ")
        assert kept_forms.SESSION_KEY not in Session.objects.get().get_decoded()


def test_the_same_user_sees_the_form_after_signing_in_again(game: Game, person: Any) -> None:
    path, client = f"/g/{game.slug}/keys/new/", Client()
    client.post(SIGN_IN, {"login": "ada@studio.example", "password": hub.PASSWORD})
    cookie = client.cookies[kept_forms.USER_COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    Session.objects.all().delete()
    sign_in(client, client.post(path, {"name": "of ada"}))
    assert 'value="of ada"' in client.get(path).content.decode()


def test_a_forged_cookie_of_a_user_does_not_count(game: Game, person: Any) -> None:
    path, client = f"/g/{game.slug}/keys/new/", Client()
    client.cookies[kept_forms.USER_COOKIE] = f"{person.pk + 1}:forged"
    sign_in(client, client.post(path, {"name": "of ada"}))
    assert 'value="of ada"' in client.get(path).content.decode()


def two_tabs(game: Game) -> tuple[Client, str, dict[str, str]]:
    """A client that has signed in again since a form was opened, the URL of the form, and what it posts."""
    path, client = f"/g/{game.slug}/keys/new/", Client(enforce_csrf_checks=True)

    def token(url: str) -> str:
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(url).content.decode())
        assert found is not None
        return found[1]

    def signs_in() -> None:
        login = {"login": "ada@studio.example", "password": hub.PASSWORD}
        client.post(SIGN_IN, {**login, "csrfmiddlewaretoken": token(SIGN_IN)})

    signs_in()
    posted = {"name": "in the first tab", "csrfmiddlewaretoken": token(path)}
    Session.objects.all().delete()
    signs_in()
    return client, path, posted


def test_a_form_of_another_tab_comes_back_after_signing_in_there(game: Game, person: Any) -> None:
    client, path, posted = two_tabs(game)
    answer = client.post(path, posted, headers={"Origin": "http://testserver"})
    assert (answer.status_code, answer["Location"]) == (302, path)
    page = client.get(path).content.decode()
    assert NOTE in page
    assert 'value="in the first tab"' in page
    assert not ApiKey.objects.exists()


def test_a_form_of_another_site_is_refused_and_not_kept(game: Game, person: Any) -> None:
    client, path, posted = two_tabs(game)
    origins: list[dict[str, str]] = [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
    for headers in origins:
        assert client.post(path, posted, headers=headers).status_code == 403
        assert NOTE not in client.get(path).content.decode()


def test_a_file_of_costs_leads_back_to_its_page(game: Game, person: Any) -> None:
    for name in ("cost-upload", "cost-columns"):
        client, costs = Client(), reverse("costs", kwargs={"slug": game.slug})
        file = SimpleUploadedFile("costs.csv", b"day,spend\n2026-11-01,12\n", "text/csv")
        given = {"file": file, "text": "day,spend\n2026-11-01,12\n"}
        answer = client.post(reverse(name, kwargs={"slug": game.slug}), given)
        assert sign_in(client, answer) == costs
        assert NOTE in client.get(costs).content.decode()
        cache.clear()


def test_a_file_of_steams_numbers_leads_back_to_its_page(game: Game, person: Any) -> None:
    client, page = Client(), reverse("steam-numbers", kwargs={"slug": game.slug})
    file = SimpleUploadedFile("utm.csv", b"Date,UTM Campaign,Total Visits\n2026-11-01,a,12\n", "text/csv")
    answer = client.post(reverse("steam-upload", kwargs={"slug": game.slug}), {"file": file})
    assert sign_in(client, answer) == page
    assert NOTE in client.get(page).content.decode()


def test_a_large_form_and_a_flood_of_forms_are_not_kept(game: Game, person: Any) -> None:
    path = f"/g/{game.slug}/keys/new/"
    client = Client()
    answer = client.post(path, {"name": "x" * (kept_forms.MAX_CHARACTERS + 1)})
    assert sign_in(client, answer) == path
    assert NOTE not in client.get(path).content.decode()
    for _ in range(kept_forms.MAX_KEPT):
        Client().post(path, {"name": "flood"})
    before = Session.objects.count()
    client = Client()
    sign_in(client, client.post(path, {"name": "one too many"}))
    assert NOTE not in client.get(path).content.decode()
    assert before >= kept_forms.MAX_KEPT


@pytest.mark.parametrize("name", ["goal-row", "request-preview"])
def test_a_request_while_typing_leaves_the_page_alone(game: Game, name: str) -> None:
    kwargs = {"slug": game.slug, "network": "custom"}
    answer = Client().post(f"{reverse(name, kwargs=kwargs)}?row=0", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "HX-Redirect" not in answer.headers
    assert not Session.objects.exists()


def test_the_address_of_a_form_is_answered_with_a_page(game: Game, person: Any) -> None:
    url = reverse("erase", kwargs={"slug": game.slug})
    for client in (Client(), hub.signed_in(person)):
        answer = client.get(url, headers={"Accept": "text/html"})
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
        assert "This URL is not a page" in answer.content.decode()
        assert client.get(url, headers={"Accept": "application/json"}).content == b""


def test_signing_out_and_signing_in_keep_no_form(game: Game, person: Any) -> None:
    client = Client()
    client.post("/accounts/logout/")
    client.post(SIGN_IN, {"login": "ada@studio.example", "password": "wrong", "next": "/"})
    assert all(kept_forms.SESSION_KEY not in session.get_decoded() for session in Session.objects.all())


@pytest.mark.long
def test_a_page_without_the_form_is_unchanged(game: Game, person: Any) -> None:
    rows.fill(game)
    client = hub.signed_in(person)
    found = {**pages.hub(game), **pages.account(client)}
    for url in found.values():
        page, path = client.get(url).content.decode(), urlsplit(url).path
        assert form_filling.fill(page, path=path, target="/nowhere/", entered=[("name", "x")]) == page
        # The form to sign out has no fields: its page is repeated as it is.
        assert form_filling.fill(page, path=path, target="/accounts/logout/", entered=[("name", "x")]) == page, url
