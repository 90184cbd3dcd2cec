"""The demo page exists only in the demo, and its back end sends events with the SteamID as the only ID."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from audience.intake.links import lookup
from audience.intake.requests import auth
from audience.intake.requests.visitor_cookies import ID_COOKIE, TWIN_COOKIE
from audience.models import Event, Game, Join, JoinKind, LinkConsent, TrackingLink
from audience.models.people import USER
from audience.privacy import erasure
from config.demo import ads
from config.demo import loading as demo
from config.demo.player import COOKIE
from postbacks.networks import NETWORKS
from tests.network_urls import point_at
from tests.postbacks.claiming import ANNA, BROWSER

pytestmark = pytest.mark.django_db

IMITATIONS = "http://127.0.0.1:1"
PAGES = ("/demo/", "/demo/results/", "/demo/ads/tiktok/")
ACTIONS = {"/demo/play/": {"action": "buy"}, "/demo/restart/": {}}


@pytest.fixture
def loaded(settings: Any) -> Game:
    """The demo game, with all networks and Steam on this machine."""
    point_at(settings, IMITATIONS)
    lookup.clear_link_cache()
    demo.load()
    return Game.objects.get(slug=demo.SLUG)


@pytest.fixture
def player(loaded: Game) -> Client:
    """A browser that has signed in as ANNA."""
    Join.objects.create(game=loaded, kind=JoinKind.STEAM, anonymous_id=BROWSER, player_id=ANNA, key="k")
    client = Client()
    client.cookies[ID_COOKIE] = BROWSER
    return client


def statuses(client: Client) -> set[int]:
    answers = [*(client.get(path) for path in PAGES), *(client.post(path, form) for path, form in ACTIONS.items())]
    return {answer.status_code for answer in answers}


def test_the_page_is_shown_with_the_demo_game(loaded: Game) -> None:
    assert statuses(Client()) == {200, 302}


def test_there_is_no_page_without_the_demo_game(settings: Any, game: Game) -> None:
    point_at(settings, IMITATIONS)
    Game.objects.filter(pk=game.pk).update(slug=demo.SLUG)
    assert statuses(Client()) == {404}
    assert Event.objects.count() == 0


@pytest.mark.parametrize("kind", NETWORKS)
def test_there_is_no_page_where_conversions_reach_a_network(player: Client, settings: Any, kind: str) -> None:
    before = Event.objects.count()
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, kind: NETWORKS[kind].default_url or "https://partner.example"}
    assert statuses(player) == {404}
    assert Event.objects.count() == before


def test_there_is_no_page_where_visitors_sign_in_at_steam(player: Client, settings: Any) -> None:
    before = Event.objects.count()
    settings.STEAM_OPENID_URL = settings.STEAM_OPENID_DEFAULT_URL
    assert statuses(player) == {404}
    assert Event.objects.count() == before


def test_each_network_has_an_ad_with_its_click_parameter(loaded: Game) -> None:
    shown = {ad.network.kind: ad.parameter for ad in ads.ads_of(loaded)}
    assert shown == {kind: network.click_param or "irclickid" for kind, network in NETWORKS.items()}
    page = Client().get("/demo/").content.decode()
    assert all(f'href="/demo/ads/{kind}/"' in page for kind in NETWORKS)
    assert Client().get("/demo/ads/unknown/").status_code == 404


def test_each_click_on_an_ad_has_a_new_id_and_passes_the_tracking_link(loaded: Game, settings: Any) -> None:
    before, client = Event.objects.count(), Client()
    first, second = (client.get("/demo/ads/tiktok/")["Location"] for _ in range(2))
    assert first != second
    assert urlsplit(first).path == f"/go/{demo.LINK_SLUG}"
    landing = client.get(first)["Location"]
    assert landing.startswith(f"{settings.PUBLIC_URL}/demo/?")
    assert parse_qs(urlsplit(landing).query) == parse_qs(urlsplit(first).query)
    assert set(parse_qs(urlsplit(landing).query)) == {"ttclid", "utm_source", "utm_medium", "utm_campaign"}
    assert Event.objects.count() == before
    TrackingLink.objects.all().delete()
    assert client.get("/demo/ads/tiktok/")["Location"].startswith("/demo/?ttclid=demo-")


def test_the_back_end_sends_the_steam_id_and_no_other_id(player: Client, loaded: Game) -> None:
    known = set(Event.objects.values_list("pk", flat=True))
    for action in ("launch", "buy", "other"):
        answer = player.post("/demo/play/", {"action": action})
        assert (answer.status_code, answer["Location"]) == (302, "/demo/#results")
    launch, purchase = Event.objects.exclude(pk__in=known).order_by("pk")
    for event in (launch, purchase):
        ids = (event.user_id, event.anonymous_id, event.device_id, event.links)
        assert (event.game_id, ids, event.consent_level) == (loaded.pk, (ANNA, "", "", []), "")
    assert (launch.name, purchase.name) == ("game_launch", "purchase")
    assert (purchase.properties["value"], purchase.properties["currency"]) == ("9.99", "USD")


def test_without_a_player_nothing_is_sent(loaded: Game) -> None:
    before, client = Event.objects.count(), Client()
    client.cookies[COOKIE] = ANNA  # not signed
    assert client.post("/demo/play/", {"action": "launch"}).status_code == 302
    assert "Sign in with Steam first." in client.get("/demo/").content.decode()
    assert Event.objects.count() == before


def test_nothing_is_stored_of_an_erased_player_whose_events_are_refused(player: Client, loaded: Game) -> None:
    erasure.request_erasure(game=loaded, namespace=USER, subject=ANNA, requested_by="ada", suppress=True)
    auth.clear_key_cache()
    before = Event.objects.count()
    assert player.post("/demo/play/", {"action": "buy"}).status_code == 302
    assert Event.objects.count() == before


def test_a_form_of_another_site_is_refused(player: Client) -> None:
    before, client = Event.objects.count(), Client(enforce_csrf_checks=True)
    client.cookies[ID_COOKIE] = BROWSER
    assert client.post("/demo/play/", {"action": "launch"}).status_code == 403
    assert Event.objects.count() == before


def test_the_player_stays_after_the_visitor_declined(player: Client) -> None:
    assert ANNA in player.get("/demo/").content.decode()
    del player.cookies[ID_COOKIE]
    before = Event.objects.count()
    player.post("/demo/play/", {"action": "launch"})
    assert Event.objects.count() == before + 1


def test_starting_over_forgets_the_browser_and_the_player(player: Client) -> None:
    player.get("/demo/")
    player.post("/demo/restart/")
    assert {player.cookies[name].value for name in (ID_COOKIE, TWIN_COOKIE, COOKIE)} == {""}


def test_loading_moves_the_addresses_of_the_page_with_the_server(loaded: Game, settings: Any) -> None:
    page = f"{settings.PUBLIC_URL}/demo/"
    link = TrackingLink.objects.get(slug=demo.LINK_SLUG)
    assert (loaded.return_addresses, link.destination, link.consent) == ([page], page, LinkConsent.NONE)
    Game.objects.update(return_addresses=["https://game.example/thanks", page])
    settings.PUBLIC_URL = "http://127.0.0.1:8001"
    demo.load()
    loaded.refresh_from_db()
    link.refresh_from_db()
    assert loaded.return_addresses == ["https://game.example/thanks", "http://127.0.0.1:8001/demo/"]
    assert link.destination == "http://127.0.0.1:8001/demo/"
    settings.PUBLIC_URL = "http://192.0.2.7:8000"
    demo.load()
    loaded.refresh_from_db()
    assert loaded.return_addresses == ["https://game.example/thanks"]
    assert 'href="/claim/demo/"' in Client().get("/demo/").content.decode()


def test_a_link_of_another_game_is_left_alone(game: Game, settings: Any) -> None:
    point_at(settings, IMITATIONS)
    theirs = {"game": game, "name": "Theirs", "destination": "https://game.example/"}
    TrackingLink.objects.create(slug=demo.LINK_SLUG, **theirs)
    demo.load()
    link = TrackingLink.objects.get()
    assert (link.game, link.destination) == (game, "https://game.example/")
    assert Client().get("/demo/ads/tiktok/")["Location"].startswith("/demo/?ttclid=demo-")
