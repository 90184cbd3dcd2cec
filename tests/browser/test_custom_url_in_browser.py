"""A marketer writes a request in a browser, sees it while typing, and saves it."""

from playwright.sync_api import Page, expect

from audience.models import Game
from postbacks.models import PostbackConfig
from postbacks.networks.custom.imitation import ACCOUNTS
from postbacks.sandbox.server import Sandbox


def test_the_request_is_shown_while_it_is_typed_and_saved_once_its_server_accepts_it(
    marketer: Page, game: Game, sandbox: Sandbox, worker: None
) -> None:
    page, parts = marketer, ACCOUNTS.stored_credential()
    page.goto(f"/g/{game.slug}/integrations/custom/add/")
    request = page.get_by_label("Request", exact=True)
    expect(request).to_contain_text("GET https://partner.example/postback?click_id=")
    page.get_by_label("URL", exact=True).fill("https://partner.example/?c={clickid}")
    expect(page.get_by_text("The macro {clickid} does not exist.")).to_be_visible()

    page.get_by_label("Method").select_option(parts["method"])
    page.get_by_label("URL", exact=True).fill(parts["url"])
    page.get_by_label("Body", exact=False).first.select_option(parts["body_format"])
    page.get_by_label("Body template").fill(parts["body"])
    page.get_by_label("Headers").fill(parts["headers"])
    page.get_by_label("Secret").fill(ACCOUNTS.token)
    page.get_by_label("Click parameters").fill(parts["click_parameters"])
    expect(request).to_contain_text(f"{parts['method']} {parts['url'].partition('?')[0]}")
    expect(request).not_to_contain_text(ACCOUNTS.token)
    expect(page.get_by_role("heading", name="What happens on Save")).to_be_visible()

    page.get_by_label("Name", exact=True).fill(ACCOUNTS.pixel)
    page.get_by_role("group", name="Trigger events").get_by_label("Purchase (purchase)").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/custom/")
    expect(page.get_by_role("row").filter(has_text=ACCOUNTS.pixel)).to_contain_text("Enabled")
    assert PostbackConfig.objects.get().click_parameters == [parts["click_parameters"]]
