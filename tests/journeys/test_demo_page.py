"""From an ad of the demo page by a sign-in with Steam to the postback: no ID but the SteamID is shared."""

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from postbacks.networks import NETWORKS
from tests import chromium
from tests.journeys.product import Browser as HubBrowser
from tests.journeys.product import Product

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing())]
EVENTS = """
SELECT kind, name, user_id, anonymous_id, device_id FROM audience_event
WHERE user_id = %s OR context->>'page_url' LIKE %s ORDER BY id
"""


@pytest.fixture
def page(product: Product, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=product.url)
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("kind", ["tiktok", "reddit", "meta"])
def test_a_demo_ad_leads_to_a_postback(product: Product, marketer: HubBrowser, page: Page, kind: str) -> None:
    network = NETWORKS[kind]
    page.goto("/demo/")
    page.get_by_role("link", name=network.label, exact=True).click()
    expect(page.get_by_text(f"You clicked an ad of {network.label}.")).to_be_visible()
    (click_id,) = parse_qs(urlsplit(page.url).query)[network.click_param]
    with page.expect_response("**/beacon/v1/batch*"):
        page.get_by_label("Full").check()
    page.get_by_role("link", name="Sign in with Steam").click()
    page.get_by_role("link", name="Sign in as a new player").click()
    steam_id = page.locator("#steam-id").inner_text()
    page.get_by_role("button", name="Start the game").click()
    page.get_by_role("button", name=re.compile("Buy the Comet skin")).click()
    results = page.locator("#results tbody tr")
    expect(results).to_have_count(2, timeout=60_000)
    expect(results.get_by_text("Delivered")).to_have_count(2, timeout=60_000)

    rows = product.rows(EVENTS, steam_id, f"%{click_id}%")
    (browser_id,) = {row[3] for row in rows if row[0] == "page"}
    assert {(name, user, anonymous, device) for kind, name, user, anonymous, device in rows if kind == "track"} == {
        ("game_launch", steam_id, "", ""),
        ("purchase", steam_id, "", ""),
    }
    assert {row[2:] for row in rows if row[0] == "page"} == {("", browser_id, "")}
    sent = [json.dumps(row["body"]) for row in product.received(kind) if click_id in json.dumps(row["body"])]
    assert len(sent) == 2
    assert not any(steam_id in body for body in sent)

    path = str(results.first.get_by_role("link").get_attribute("href"))
    trail = marketer.get(path).data.decode()
    assert click_id in trail
    assert "Sign in with Steam" in trail
    assert browser_id in trail
