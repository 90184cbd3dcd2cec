"""The page of the web pixel in a browser: the code that it shows works, and what arrives is listed."""

from typing import Any

from playwright.sync_api import Page, expect

from audience.games.keys import NewKey
from audience.models import Game
from tests.browser import studio


def test_the_shown_code_sends_to_the_page(
    marketer: Page, live_server: Any, settings: Any, game: Game, key: NewKey
) -> None:
    page = marketer
    page.get_by_role("link", name="Web pixel").click()
    page.get_by_label("Consent", exact=True).select_option("full")
    page.get_by_role("button", name="Show the code").click()
    page.wait_for_url("**/pixel/?key=*")
    expect(page.get_by_text("Nothing received")).to_be_visible()
    code = page.locator("#inline-code").text_content() or ""
    assert f'"key":"{key.value}","consent":"full"' in code
    with studio.running(live_server.url, key.value) as site:
        # PUBLIC_URL is that of the settings, not of the test's server.
        site.head = code.replace(settings.PUBLIC_URL, site.server)
        website = page.context.new_page()
        website.goto(f"{site.site}/play?ttclid=E.C.P.from-the-page")
        row = page.locator("#rows tbody tr")
        expect(row).to_contain_text("E.C.P.from-the-page")
        expect(row).to_contain_text("Full")
        expect(row).to_contain_text("/play?ttclid=")
    page.get_by_role("link", name="Help: Web pixel").click()
    expect(page.get_by_role("heading", name="Web pixel", level=1)).to_be_visible()
