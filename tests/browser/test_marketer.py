"""A marketer with the whole product running: a wrong token, a valid one, the first delivery, a revoked token."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from tests.journeys import product as processes
from tests.journeys.product import Product, ago

SECOND = TIKTOK_ACCOUNTS.second_pixel


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with processes.running(Path(tmp_path_factory.mktemp("product"))) as running:
        yield running


@pytest.fixture
def window(browser: Browser, product: Product) -> Iterator[Page]:
    """Signed in as the demo's marketer, on the page of TikTok Ads; what the browser complains about fails the test."""
    context = browser.new_context(base_url=product.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    page, complaints = context.new_page(), []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    user = product.demo["users"]["marketer"]
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill(user["email"])
    page.locator("input[name=password]").fill(user["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/g/**")
    page.goto(f"/g/{product.demo['game']}/integrations/tiktok/")
    yield page
    context.close()
    assert complaints == []


def test_a_marketer_sets_up_watches_rotates_and_sends_again(product: Product, window: Page) -> None:
    opens_and_leaves_the_panel(window)
    adds_a_postback(product, window)
    watches_the_first_delivery(product, window)
    filters_and_opens_the_log(window)
    rotates_after_a_revocation(product, window)
    sends_again_what_failed(product, window)


def opens_and_leaves_the_panel(page: Page) -> None:
    """It takes the focus and gives it back."""
    panel, opener = page.get_by_role("dialog"), page.get_by_role("link", name="+ Add postback")
    opener.click()
    expect(panel.get_by_role("heading", name="Add postback")).to_be_focused()
    expect(opener).not_to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(opener).to_be_focused()


def adds_a_postback(product: Product, page: Page) -> None:
    """With a wrong token, which is refused with the reason, then with a good one."""
    panel = page.get_by_role("dialog")
    page.keyboard.press("Enter")  # on the link that has the focus
    panel.get_by_text("Where do I find these?").click()
    expect(panel).to_contain_text("then Settings, then Generate Access Token.")
    panel.get_by_label("Access token").fill("0" * 40)
    panel.get_by_label("Pixel code").fill(SECOND)
    panel.get_by_role("group", name="Trigger events").get_by_label("Purchase (purchase)").check()
    panel.get_by_label("Test event code").fill("TEST12345")
    panel.get_by_role("button", name="Save").click()
    refusal = panel.get_by_role("alert")
    expect(refusal).to_contain_text("Access token is incorrect or has been revoked")
    expect(refusal).to_contain_text("Copy the complete access token again or generate a new one")
    assert product.rows("SELECT 1 FROM postbacks_postbackconfig WHERE pixel_id = %s", SECOND) == []

    panel.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.token)
    panel.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"The postback for {SECOND} was saved.")).to_be_visible()
    expect(row_of(page, SECOND)).to_contain_text("None yet")


def watches_the_first_delivery(product: Product, page: Page) -> None:
    page.evaluate("window.neverReloaded = true")
    buys(product, "first-buyer")
    expect(logged(page)).to_contain_text("Success", timeout=30_000)
    expect(page.locator("#news")).to_contain_text(re.compile(r"new attempts? in the delivery log\."))
    expect(row_of(page, SECOND)).not_to_contain_text("None yet", timeout=30_000)


def filters_and_opens_the_log(page: Page) -> None:
    panel, success = page.get_by_role("dialog"), page.get_by_role("link", name="Success", exact=True)
    page.get_by_role("link", name="Last hour").click()
    page.wait_for_url("**/tiktok/?range=1h")
    success.click()
    page.wait_for_url("**status=success**")
    expect(success).to_be_focused()
    attempt = logged(page).get_by_role("link").first
    attempt.click()
    expect(panel.get_by_role("heading", name="Purchase, attempt 1")).to_be_focused()
    expect(panel).to_contain_text("Event ID")
    panel.get_by_role("button", name="Close").click()
    expect(attempt).to_be_focused()
    assert page.evaluate("window.neverReloaded") is True


def rotates_after_a_revocation(product: Product, page: Page) -> None:
    """What waits is held, and goes out once a new token is accepted."""
    page.goto(page.url.partition("?")[0])
    revoke(product, TIKTOK_ACCOUNTS.token)
    buys(product, "second-buyer")
    row, panel = row_of(page, SECOND), page.get_by_role("dialog")
    expect(row).to_contain_text("On hold", timeout=45_000)
    row.get_by_role("link", name="Rotate credentials").click()
    panel.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.rotated_token)
    panel.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"The postback for {SECOND} was saved.")).to_be_visible(timeout=30_000)
    product.wait_for(lambda: states(product, "second-buyer") == {"delivered"})


def sends_again_what_failed(product: Product, page: Page) -> None:
    product.fault("tiktok", "bad_request", 20)
    buys(product, "third-buyer")
    product.wait_for(lambda: states(product, "third-buyer") == {"failed"})
    cleared = product.http.request("DELETE", f"{product.sandbox_url}/sandbox/faults")
    assert cleared.status < 300, cleared.data
    page.reload()
    failed = page.get_by_role("region", name="Failed deliveries")
    failed.get_by_role("button", name="Send 1 again").click()
    expect(page.get_by_text("Queued again: 1.")).to_be_visible()
    product.wait_for(lambda: states(product, "third-buyer") == {"delivered"})


def buys(product: Product, user: str) -> None:
    """A player clicks an ad and buys something."""
    click = {"pageUrl": f"https://game.example/?ttclid=E.C.P.{user}"}
    product.send(
        {"type": "page", "anonymousId": user, "context": click, "eventTimestamp": ago(minutes=9).isoformat()},
        {"type": "identify", "anonymousId": user, "userId": user, "traits": {}},
        {"type": "track", "eventName": "purchase", "userId": user, "properties": {"value": 4.99, "currency": "USD"}},
    )


def revoke(product: Product, token: str) -> None:
    order = {"network": "tiktok", "credential": token}
    answer = product.http.request("POST", f"{product.sandbox_url}/sandbox/tokens/revoke", json=order)
    assert answer.status == 200, answer.data


def row_of(page: Page, pixel: str) -> Locator:
    return page.locator("#state").get_by_role("row").filter(has_text=pixel)


def logged(page: Page) -> Locator:
    """The newest row of the log that is about the second pixel."""
    return page.locator("#rows").get_by_role("row").filter(has_text=SECOND).first


def states(product: Product, user: str) -> set[str]:
    """Of the user's deliveries to the second pixel."""
    query = (
        "SELECT d.state FROM postbacks_delivery d JOIN audience_conversion c ON c.id = d.conversion_id "
        "JOIN postbacks_postbackconfig p ON p.id = d.config_id WHERE c.user_id = %s AND p.pixel_id = %s"
    )
    return {state for (state,) in product.rows(query, user, SECOND)}
