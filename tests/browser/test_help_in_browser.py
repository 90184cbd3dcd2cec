"""/help/ in a browser, without signing in: every document at the widths of a phone and a desktop, and its search."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from audience.hub.documents import catalogue
from tests.browser.test_every_page import BRIEF, LOOKS, all_well
from tests.browser.test_every_page import axe_core as axe_core
from tests.sdk.conftest import packages as packages


def test_every_document_for_somebody_who_is_not_signed_in(page: Page, live_server: Any, axe_core: Path) -> None:
    found = {"help": "/help/", "found": "/help/?q=click", "keys": "/help/keys/", "tiktok": "/help/networks/tiktok/"}
    all_well(page, found, axe_core, LOOKS)
    others = {name: f"/help/{name}/" for name in catalogue.documents() if f"/help/{name}/" not in found.values()}
    all_well(page, others, axe_core, BRIEF[:1])


def test_a_search_leads_to_the_section_and_a_link_to_another_document(page: Page, live_server: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/help/")
    page.get_by_label("Search the help").fill("strict consent")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Consent › Strict consent").click()
    expect(page).to_have_url(re.compile(r"/help/consent/#strict-consent$"))
    expect(page.get_by_role("heading", name="Strict consent")).to_be_in_viewport()
    page.get_by_role("link", name="Player identity").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Player identity")


def test_the_index_is_in_the_menu_of_a_phone(page: Page, live_server: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/help/keys/")
    page.locator(".topbar summary").click()
    menu = page.locator(".topbar").get_by_role("navigation", name="Help")
    expect(menu.get_by_role("link", name="API keys")).to_have_attribute("aria-current", "page")
    menu.get_by_role("link", name="X Ads").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("X Ads")
