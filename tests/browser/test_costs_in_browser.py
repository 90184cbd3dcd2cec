"""A marketer uploads what a campaign cost and reads the return on ad spend, in a browser."""

from pathlib import Path

from playwright.sync_api import Page, expect

from audience.models import Game
from postbacks.reporting.campaigns import refresh
from tests.postbacks.test_campaigns_page import at, player


def test_from_an_upload_of_costs_to_the_return_on_ad_spend(admin: Page, game: Game, tmp_path: Path) -> None:
    player(game, "ada", days_ago=9, paid="30 EUR", utm_campaign="autumn")
    player(game, "bob", days_ago=9, utm_campaign="autumn")
    refresh.refresh()
    page = admin
    page.get_by_role("link", name="Campaigns", exact=True).click()
    row = page.get_by_role("row").filter(has_text="autumn")
    expect(row).to_contain_text("TikTok Ads")
    expect(page.get_by_text("Not included in totals because there is no exchange rate: EUR.")).to_be_visible()
    page.get_by_role("link", name="Add exchange rates").click()
    page.get_by_role("textbox", name="Exchange rates").fill("EUR 1.50")
    page.get_by_role("button", name="Save time zone and currency").click()
    page.get_by_role("link", name="Campaigns", exact=True).first.click()
    expect(row).to_contain_text("45.00")

    page.get_by_role("link", name="Costs", exact=True).click()
    file = tmp_path / "report.csv"
    file.write_text(f"Tag;Kampagne;Kosten\n{at(9).date()};autumn;viel\n")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="Match columns")).to_be_visible()
    page.get_by_label("Date").select_option("Tag")
    page.get_by_label("Campaign", exact=True).select_option("Kampagne")
    page.get_by_label("Spend").select_option("Kosten")
    page.get_by_label("Network of all lines").select_option("TikTok Ads")
    page.get_by_label("Currency of all lines").fill("USD")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Line 2: viel is not an amount such as 120.50.")).to_be_visible()

    file.write_text(f"date,network,campaign,spend,currency\n{at(9).date()},tiktok,autumn,20,USD\n")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("1 line of report.csv was saved.")).to_be_visible()
    page.get_by_role("link", name="Campaigns", exact=True).last.click()
    cells = page.get_by_role("row").filter(has_text="autumn").get_by_role("cell")
    # Clicks, players, launches, payers, purchases; revenue; spend, CPC, per launch, per payer; ROAS D0, D7, D30.
    figures = ["2", "2", "2", "1", "1", "45.00", "20.00", "10.00", "10.00", "20.00", "0.00", "2.25", "–"]
    for number, figure in enumerate(figures, 1):
        expect(cells.nth(number)).to_contain_text(figure)
    cells.nth(4).get_by_role("link").click()
    expect(page.get_by_role("heading", name="Conversions of TikTok Ads › autumn")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="Purchase")).to_have_count(1)
