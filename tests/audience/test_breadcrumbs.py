"""The breadcrumbs of every page: from the game down to the page itself."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from audience.games import keys
from audience.models import Game, Membership, Role
from tests import hub
from tests.browser import pages, rows

pytestmark = pytest.mark.django_db

WAY = re.compile(r'<nav class="way" aria-label="Breadcrumb">(.*?)</nav>', re.DOTALL)
STATION = re.compile(r"<(?:li|a)\b[^>]*>([^<]+)<")
# The pages below "Settings" in the sidebar, by the first part of their address under the game.
SETTINGS = ("integrations", "alerts", "keys", "tokens", "members", "privacy", "audit", "settings")
# Where the ways begin: the games, and the help, which belongs to none.
TOPS = {"games", "help"}
# Signing in and out has no house around it, and asks before one goes on.
ENTRANCE = '<main class="entrance"'


@pytest.fixture
def admin(game: Game) -> Client:
    person: Any = hub.user("admin", is_staff=True, is_superuser=True)
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    return hub.signed_in(person)


def ways(html: str) -> list[str]:
    """What stands inside each breadcrumb of the page."""
    return WAY.findall(html)


def stations(html: str) -> list[str]:
    """The words of the way, from the top."""
    return [" ".join(unescape(word).split()) for word in STATION.findall("".join(ways(html)))]


def faults(html: str) -> list[str]:
    """What is wrong with the breadcrumb of a page; empty when it is as it should be."""
    found = ways(html)
    if len(found) != 1:
        return [f"{len(found)} breadcrumbs"]
    last = re.findall(r"<li\b[^>]*>", found[0])[-1]
    wrong = [] if 'aria-current="page"' in last else ["the last station is not the page"]
    wrong += [] if found[0].count("aria-current") == 1 else ["more than one station is the page"]
    return wrong + ([] if all(stations(html)) and len(stations(html)) > 1 else ["a station without a name"])


@pytest.mark.long
def test_every_page_of_a_game_has_breadcrumbs(admin: Client, game: Game, other_game: Game) -> None:
    rows.fill(game)
    found = {name: url for name, url in pages.hub(game).items() if name not in TOPS}
    assert set(pages.ROW_OF) - set(found) == TOPS
    found |= {name: f"/g/{game.slug}/{path}" for name, path in pages.GONE.items()}
    wrong = {name: faults(admin.get(url).content.decode()) for name, url in found.items()}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


def test_every_account_page_has_breadcrumbs(admin: Client, game: Game) -> None:
    read = {name: admin.get(url).content.decode() for name, url in pages.account(admin).items()}
    inside = {name: html for name, html in read.items() if ENTRANCE not in html}
    assert {"account_email", "account_change_password", "mfa_index", "usersessions_list"} <= set(inside)
    wrong = {name: faults(html) for name, html in inside.items()}
    assert {name: lines for name, lines in wrong.items() if lines} == {}


def test_every_page_under_settings_starts_with_settings_in_its_breadcrumbs(admin: Client, game: Game) -> None:
    rows.fill(game)
    top = f"/g/{game.slug}/"
    found = {name: url for name, url in pages.hub(game).items() if url.removeprefix(top).startswith(SETTINGS)}
    assert len(found) > 20
    seconds = {name: stations(admin.get(url).content.decode())[:2] for name, url in found.items()}
    assert {name: way for name, way in seconds.items() if way != ["Sky Raiders", "Settings"]} == {}


def test_the_pages_of_a_key_are_under_api_keys(admin: Client, game: Game) -> None:
    row, below = keys.create_key(game=game, name="Website").key, ["Sky Raiders", "Settings", "API keys"]

    def way(path: str) -> list[str]:
        return stations(admin.get(f"/g/{game.slug}/keys/{path}").content.decode())

    assert way("") == below
    assert way("new/") == [*below, "Create key"]
    assert way(f"{row.pk}/rotate/") == [*below, "Rotate Website"]
    assert way(f"{row.pk}/revoke/") == [*below, "Revoke Website"]
    made = admin.post(f"/g/{game.slug}/keys/{row.pk}/rotate/", {"overlap": "24"}).content.decode()
    assert stations(made)[:3] == below
    assert faults(made) == []


def test_the_pages_of_a_member_are_under_members(admin: Client, game: Game) -> None:
    person: Any = hub.user("analyst")
    row = Membership.objects.create(game=game, user=person, role=Role.VIEWER)
    below = ["Sky Raiders", "Settings", "Members"]

    def way(path: str) -> list[str]:
        return stations(admin.get(f"/g/{game.slug}/members/{path}").content.decode())

    assert way("") == below
    assert way("invite/") == [*below, "Invite"]
    assert way(f"{row.pk}/role/") == [*below, "Role of analyst@studio.example"]
    assert way(f"{row.pk}/remove/") == [*below, "Remove analyst@studio.example"]
