"""The demo game with a network whose credential has several parts."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from audience.models import Game
from config.demo import loading as demo
from postbacks.models import PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.networks.interface.imitation import Accounts
from tests import factories
from tests.postbacks import wide

pytestmark = pytest.mark.django_db

ACCOUNTS = Accounts(
    pixel=wide.PIXEL,
    second_pixel="w-2",
    foreign_pixel="w-9",
    token=wide.ACCESS_TOKEN,
    rotated_token="rotated",
    foreign_token="foreign",
    credential=wide.CREDENTIAL,
    object_ids={"purchase": wide.ACTION},
)


@pytest.fixture(autouse=True)
def network(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is registered with the accounts above, and runs on this machine as the only one."""
    monkeypatch.setitem(NETWORKS, "wide", wide.Wide())
    beside = SimpleNamespace(IMITATION=SimpleNamespace(accounts=ACCOUNTS))
    monkeypatch.setitem(sys.modules, f"{wide.__package__}.imitation", beside)
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "wide": "http://127.0.0.1:1"}


def test_the_demo_has_a_postback_with_all_parts_of_the_credential() -> None:
    facts = demo.load()
    config = PostbackConfig.objects.get()
    assert (config.network, config.pixel_id, config.credential) == ("wide", wide.PIXEL, wide.CREDENTIAL)
    assert facts["networks"]["wide"] == {
        "pixel_id": wide.PIXEL,
        "credential": wide.ACCESS_TOKEN,
        "credential_key": wide.JSON_KEY,
        "credential_url_token": wide.URL_TOKEN,
        "credential_account": wide.ACCOUNT,
        "object_id_purchase": wide.ACTION,
    }
    goal = {"event": "purchase", "sent_as": "", "once": False, "condition": None, "object_id": wide.ACTION}
    assert (config.triggers, config.goals) == (["game_launch"], [goal])
    tiktok = factories.ACCOUNTS["tiktok"]
    assert facts["networks"]["tiktok"] == {"pixel_id": tiktok.pixel, "credential": tiktok.token}
    assert demo.load() == json.loads(json.dumps(facts))
    assert PostbackConfig.objects.count() == 1


def test_a_postback_of_the_demo_is_disabled_once_its_network_is_the_real_one(settings: Any) -> None:
    settings.NETWORK_URLS = dict.fromkeys(NETWORKS, "http://127.0.0.1:1")
    demo.load()
    assert PostbackConfig.objects.filter(enabled=True).count() == len(NETWORKS)
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "reddit": "https://ads-api.reddit.com"}
    demo.load()
    assert set(PostbackConfig.objects.kept().filter(enabled=False).values_list("network", flat=True)) == {"reddit"}


def test_a_config_of_the_factories_has_all_parts_of_the_credential(game: Game) -> None:
    config = factories.config(game, network="wide")
    assert (config.pixel_id, config.credential) == (wide.PIXEL, wide.CREDENTIAL)
