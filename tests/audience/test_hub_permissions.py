"""Access to every page in the URL patterns, so that a new page is tested too: members of another game, viewers, and
users who are not staff.
"""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve, reverse

from audience.models import Erasure, Game, Role, Suppression
from postbacks.models import Delivery, Replay
from tests import hub
from tests.browser import pages, rows

METHODS = ("get", "post", "put", "patch", "delete")
# What a viewer may post: their own choice for themselves, and the way out.
HARMLESS = {"alert-choice": "alerts/choice/", "account_logout": "/accounts/logout/"}
# Which row the address of a button without a page names, by the words of rows.newest() and two more.
BUTTONS = {
    "delivery-send-again": "delivery",
    "delivery-try-now": "delivery",
    "hook-disable": "hook",
    "hook-enable": "hook",
    "hook-test": "hook",
    "invitation-link": "invitation",
    "invitation-resend": "invitation",
    "invitation-revoke": "invitation",
    "link-restore": "link",
    "person-erase": "person",
    "postback-enable": "config",
    "postback-recheck": "config",
    "postback-release": "config",
    "postback-roll-back": "config",
    "postback-try-now": "config",
    "privacy-export": "person",
    "rejection-replay": "rejection",
    "replay-cancel": "replay",
    "suppression-lift": "suppression",
}
# Hub addresses outside a game, and what a viewer who posts there hears: no page of theirs takes a post.
OUTSIDE = {"games": 405, "game-new": 403, "account": 405, "invitation": 404}
OUTSIDE |= {"account_email": 302, "account_time_zone": 200, "address-confirm": 410, "imitations": 405}
OUTSIDE |= {"account_tokens": 405, "account_token_new": 200, "account_token_rotate": 404, "account_token_revoke": 404}
OUTSIDE |= {"help": 405, "help-page": 405, "help-source": 405, "llms": 405}
# What a session is made of changes with every request.
SESSIONS = {"sessions", "usersessions"}


def addresses(slug: str) -> dict[str, str]:
    """Every Hub address of a game by its name, with made-up rows."""
    known = pages.of_the_hub()
    return {name: pages.nonexistent(name, slug) for name in known if "slug" in known[name].pattern.converters}


def suppression_of(game: Game) -> Suppression:
    erasure = Erasure.objects.create(game=game, namespace="user", subject_hash="0" * 64, suppress=True)
    return Suppression.objects.create(game=game, erasure=erasure, hashes=["0" * 64])


def buttons(game: Game) -> dict[str, str]:
    """The addresses of the buttons without a page, with rows that the game has."""
    given = {"slug": game.slug, "network": pages.NETWORK}
    present = rows.newest(game) | {
        "delivery": Delivery.objects.filter(game=game, state="failed").first(),
        "replay": Replay.objects.filter(game=game, finished_at=None).first(),
        "suppression": suppression_of(game),
    }
    found = {}
    for name, noun in BUTTONS.items():
        converters = pages.of_the_hub()[name].pattern.converters
        found[name] = reverse(name, kwargs={key: given.get(key) or present[noun].pk for key in converters})
    return found


def taken(name: str) -> set[str]:
    """The methods that an address takes; a view that takes no OPTIONS says which."""
    allowed = Client().options(pages.nonexistent(name, "none")).headers.get("Allow", "GET")
    return {method.strip() for method in allowed.split(",")}


def everything() -> dict[str, str]:
    """A digest of every table but those of sessions."""
    tables = {model._meta.db_table for model in apps.get_models() if model._meta.app_label not in SESSIONS}
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{table}" t')
            found[table] = cursor.fetchone()[0]
    return found


@pytest.fixture
def stranger(game: Game, other_game: Game) -> Client:
    rows.fill(game)
    return hub.member(other_game, Role.ADMIN)


def _said(answer: HttpResponse, slug: str) -> tuple[int, str]:
    text = answer.content.decode() if answer.headers.get("Content-Type", "").startswith("text/html") else ""
    return answer.status_code, text.replace(slug, "…")


@pytest.mark.long
def test_another_studios_game_is_answered_like_one_that_does_not_exist(game: Game, stranger: Client) -> None:
    real, none = addresses(game.slug), addresses("no-such-game")
    real |= {f"page {name}": url for name, url in pages.hub(game).items() if f"/{game.slug}/" in url}
    real |= {f"button {name}": url for name, url in buttons(game).items()}
    assert len(real) > 60
    for name, url in real.items():
        for method in METHODS:
            answer = getattr(stranger, method)(url)
            assert answer.status_code in {404, 405}, (name, method)
            assert game.name not in answer.content.decode(), (name, method)
            if name in none:
                assert _said(answer, game.slug) == _said(getattr(stranger, method)(none[name]), "no-such-game"), name
        assert 404 in {stranger.get(url).status_code, stranger.post(url).status_code}, name


