"""Who gets through which door, walked from the URL patterns themselves, so that a new page is held to it on the day it
comes: strangers of another studio, viewers, and people who are not staff."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from audience.models import Game, Role
from tests import hub
from tests.browser import pages, rows

METHODS = ("get", "post", "put", "patch", "delete")
# What a viewer may post: their own choice for themselves, and the way out.
HARMLESS = {"alert-choice": "alerts/choice/", "account_logout": "/accounts/logout/"}


def addresses(slug: str) -> dict[str, str]:
    """Every Hub address of a game by its name, with made-up rows."""
    known = pages.of_the_hub()
    return {name: pages.made_up(name, slug) for name in known if "slug" in known[name].pattern.converters}


@pytest.fixture
def stranger(game: Game, other_game: Game) -> Client:
    rows.fill(game)
    return hub.member(other_game, Role.ADMIN)


def _said(answer: HttpResponse, slug: str) -> tuple[int, str]:
    text = answer.content.decode() if answer.headers.get("Content-Type", "").startswith("text/html") else ""
    return answer.status_code, text.replace(slug, "…")


def test_another_studios_game_looks_like_none_at_all(game: Game, stranger: Client) -> None:
    real, none = addresses(game.slug), addresses("no-such-game")
    real |= {f"page {name}": url for name, url in pages.hub(game).items() if f"/{game.slug}/" in url}
    assert len(real) > 60
    for name, url in real.items():
        for method in METHODS:
            answer = getattr(stranger, method)(url)
            assert answer.status_code in {404, 405}, (name, method)
            assert game.name not in answer.content.decode(), (name, method)
            if name in none:
                assert _said(answer, game.slug) == _said(getattr(stranger, method)(none[name]), "no-such-game"), name
        assert 404 in {stranger.get(url).status_code, stranger.post(url).status_code}, name


def test_a_viewer_posts_nothing_anywhere(game: Game) -> None:
    rows.fill(game)
    viewer = hub.member(game, Role.VIEWER)
    asked = addresses(game.slug) | {f"page {name}": url for name, url in pages.hub(game).items() if "/g/" in url}
    for name, url in asked.items():
        if name not in HARMLESS:
            assert viewer.post(url, {"confirmation": "x"}).status_code in {403, 405}, name


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
