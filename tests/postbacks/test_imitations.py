"""While networks are imitations, every page says so, and the credentials that they accept are on a page."""

import html
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory, override_settings

from audience.models import Game, Membership, Role
from config.errors import server_error
from postbacks.models import CheckState, CredentialCheck
from postbacks.networks import NETWORKS
from postbacks.sandbox.in_use import replacements
from tests import factories, hub
from tests.browser import operators, pages, rows
from tests.network_urls import point_at

ALL = "<strong>Imitation networks:</strong>nothing leaves this machine."


@pytest.fixture
def imitated(settings: Any) -> None:
    point_at(settings, "http://127.0.0.1:8010")


def operator(game: Game) -> Any:
    person: Any = hub.user("operator", is_staff=True, is_superuser=True)
    Membership.objects.create(game=game, user=person, role=Role.ADMIN)
    return person


def every_page(game: Game, person: Any) -> dict[str, tuple[Client, str]]:
    """Every page of the site, with the client that opens it: signed in, or signed out for the sign-in pages."""
    rows.fill(game)
    operators.fill(game, person)
    client, stranger = hub.signed_in(person), Client()
    found = {**pages.hub(game), **pages.account(client), **pages.admin_site(client), "api-docs": "/api/docs/"}
    signed_out = {f"signed-out-{name}": (stranger, url) for name, url in pages.account(stranger).items()}
    return {**{name: (client, url) for name, url in found.items()}, **signed_out}


@pytest.mark.long
def test_every_page_says_that_networks_are_imitations(game: Game, other_game: Game, imitated: None) -> None:
    found = every_page(game, operator(game))
    assert len(found) > 120
    silent = [name for name, (client, url) in found.items() if ALL not in hub.normalized_html(text(client, url))]
    assert silent == []


def text(client: Client, url: str) -> str:
    return client.get(url, follow=True).content.decode()


def test_no_page_mentions_imitations_while_networks_are_real(game: Game) -> None:
    client = hub.signed_in(operator(game))
    assert replacements() == []
    assert [url for url in pages.hub(game).values() if 'class="imitated"' in text(client, url)] == []
    page = client.get("/imitations/").content.decode()
    assert "No imitations in use" in page


def test_the_bar_names_the_networks_that_are_imitations(game: Game, settings: Any) -> None:
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "reddit": "http://localhost:8010", "x": "http://[::1]:8010"}
    page = hub.normalized_html(text(hub.member(game, Role.VIEWER), f"/g/{game.slug}/"))
    assert "conversions to Reddit Ads, X Ads do not leave this machine." in page
    assert "nothing leaves this machine" not in page


def test_the_bar_names_an_imitation_of_steam_while_the_networks_are_real(game: Game, settings: Any) -> None:
    settings.STEAM_OPENID_URL = "http://127.0.0.1:8010/openid/login"
    Game.objects.update(joins=["steam"])
    said = "<strong>Imitation of Steam:</strong>signing in on claim pages does not reach Steam."
    for client, url in ((hub.member(game, Role.VIEWER), f"/g/{game.slug}/"), (Client(), f"/claim/{game.slug}/")):
        page = hub.normalized_html(text(client, url))
        assert said in page
        assert "Imitation networks:" not in page


def test_the_bar_names_another_address_of_a_network(game: Game, settings: Any) -> None:
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "tiktok": "https://proxy.example"}
    page = hub.normalized_html(text(hub.member(game, Role.VIEWER), f"/g/{game.slug}/"))
    assert "conversions to TikTok Ads go to<code>https://proxy.example</code>" in page
    assert "Imitation networks:" not in page


def test_the_page_of_imitations_lists_every_credential_that_they_accept(game: Game, imitated: None) -> None:
    page = html.unescape(hub.member(game, Role.VIEWER).get("/imitations/").content.decode())
    for kind, accounts in factories.ACCOUNTS.items():
        assert f'id="{kind}"' in page
        for value in (accounts.pixel, *accounts.stored_credential().values(), *accounts.object_ids.values()):
            assert f"<code>{value}</code>" in page


def test_the_page_of_imitations_is_for_signed_in_users() -> None:
    answer = Client().get("/imitations/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/imitations/")


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_the_form_of_an_imitated_network_leads_to_what_it_accepts(game: Game, imitated: None, kind: str) -> None:
    page = hub.member(game, Role.MARKETER).get(f"/g/{game.slug}/integrations/{kind}/add/").content.decode()
    assert f"This is an imitation of {NETWORKS[kind].label}, on this machine." in page
    assert f'<a href="/imitations/#{kind}" target="_blank">its own credentials</a>' in page


@pytest.mark.parametrize("htmx", [{}, {"HX-Request": "true"}])
def test_a_refusal_by_an_imitation_leads_to_what_it_accepts(game: Game, settings: Any, htmx: dict[str, str]) -> None:
    check = CredentialCheck.objects.create(
        game=game, network="tiktok", pixel_id="C" * 20, triggers=["purchase"], state=CheckState.REFUSED, message="No."
    )
    client, url = hub.member(game, Role.MARKETER), f"/g/{game.slug}/integrations/tiktok/checks/{check.pk}/"
    note = "This is an imitation of TikTok Ads, on this machine."
    assert note not in client.get(url, headers=htmx).content.decode()
    point_at(settings, "http://127.0.0.1:8010")
    page = client.get(url, headers=htmx).content.decode()
    assert note in page
    assert 'href="/imitations/#tiktok"' in page


def test_a_stranger_sees_the_bar_without_a_link_to_credentials(db: None, imitated: None) -> None:
    page = Client().get("/accounts/login/").content.decode()
    assert "Imitation networks:" in page
    assert "/imitations/" not in page


def test_a_stranger_sees_no_address_and_nobody_a_password(game: Game, settings: Any) -> None:
    url = "https://proxy-user:proxy-password@proxy.example/tiktok"
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "tiktok": url}
    page = hub.normalized_html(Client().get("/accounts/login/").content.decode())
    assert "conversions to TikTok Ads do not go to its own address." in page
    assert "proxy" not in page
    page = hub.normalized_html(text(hub.member(game, Role.VIEWER), f"/g/{game.slug}/"))
    assert "<code>https://proxy.example/tiktok</code>" in page
    assert "proxy-password" not in page


def test_error_pages_have_the_bar(game: Game, imitated: None, rf: RequestFactory) -> None:
    client = hub.member(game, Role.VIEWER)
    html_only = {"Accept": "text/html"}
    found = {
        404: client.get("/g/nowhere/"),
        403: client.get(f"/g/{game.slug}/keys/new/"),
        405: client.get(f"/g/{game.slug}/privacy/erase/", headers=html_only),
        500: server_error(rf.get("/")),
    }
    try:
        raise OperationalError("connection refused")
    except OperationalError:
        found[503] = server_error(rf.get("/"))
    assert {status: answer.status_code for status, answer in found.items()} == {status: status for status in found}
    silent = [status for status, answer in found.items() if ALL not in hub.normalized_html(answer.content.decode())]
    assert silent == []


@override_settings(NETWORK_URLS={})
def test_a_network_without_a_setting_is_at_its_own_address() -> None:
    assert replacements() == []
