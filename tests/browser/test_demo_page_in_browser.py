"""The demo page for everybody, and what its consent choice stores. Its journey: tests/journeys/test_demo_page.py."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from audience.digest import queue
from audience.intake.requests.visitor_cookies import ID_COOKIE, TWIN_COOKIE
from audience.models import Event, Game, Join, JoinKind
from config.demo import loading as demo
from postbacks.delivery import sending
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests.browser import test_every_page as every_page
from tests.browser.test_every_page import axe_core as axe_core
from tests.postbacks.claiming import ANNA, BROWSER
from tests.sdk.conftest import packages as packages


@pytest.fixture
def loaded(live_server: Any, settings: Any, sandbox: Sandbox) -> Game:
    settings.PUBLIC_URL = live_server.url
    demo.load()
    return Game.objects.get(slug=demo.SLUG)


def cookies(page: Page) -> dict[str, str]:
    """Return the cookies of the browser's id by name."""
    found = {str(cookie.get("name")): str(cookie.get("value")) for cookie in page.context.cookies()}
    return {name: value for name, value in found.items() if name in (ID_COOKIE, TWIN_COOKIE)}


def test_the_page_is_usable_by_everybody(page: Page, live_server: Any, loaded: Game, axe_core: Path) -> None:
    every_page.all_well(page, {"first": "/demo/", "after an ad": "/demo/?ttclid=demo-1"}, axe_core)
    page.context.add_cookies([{"name": ID_COOKIE, "value": BROWSER, "url": live_server.url}])
    Join.objects.create(game=loaded, kind=JoinKind.STEAM, anonymous_id=BROWSER, player_id=ANNA, key="k")
    page.goto("/demo/")
    page.get_by_role("button", name="Start the game").click()
    page.get_by_role("button", name="Buy the Comet skin").click()
    queue.drain()
    fan_out.fan_out_due()
    expect(page.locator("#results tbody tr")).to_have_count(2)
    every_page.all_well(page, {"played": "/demo/"}, axe_core)


@pytest.mark.parametrize(("choice", "level"), [("Full", "full"), ("Anonymous", "anonymous")])
def test_the_click_is_stored_at_the_chosen_level(
    page: Page, live_server: Any, loaded: Game, choice: str, level: str
) -> None:
    page.goto("/demo/?ttclid=demo-level")
    assert cookies(page) == {}
    with page.expect_response("**/beacon/v1/batch*"):
        page.get_by_label(choice).check()
    assert set(cookies(page)) == {ID_COOKIE, TWIN_COOKIE}
    (event,) = Event.objects.filter(anonymous_id=cookies(page)[ID_COOKIE])
    assert (event.kind, event.consent_level, event.user_id) == ("page", level, "")
    assert event.context["page_url"].endswith("/demo/?ttclid=demo-level")
    page.reload()
    expect(page.get_by_label(choice)).to_be_checked()


def test_without_consent_nothing_is_stored(page: Page, live_server: Any, loaded: Game) -> None:
    before = Event.objects.count()
    page.goto("/demo/?ttclid=demo-none")
    page.get_by_label("None").check()
    page.reload()
    expect(page.get_by_label("None")).to_be_checked()
    assert cookies(page) == {}
    assert Event.objects.count() == before
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_label("None")).not_to_be_checked()


def test_a_received_request_is_linked(page: Page, live_server: Any, loaded: Game, sandbox: Sandbox) -> None:
    with page.expect_response("**/beacon/v1/batch*"):
        page.goto("/demo/?ttclid=demo-linked")
        page.get_by_label("Full").check()
    page.get_by_role("link", name="Sign in with Steam").click()
    page.get_by_role("link", name="Sign in as a new player").click()
    page.get_by_role("button", name="Buy the Comet skin").click()
    queue.drain()
    fan_out.fan_out_due()
    sending.drain(network="tiktok")
    received = page.request.get(str(page.get_by_role("link", name="What TikTok Ads received").get_attribute("href")))
    assert "demo-linked" in received.text()
