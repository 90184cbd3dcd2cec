"""The list of networks: what is connected, and which two are suggested."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Game
from postbacks.hub.integrations import catalogue
from postbacks.networks import NETWORKS
from tests import factories


def clicked(game: Game, network: str, count: int = 1, **fields: Any) -> None:
    """Store conversions that followed a click on an ad of the network."""
    for _ in range(count):
        player = factories.person(game)
        factories.conversion(player, touch=factories.touch(player, network=network), **fields)


def kinds(cards: list[catalogue.Card]) -> list[str]:
    return [card.network.kind for card in cards]


def text(client: Client, game: Game) -> str:
    html = client.get(f"/g/{game.slug}/integrations/").content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_without_conversions_the_usual_two_are_suggested(game: Game) -> None:
    shown = catalogue.of_game(game)
    assert (kinds(shown.connected), kinds(shown.suggested)) == ([], ["meta", "google"])
    assert kinds(shown.others) == [kind for kind in NETWORKS if kind not in ("meta", "google")]


def test_the_networks_whose_clicks_won_most_conversions_are_suggested_first(game: Game) -> None:
    clicked(game, "snapchat")
    clicked(game, "x", 3)
    clicked(game, "meta", 2)
    assert [(card.network.kind, card.unsent) for card in catalogue.of_game(game).suggested] == [("x", 3), ("meta", 2)]


def test_a_connected_network_is_not_suggested_and_has_nothing_unsent(game: Game) -> None:
    factories.config(game, network="meta")
    clicked(game, "meta", 2)
    shown = catalogue.of_game(game)
    assert [(card.network.kind, card.unsent, len(card.postbacks)) for card in shown.connected] == [("meta", 0, 1)]
    assert kinds(shown.suggested) == ["google"]


def test_a_deleted_postback_connects_nothing(game: Game) -> None:
    factories.config(game, network="google", deleted_at=timezone.now())
    assert kinds(catalogue.of_game(game).connected) == []


def test_conversions_of_test_events_and_of_other_games_suggest_nothing(game: Game, other_game: Game) -> None:
    clicked(game, "tiktok", test=True)
    clicked(other_game, "reddit")
    assert kinds(catalogue.of_game(game).suggested) == ["meta", "google"]


def test_the_page_has_a_sentence_and_the_state_of_each_network(game: Game, viewer: Client) -> None:
    factories.config(game, network="tiktok", pixel_id="CONNECTED1")
    clicked(game, "x", 2)
    shown = text(viewer, game)
    order = ["Connected", "TikTok Ads", "CONNECTED1", "Enabled", "Suggested", "X Ads", "2 recent conversions", "More"]
    assert re.search(".*".join(map(re.escape, order)), shown)
    assert "2 recent conversions came from clicks on its ads and were not sent." in shown
    assert "Meta Ads Not connected" in shown
    assert shown.count("Most studios advertise here first.") == 1
    assert all(network.summary in shown for network in NETWORKS.values())


def test_a_single_conversion_is_in_the_singular(game: Game, viewer: Client) -> None:
    clicked(game, "x")
    assert "1 recent conversion came from clicks on its ads and was not sent." in text(viewer, game)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_each_network_has_one_short_summary(network: Any) -> None:
    assert 40 <= len(network.summary) <= 120
    assert network.summary.endswith(".")
