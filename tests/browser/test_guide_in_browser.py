"""A studio that advertises on Reddit only follows the guide from its first key to its first delivery."""

import subprocess
from typing import Any

from playwright.sync_api import Page, expect

from audience.models import Game, Touch
from postbacks.models import Delivery
from postbacks.networks.reddit.imitation import ACCOUNTS
from postbacks.sandbox.server import Sandbox

SOON = 20_000


def run(page: Page, code: str) -> None:
    """Run the code that the page shows in a shell."""
    command = page.locator(f"#{code}-code").inner_text()
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=30)


def add_postback(page: Page, game: Game) -> None:
    """Add a postback by the first button of its step."""
    page.locator("li").filter(has=page.locator("#seen-postback")).locator(".actions a").first.click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/reddit/add/")
    page.get_by_label("Conversion access token").fill(ACCOUNTS.token)
    page.get_by_label("Pixel ID").fill(ACCOUNTS.pixel)
    page.get_by_role("group", name="Trigger events").get_by_label("Purchase (purchase)").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/reddit/")


def test_the_guide_of_a_studio_with_reddit_only(
    admin: Page, game: Game, sandbox: Sandbox, worker: None, live_server: Any, settings: Any
) -> None:
    settings.PUBLIC_URL = live_server.url
    page = admin
    page.goto(f"/g/{game.slug}/start/")
    page.locator("#network-reddit").click()
    expect(page.get_by_text("Steps 2, 3 and 5 are about Reddit Ads.")).to_be_visible()
    page.get_by_role("button", name="Create a publishable key").click()
    expect(page.locator("#seen-key")).to_contain_text("Done", timeout=SOON)
    expect(page.locator("#landing-code")).to_contain_text("?rdt_cid=first-click")

    run(page, "first")
    expect(page.locator("#seen-event")).to_contain_text("Done", timeout=SOON)
    expect(page.locator("#seen-click")).to_contain_text("A Reddit Ads click", timeout=SOON)
    assert Touch.objects.get().network == "reddit"

    add_postback(page, game)
    page.goto(f"/g/{game.slug}/start/")
    expect(page.locator("#seen-postback")).to_contain_text("Done")
    run(page, "purchase")
    expect(page.locator("#seen-delivery")).to_contain_text("Purchase accepted by Reddit Ads", timeout=SOON)
    expect(page.get_by_role("heading", name="All five steps are done")).to_be_visible()
    assert Delivery.objects.get().network == "reddit"


def test_the_guide_says_what_to_run_again_for_another_network(admin: Page, game: Game, live_server: Any) -> None:
    page = admin
    page.goto(f"/g/{game.slug}/start/")
    page.locator("#network-x").click()
    expect(
        page.get_by_text("Steps 2, 3 and 5 are about X Ads. If you choose another network, run them again.")
    ).to_be_visible()
    expect(page.locator("#landing-code")).to_contain_text("?twclid=first-click")
