"""`make screenshots`: every page of the demo game at two widths, light and dark, into .state/screenshots.

`make screenshots README=1` takes the four of README.md, into docs/images. pytest runs it, for the fixtures of database,
site and browser; its name keeps it out of the test suite.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page

from audience.models import Conversion, Game, Trigger
from config.demo import loading as demo
from postbacks.delivery import sending
from postbacks.models import DeliveryState, PostbackConfig
from postbacks.networks import NETWORKS
from postbacks.reporting.campaigns import refresh
from postbacks.sandbox.server import Sandbox
from tests.browser import pages, rows
from tests.browser.test_every_page import signed_in

ROOT = Path(__file__).resolve().parents[2]
README = bool(os.environ.get("README"))
FOLDER = ROOT / "docs" / "images" if README else Path(os.environ.get("SCREENSHOTS") or ROOT / ".state" / "screenshots")
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
IN_README = ("overview", "integration", "conversion", "guide")
MAX_BYTES = 200_000


@pytest.fixture
def demo_game(live_server: Any, sandbox: Sandbox) -> Game:
    """The demo game with its history delivered, and with rows for every state."""
    demo.load()
    for network in NETWORKS:
        sending.drain(network=network)
    refresh.refresh()
    game = Game.objects.get(slug=demo.SLUG)
    if not README:
        rows.set_up(game, by=User.objects.get(username=demo.USERS["marketer"][0]))
    assert PostbackConfig.objects.filter(game=game).exists()
    return game


@pytest.fixture
def window(browser: Browser, live_server: Any) -> Iterator[Page]:
    context: BrowserContext = browser.new_context(base_url=live_server.url, reduced_motion="reduce")
    yield context.new_page()
    context.close()


def test_screenshots_of_all_pages(window: Page, live_server: Any, demo_game: Game) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    urls = {name: url for name, url in pages.account(Client()).items() if not README}
    _take(window, {f"signed-out-{name}": url for name, url in urls.items()})
    client = signed_in(window, live_server, User.objects.get(username=demo.USERS["admin"][0]))
    urls = pages.hub(demo_game)
    if README:
        sent = Conversion.objects.filter(deliveries__state=DeliveryState.DELIVERED, trigger=Trigger.PURCHASE)
        urls["conversion"] = reverse("conversion", kwargs={"slug": demo_game.slug, "pk": sent.latest("event_at").pk})
        for name in IN_README:
            _take_one(window, FOLDER / f"{name}.png", urls[name])
        return
    _take(window, urls)
    _take(window, {f"account-{name}": url for name, url in pages.account(client).items()})
    admin_pages = ("index", "audience_game", "audience_game-change", "postbacks_delivery", "auth_user-change")
    _take(window, {f"admin-{name}": url for name, url in pages.admin_site(client).items() if name in admin_pages})


def _take(window: Page, urls: dict[str, str]) -> None:
    for name, url in urls.items():
        window.goto(url)
        for size, (width, height) in SIZES.items():
            window.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                window.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                window.screenshot(path=FOLDER / f"{name}-{size}-{scheme}.png", full_page=True)


def _take_one(window: Page, path: Path, url: str) -> None:
    """Take the part of the page that a laptop's window shows."""
    window.set_viewport_size({"width": 1280, "height": 800})
    window.goto(url)
    window.screenshot(path=path)
    assert path.stat().st_size < MAX_BYTES, f"{path.name} is larger than {MAX_BYTES} bytes"