def test_every_button_without_a_page_is_in_the_table() -> None:
    known = pages.of_the_hub()
    rowless = {"slug", "network"}
    named = {name for name in addresses("none") if set(known[name].pattern.converters) - rowless}
    assert {name for name in named if "GET" not in taken(name)} == set(BUTTONS)
    assert set(known) - set(addresses("none")) == set(OUTSIDE)


@pytest.mark.long
def test_every_post_of_a_viewer_is_refused(game: Game) -> None:
    """With a form's valid token, by hand: 403 wherever a post is taken at all, and no table is any different."""
    rows.fill(game)
    member = hub.member(game, Role.VIEWER)
    viewer = Client(enforce_csrf_checks=True)
    viewer.cookies = member.cookies
    viewer.get(reverse("overview", args=[game.slug]))
    token = viewer.cookies["csrftoken"].value
    asked = addresses(game.slug) | {f"page {name}": url for name, url in pages.hub(game).items() if "/g/" in url}
    asked |= buttons(game)
    before, refused = everything(), set()
    for name, url in asked.items():
        if name not in HARMLESS:
            status = viewer.post(url, {"confirmation": "x"}, headers={"x-csrftoken": token}).status_code
            view = str(resolve(url.partition("?")[0]).url_name)
            takes = "POST" in taken(view)
            assert status == (403 if takes else 405), (name, status)
            refused |= {view} if takes else set()
    assert len(refused) > 30
    for name, status in OUTSIDE.items():
        answer = viewer.post(pages.nonexistent(name, ""), {"name": "Mine"}, headers={"x-csrftoken": token})
        assert answer.status_code == status, name
    assert everything() == before
    # The token is a valid one: with it the one thing that viewers may change is changed.
    choice = reverse("alert-choice", args=[game.slug])
    assert viewer.post(choice, {"told": "never"}, headers={"x-csrftoken": token}).status_code == 302
    assert everything() != before


class _Forms(HTMLParser):
    """Where the forms, and the elements that htmx speaks for, would post to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method", "get").lower() == "post":
            self.found.append(given.get("action", "the page itself"))
        self.found += [value for name, value in given.items() if name in {"hx-post", "hx-put", "hx-patch", "hx-delete"}]
        self.found += [value for name, value in given.items() if name == "formaction"]


def test_a_viewer_is_offered_no_form_that_changes_anything(game: Game) -> None:
    rows.fill(game)
    viewer, seen = hub.member(game, Role.VIEWER), 0
    for name, url in pages.hub(game).items():
        answer = viewer.get(url)
        if answer.status_code == 200 and "/g/" in url:
            seen += 1
            reader = _Forms()
            reader.feed(answer.content.decode())
            assert [at for at in reader.found if not at.endswith(tuple(HARMLESS.values()))] == [], name
    assert seen > 15


@pytest.mark.long
def test_the_admin_site_is_for_staff(game: Game) -> None:
    rows.fill(game)
    member, anonymous = hub.member(game, Role.ADMIN), Client()
    urls = [reverse("admin:index")]
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        urls += [reverse(f"{base}_changelist"), reverse(f"{base}_add")]
        first = model._default_manager.first()
        if first is not None:
            urls += [reverse(f"{base}_{what}", args=[first.pk]) for what in ("change", "delete", "history")]
    assert len(urls) > 30
    urls += [reverse("admin:app_list", args=[label]) for label in {m._meta.app_label for m in admin.site._registry}]
    # And whatever else the admin has an address for.
    found = [f"/{route}" for route, _ in pages.patterns() if route.startswith("admin/") and "(?P" not in route]
    urls += [re.sub("<[^>]+>", "1", url) for url in found if not url.endswith(("/login/", "/logout/"))]
    for client in (member, anonymous):
        for url in urls:
            for answer in (client.get(url), client.post(url, {"post": "yes"})):
                assert answer.status_code == 302, url
                assert answer.headers["Location"].startswith(("/admin/login/", "/accounts/login/")), url


def test_staff_without_a_permission_see_no_row(game: Game) -> None:
    rows.fill(game)
    clerk: Any = hub.user("clerk", is_staff=True)
    client = hub.signed_in(clerk)
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{base}_changelist")).status_code == 403, base
