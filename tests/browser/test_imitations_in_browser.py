"""The bar of imitations in a browser: no violation found by axe-core, light and dark, and no horizontal scrolling."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from audience.models import Game
from tests.browser import test_every_page as every_page
from tests.browser.test_every_page import axe_core as axe_core
from tests.network_urls import point_at
from tests.sdk.conftest import packages as packages


def test_the_bar_and_the_page_of_imitations(
    page: Page, live_server: Any, game: Game, settings: Any, axe_core: Path
) -> None:
    point_at(settings, "http://127.0.0.1:8010")
    settings.NETWORK_URLS = {**settings.NETWORK_URLS, "x": "https://proxy.example"}
    every_page.signed_in(page, live_server, every_page.an_admin(game, is_staff=True, is_superuser=True))
    paths = {
        "imitations": "/imitations/",
        "overview": f"/g/{game.slug}/",
        "guide": f"/g/{game.slug}/start/?network=reddit",
        "form": f"/g/{game.slug}/integrations/google/add/",
        "alerts": f"/g/{game.slug}/alerts/",
        "admin": "/admin/",
    }
    every_page.all_well(page, paths, axe_core)


def test_the_form_leads_to_the_credentials_of_its_network(
    page: Page, game: Game, settings: Any, marketer: Page
) -> None:
    point_at(settings, "http://127.0.0.1:8010")
    page.goto(f"/g/{game.slug}/integrations/reddit/add/")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="its own credentials").click()
    expect(opened.value.get_by_role("heading", name="Reddit Ads")).to_be_in_viewport()
    assert opened.value.url.endswith("/imitations/#reddit")
