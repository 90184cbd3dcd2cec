"""A marketer creates a tracking link, copies its addresses and archives it; a player opens it, in a browser."""

from typing import Any

from playwright.sync_api import Browser, Page, expect

from audience.intake.links import counting
from audience.models import Event, Game, LinkCount, TrackingLink

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"


def test_a_link_is_created_opened_by_a_player_and_archived(
    marketer: Page, browser: Browser, live_server: Any, game: Game
) -> None:
    page = marketer
    page.get_by_role("link", name="Tracking links").click()
    page.get_by_role("link", name="Create a link").click()
    page.get_by_label("Name", exact=True).fill("Launch trailer")
    page.get_by_label("Destination").fill("https://192.168.1.1/")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_text("The destination is an address of a private network.")).to_be_visible()
    page.get_by_label("Destination").fill("https://store.steampowered.com/app/480/")
    page.get_by_label("End of the address").fill("trailer")
    page.get_by_label("utm_campaign").fill("Launch")
    page.get_by_role("button", name="Create link").click()
    expect(page.get_by_role("heading", name="Launch trailer")).to_be_visible()
    link = TrackingLink.objects.get()
    copy = page.get_by_role("button", name="Copy the address for TikTok Ads")
    expect(copy).to_be_visible()
    assert copy.get_attribute("data-copy") == (
        f"{link.url}?utm_source=tiktok&utm_medium=cpc&campaign_id=__CAMPAIGN_ID__&adgroup_name=__AID_NAME__"
        "&ad_name=__CID_NAME__&ttclid=__CLICKID__"
    )
    image = page.get_by_role("img", name="QR code of")
    assert image.evaluate("image => image.complete && image.naturalWidth > 100")

    player = browser.new_context(user_agent=AGENT, base_url=live_server.url)
    redirect = player.request.get("/go/trailer?ttclid=E.C.P.abc", max_redirects=0)
    assert redirect.status == 302
    assert redirect.headers["location"] == "https://store.steampowered.com/app/480/?utm_campaign=Launch"
    (cookie,) = [one for one in player.cookies(live_server.url) if one["name"] == "ac_id"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (False, "Lax", "/")
    assert Event.objects.get().anonymous_id == cookie["value"]
    counting.save()
    assert LinkCount.objects.get().clicks == 1

    page.reload()
    expect(page.get_by_role("term").filter(has_text="Clicks").first).to_be_visible()
    page.get_by_role("link", name="Archive").click()
    page.get_by_role("button", name="Archive link").click()
    expect(page.get_by_role("heading", name="Archived")).to_be_visible()
    window = player.new_page()
    answer = window.goto("/go/trailer")
    assert answer
    assert answer.status == 404
    expect(window.get_by_role("heading", name="This link does not exist")).to_be_visible()
    assert window.evaluate("getComputedStyle(document.querySelector('.card')).borderTopWidth") == "1px"
    player.close()
