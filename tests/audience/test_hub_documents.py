"""Documents of docs/ as pages of the Hub."""

import re
from urllib.parse import urljoin

import pytest
from django.contrib.staticfiles import finders
from django.urls import resolve

from audience.hub.documents.views import TITLES
from audience.models import Game, Role
from tests import factories, hub


def page_of(game: Game, name: str) -> str:
    return hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/help/{name}/").content.decode()


@pytest.mark.parametrize("name", list(TITLES))
def test_images_and_links_of_a_document_lead_to_files_and_pages(game: Game, name: str) -> None:
    article = re.search(r"<article.*?</article>", page_of(game, name), re.S)

    assert article is not None
    for source in re.findall(r'src="/static/([^"]+)"', article[0]):
        assert finders.find(source) is not None, source
    for target in re.findall(r'href="([^"#]+)', article[0]):
        if not target.startswith("https://"):
            assert target.startswith("../"), target
            assert resolve(urljoin(f"/g/{game.slug}/help/{name}/", target)).kwargs["name"] in TITLES


def test_the_document_about_players_shows_three_diagrams(game: Game) -> None:
    found = re.findall(r'<img src="([^"]+)" alt="[^"]{20,}"', page_of(game, "identity"))

    files = ["identity-guest.svg", "identity-family.svg", "identity-sign-out.svg"]
    assert found == [f"/static/docs/{file}" for file in files]


def test_the_page_of_a_player_links_to_the_document(game: Game) -> None:
    person = factories.person(game, user="ada")
    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/people/{person.pk}/").content.decode()

    assert f'href="/g/{game.slug}/help/identity/"' in page


def test_the_document_of_a_network_is_linked_where_its_credential_is_entered(game: Game) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/integrations/x/add/").content.decode()

    assert f'href="/g/{game.slug}/help/x/"' in page
    assert TITLES["x"] == "X Ads"
    shown = page_of(game, "x")
    assert "<h1>X Ads</h1>" in shown
    assert 'href="../contacts/"' in shown


@pytest.mark.parametrize("name", ["operations", "nothing", "..", "identity.md", "networks", "networks/../operations"])
def test_other_files_are_no_documents(game: Game, name: str) -> None:
    assert hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/help/{name}/").status_code == 404
