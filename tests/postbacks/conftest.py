from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from audience.models import Game, Role
from postbacks.models import PostbackConfig
from postbacks.sandbox.server import Sandbox
from tests import factories, hub
from tests.network_urls import point_at


@pytest.fixture
def sandbox(settings: Any) -> Iterator[Sandbox]:
    """The imitations of all networks on one port, to which the settings point."""
    with Sandbox(hold=2.0) as running:
        point_at(settings, running.url)
        yield running


@pytest.fixture
def config(game: Game) -> PostbackConfig:
    """An enabled postback to TikTok for both triggers."""
    return factories.config(game)


@pytest.fixture
def viewer(game: Game) -> Client:
    """A browser in which a viewer of `game` is signed in."""
    return hub.member(game, Role.VIEWER)


@pytest.fixture
def marketer(game: Game) -> Client:
    """A browser in which a marketer of `game` is signed in."""
    return hub.member(game, Role.MARKETER)
