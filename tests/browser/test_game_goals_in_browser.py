"""A marketer defines a goal of the game, uses it in a postback, and copies that to another network, in a browser."""

from playwright.sync_api import Page, expect

from audience.models import Game
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox


def test_a_goal_is_defined_once_used_changed_and_copied(
    marketer: Page, game: Game, sandbox: Sandbox, worker: None
) -> None:
    page = marketer
    page.get_by_role("link", name="Goals").click()
    page.get_by_role("link", name="+ Add goal").click()
    page.get_by_label("Name", exact=True).fill("VIP")
    page.get_by_label("Event name").fill("purchase")
    page.get_by_label("Only if the property").fill("value")
    page.get_by_label("Comparison").select_option("is at least")
    page.get_by_label("Value").fill("50")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row").filter(has_text="VIP")).to_contain_text("Purchase, if value is at least 50")

    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    page.get_by_role("link", name="+ Add postback").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.token)
    panel.get_by_label("Pixel code").fill(TIKTOK_ACCOUNTS.pixel)
    panel.get_by_text("More goals").click()
    first = panel.get_by_role("group", name="Goal 1", exact=True)
    first.get_by_label("What counts").select_option("VIP (Purchase, if value is at least 50)")
    expect(first.get_by_label("Event name")).to_be_hidden()
    first.get_by_label("Sent to TikTok Ads as").select_option("Subscribe")
    second = panel.get_by_role("group", name="Goal 2", exact=True)
    second.get_by_label("What counts").select_option("Sign-up: sign_up as Complete registration")
    expect(second.get_by_label("Event name")).to_have_value("sign_up")
    second.get_by_label("Event name").fill("account_made")
    panel.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text=TIKTOK_ACCOUNTS.pixel)
    expect(row).to_contain_text("Purchase, if value is at least 50, as Subscribe")
    expect(row).to_contain_text("account_made, once per player, as CompleteRegistration")

    page.get_by_role("link", name="Goals").click()
    page.get_by_role("link", name="Edit VIP").click()
    page.get_by_label("Value").fill("99")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("VIP was saved. 1 postback changed with it.")).to_be_visible()
    assert PostbackConfig.objects.get().goals[0]["condition"]["value"] == "99"

    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    page.get_by_label(f"Menu of {TIKTOK_ACCOUNTS.pixel}").click()
    page.get_by_role("link", name="Copy to another network").click()
    page.get_by_role("dialog").get_by_role("link", name="Reddit Ads").click()
    expect(page.get_by_text("The credential and the pixel code were not copied.")).to_be_visible()
    page.get_by_label("access token").first.fill(REDDIT_ACCOUNTS.token)
    page.get_by_label("Pixel ID").first.fill(REDDIT_ACCOUNTS.pixel)
    assert PostbackConfig.objects.count() == 1
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/reddit/")
    row = page.get_by_role("row").filter(has_text=REDDIT_ACCOUNTS.pixel)
    expect(row).to_contain_text("account_made, once per player, as SIGN_UP")
    assert CredentialCheck.objects.count() == 2
