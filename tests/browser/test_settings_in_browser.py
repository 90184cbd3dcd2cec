"""The settings of a game in a browser: two admins at once, rates from a file, and the way from an event to its ad."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from audience.games import game_settings
from audience.models import Game, Role
from tests import factories, hub
from tests.audience.test_hub_events import event


def test_an_admin_changes_the_settings_and_is_told_of_a_change_by_someone_else(admin: Page, game: Game) -> None:
    page = admin
    page.get_by_role("link", name="Game settings", exact=True).click()
    expect(page.get_by_role("heading", name="Game settings")).to_be_visible()
    game_settings.set_attribution_windows(game=game, days=14)
    window = page.get_by_label("Attribution window in days")
    window.fill("7")
    page.get_by_role("button", name="Save window").click()
    expect(page.get_by_text("the attribution window is now 14 days. Your change was not saved.")).to_be_visible()
    expect(window).to_have_value("7")
    page.get_by_role("button", name="Save window").click()
    expect(page.get_by_text("The attribution window is 7 days from now on.").first).to_be_visible()
    game.refresh_from_db()
    assert game.attribution_window_days == 7


def test_rates_come_from_a_file_with_its_errors_by_line(admin: Page, game: Game, tmp_path: Path) -> None:
    page = admin
    page.goto(f"/g/{game.slug}/settings/")
    file = tmp_path / "rates.csv"
    file.write_text("currency,rate\nEUR,much\n")
    page.get_by_label("Exchange rates as a CSV file").set_input_files(file)
    page.get_by_role("button", name="Upload rates").click()
    expect(page.get_by_text("Line 2: write a currency and a number, such as EUR 1.08.")).to_be_visible()
    file.write_text("currency,rate\nEUR,1.08\n")
    page.get_by_label("Exchange rates as a CSV file").set_input_files(file)
    page.get_by_role("button", name="Upload rates").click()
    expect(page.get_by_label("Exchange rates", exact=False).first).to_have_value("EUR 1.08")


def test_a_shorter_retention_asks_for_the_name_and_leads_back(admin: Page, game: Game) -> None:
    page = admin
    page.goto(f"/g/{game.slug}/settings/")
    page.get_by_label("Days to keep events").fill("90")
    page.get_by_role("button", name="Save retention").click()
    page.get_by_label(f"Enter {game.name} to confirm").fill(game.name)
    page.get_by_role("button", name="Keep 90 days, delete the rest").click()
    page.wait_for_url(f"**/g/{game.slug}/settings/#retention")
    expect(page.get_by_label("Days to keep events")).to_have_value("90")


def test_from_a_live_event_to_its_conversion_player_and_campaign(marketer: Page, game: Game) -> None:
    row = event(game, 1, name="purchase", user_id="ada")
    person = factories.person(game, user="ada")
    touch = factories.touch(person, campaign={"utm_campaign": "autumn"})
    factories.conversion(person, touch=touch, message_id=row.message_id, event_day=row.day)
    page = marketer
    page.goto(f"/g/{game.slug}/events/")
    page.locator("summary").filter(has_text="purchase").first.click()
    page.get_by_role("link", name="Open the conversion").click()
    expect(page.get_by_role("heading", name="The event", exact=True)).to_be_visible()
    page.get_by_role("link", name="TikTok Ads › autumn").click()
    expect(page.get_by_role("heading", name="TikTok Ads › autumn")).to_be_visible()
    page.go_back()
    page.locator("dl.facts a").filter(has_text="Player").first.click()
    expect(page.get_by_role("heading", name="Ad clicks")).to_be_visible()


@pytest.mark.usefixtures("admin")
def test_the_base_url_can_be_selected_without_javascript(browser: Browser, live_server: object, game: Game) -> None:
    client = hub.member(game, Role.VIEWER)
    context = browser.new_context(java_script_enabled=False, base_url=str(live_server))
    cookie = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": str(live_server)}])
    page = context.new_page()
    for path in ("", "keys/"):
        page.goto(f"/g/{game.slug}/{path}")
        expect(page.locator("#base-url")).to_be_visible()
        expect(page.get_by_role("button", name="Copy the base URL")).to_be_hidden()
    context.close()
