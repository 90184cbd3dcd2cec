"""The pages of tracking links: creating, changing, archiving, addresses of networks, QR code and chart."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from audience.accounts.audit_log import entries
from audience.digest import clicks
from audience.models import Game, LinkConsent, LinkCount, Role, TrackingLink
from postbacks.networks import NETWORKS
from postbacks.reporting.links import addresses
from tests import factories, hub

pytestmark = pytest.mark.django_db

FORM = {"name": "Launch trailer", "destination": "https://store.steampowered.com/app/480/", "slug": "launch"}


@pytest.fixture
def marketer(game: Game) -> Client:
    return hub.member(game, Role.MARKETER)


@pytest.fixture
def path(game: Game) -> str:
    return f"/g/{game.slug}/links/"


def text_of(client: Client, url: str) -> str:
    return unescape(client.get(url).content.decode())


def test_without_links_the_page_names_the_next_step(marketer: Client, game: Game, path: str) -> None:
    assert "No tracking links yet" in text_of(marketer, path)
    assert f'href="{path}add/"' in text_of(marketer, path)
    viewer = text_of(hub.member(game, Role.VIEWER), path)
    assert "Marketers and admins of the game can create one." in viewer
    assert "links/add/" not in viewer


def test_a_link_is_created_changed_archived_and_restored(marketer: Client, game: Game, path: str) -> None:
    answer = marketer.post(f"{path}add/", {**FORM, "utm_source": "tiktok", "consent": "anonymous"})
    link = TrackingLink.objects.get()
    assert answer["Location"] == f"{path}{link.pk}/"
    assert (link.slug, link.utm_source, link.consent, link.version) == ("launch", "tiktok", LinkConsent.ANONYMOUS, 1)
    assert link.created_by.username == f"marketer-of-{game.slug}"

    changed = {**FORM, "name": "Trailer", "slug": "other", "utm_source": "", "consent": "", "version": "1"}
    marketer.post(f"{path}{link.pk}/edit/", changed)
    link.refresh_from_db()
    assert (link.name, link.slug, link.utm_source, link.consent, link.version) == ("Trailer", "launch", "", "", 2)

    marketer.post(f"{path}{link.pk}/archive/")
    link.refresh_from_db()
    assert link.archived_at
    assert "This link is archived." in text_of(marketer, f"{path}{link.pk}/")
    marketer.post(f"{path}{link.pk}/restore/")
    link.refresh_from_db()
    assert (link.archived_at, link.version) == (None, 4)
    changes = entries(game).filter(content_type__model="trackinglink").order_by("pk")
    assert [sorted(entry.changes_dict) for entry in changes][1:] == [
        ["consent", "name", "utm_source"],
        ["archived_at"],
        ["archived_at"],
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"destination": "https://10.0.0.1/"}, "an address of a private network"),
        ({"destination": "https://a:b@game.example/"}, "a user name or password"),
        ({"destination": "ftp://game.example/"}, "begins with https:// or http://"),
        ({"destination": ""}, "Enter the page to which the link leads."),
        ({"name": ""}, "Enter a name."),
        ({"slug": "a b"}, "letters a to z, digits and hyphens"),
    ],
)
def test_a_link_that_is_not_valid_is_refused_with_a_sentence(
    marketer: Client, path: str, changes: dict[str, str], sentence: str
) -> None:
    answer = marketer.post(f"{path}add/", {**FORM, **changes})
    assert answer.status_code == 200
    assert sentence in unescape(answer.content.decode())
    assert not TrackingLink.objects.exists()


def test_an_edit_of_an_older_version_is_refused(marketer: Client, game: Game, path: str) -> None:
    link = factories.link(game, version=3)
    answer = marketer.post(f"{path}{link.pk}/edit/", {**FORM, "version": "2"})
    assert "This link was changed by someone else" in unescape(answer.content.decode())
    link.refresh_from_db()
    assert link.version == 3


def test_the_page_shows_clicks_by_day_and_the_last_one(marketer: Client, game: Game, path: str) -> None:
    link, now = factories.link(game), timezone.now()
    for days, number in ((0, 3), (1, 1200), (8, 40), (100, 5)):
        at = now - timedelta(days=days)
        LinkCount.objects.create(game=game, link=link, day=at.date(), clicks=number, last_at=at)
    other = factories.link(game)
    LinkCount.objects.create(game=game, link=other, day=now.date(), clicks=7, last_at=now)
    month = text_of(marketer, f"{path}{link.pk}/")
    assert "<dd>1,248</dd>" in month
    assert re.search(r"Clicks ?<strong>1,243</strong>", month)
    assert re.search(r"Clicks ?<strong>1,203</strong>", text_of(marketer, f"{path}{link.pk}/?range=7d"))
    listed = hub.normalized_html(text_of(marketer, path))
    assert '<td data-label="Clicks" class="number">1,248</td>' in listed
    assert '<td data-label="Clicks" class="number">7</td>' in listed


def test_the_qr_code_is_an_svg_without_inline_styles(marketer: Client, game: Game, path: str) -> None:
    link = factories.link(game)
    answer = marketer.get(f"{path}{link.pk}/qr.svg")
    assert answer["Content-Type"] == "image/svg+xml"
    image = answer.content.decode()
    assert image.startswith("<?xml")
    assert re.search(r"<path [^>]*d=\"M", image)
    assert "style" not in image
    assert answer.content != marketer.get(f"{path}{factories.link(game).pk}/qr.svg").content


@pytest.mark.parametrize("kind", [kind for kind, network in NETWORKS.items() if network.utm_sources])
def test_the_address_of_a_network_makes_a_click_of_that_network(game: Game, kind: str) -> None:
    link = factories.link(game, slug="launch")
    (address,) = [one for one in addresses(link) if one.network == kind]
    network = NETWORKS[kind]
    assert address.url.startswith(f"{link.url}?utm_source={network.utm_sources[0]}&utm_medium=cpc")
    filled = re.sub(r"=(__\w+__|\{+[\w.]+\}+)", "=filled", address.url)
    click = clicks.read(properties={}, context={"page_url": f"{filled}&{network.click_param}=abc123"})
    assert click
    assert (click.network, click.click_id) == (kind, "abc123" if network.click_param != "ttclid" else "abc123")
    organic = clicks.read(properties={}, context={"page_url": filled})
    assert organic
    assert organic.network == kind


def test_a_network_does_not_get_the_parameters_that_the_link_sets(game: Game) -> None:
    link = factories.link(game, slug="launch", utm_campaign="May", utm_source="spring")
    (tiktok,) = [one for one in addresses(link) if one.network == "tiktok"]
    names = [name for name, _ in parse_qsl(urlsplit(tiktok.url).query)]
    assert names == ["utm_medium", "campaign_id", "adgroup_name", "ad_name", "ttclid"]


def test_the_page_has_the_address_of_each_network(marketer: Client, game: Game, path: str) -> None:
    link = factories.link(game, slug="launch")
    html = text_of(marketer, f"{path}{link.pk}/")
    shown = [one for one in addresses(link) if f'data-copy="{one.url}"' in html]
    assert [one.network for one in shown] == [kind for kind, network in NETWORKS.items() if network.utm_sources]
    assert hub.inline_code(html) == []


def test_the_link_of_another_game_does_not_exist(marketer: Client, path: str) -> None:
    link = factories.link(factories.game())
    for page in ("", "edit/", "archive/", "qr.svg"):
        assert marketer.get(f"{path}{link.pk}/{page}").status_code == 404
    for page in ("edit/", "archive/", "restore/"):
        assert marketer.post(f"{path}{link.pk}/{page}", FORM).status_code == 404
    link.refresh_from_db()
    assert (link.version, link.archived_at) == (1, None)
