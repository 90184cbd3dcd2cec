"""Placeholders of pending requests in a real browser, and the check of a form that was closed."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from audience.models import Game
from postbacks.configs import credentials
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests.browser import rows

SIZE = "(part) => [part.offsetWidth, part.offsetHeight]"
LINES = "(part) => [getComputedStyle(part, '::before').opacity, getComputedStyle(part, '::before').animationName]"


@pytest.fixture
def held(marketer: Page, game: Game) -> list[Route]:
    """Answers to what the marketer asks for, not to what refreshes itself, wait here until the test lets them go."""
    rows.fill(game)
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        asked = route.request.headers.get("hx-boosted")
        waiting.append(route) if asked else route.continue_()

    marketer.route("**/g/**", hold)
    return waiting


PARTS: dict[str, tuple[str, str, Callable[[Page], Any]]] = {
    "log": ("integrations/tiktok/", "#log-rows", lambda page: page.get_by_role("link", name="Last hour").click()),
    "overview": ("", ".awaited", lambda page: page.locator("#range-7d").click()),
    "period": ("conversions/", ".awaited", lambda page: page.locator("#range-30d").click()),
    "step": ("conversions/", ".awaited", lambda page: page.locator("#step-attributed").click()),
    "search": ("conversions/", ".awaited", lambda page: page.get_by_label("Search").press("Enter")),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_placeholder_lines_are_shown_while_a_request_is_pending(
    marketer: Page, game: Game, held: list[Route], part: str, motion: Any
) -> None:
    path, place, act = PARTS[part]
    marketer.emulate_media(reduced_motion=motion)
    marketer.goto(f"/g/{game.slug}/{path}")
    marketer.evaluate("window.neverReloaded = true")
    awaited = marketer.locator(place).last
    size = awaited.evaluate(SIZE)
    expect(marketer.locator(".awaited.htmx-request")).to_have_count(0)
    act(marketer)
    expect(awaited).to_have_class("awaited htmx-request")
    marketer.wait_for_timeout(350)
    opacity, names = awaited.evaluate(LINES)
    assert names == ("appear" if motion == "reduce" else "appear, breathe-in")
    assert float(opacity) > 0.4
    assert awaited.locator("> *").evaluate("(inside) => getComputedStyle(inside).opacity") == "0"
    assert awaited.evaluate(SIZE) == size
    focused = marketer.evaluate("document.activeElement.id")
    for route in held:
        route.continue_()
    expect(marketer.locator(".awaited.htmx-request")).to_have_count(0)
    assert marketer.evaluate("window.neverReloaded")
    assert focused
    assert marketer.evaluate("document.activeElement.id") == focused


def test_a_polling_list_shows_no_placeholder_lines(marketer: Page, game: Game) -> None:
    rows.fill(game)
    marketer.goto(f"/g/{game.slug}/")
    with marketer.expect_request(lambda request: "hx-request" in request.headers, timeout=20_000):
        marketer.wait_for_timeout(10_500)
    expect(marketer.locator(".awaited.htmx-request")).to_have_count(0)


def test_a_filter_is_announced_and_works_with_sharing_and_going_back(marketer: Page, game: Game) -> None:
    rows.fill(game)
    marketer.goto(f"/g/{game.slug}/")
    chosen = marketer.locator("#range-7d")
    chosen.click()
    marketer.wait_for_url("**/?range=7d")
    expect(chosen).to_have_attribute("aria-current", "true")
    expect(marketer.locator("#viewed")).to_have_text("The overview shows the last 7 days.")
    assert marketer.locator("#rows").get_attribute("hx-get") == f"/g/{game.slug}/?range=7d"
    expect(marketer.locator("main")).to_have_count(1)
    marketer.go_back()
    expect(marketer.locator("#range-24h")).to_have_attribute("aria-current", "true")
    expect(marketer.locator(".rail")).to_be_visible()


def fill(page: Page, token: str) -> None:
    panel = page.get_by_role("dialog")
    panel.get_by_label("Access token").fill(token)
    panel.get_by_label("Pixel code").fill(TIKTOK_ACCOUNTS.pixel)
    panel.get_by_role("group", name="Trigger events").get_by_label("Purchase (purchase)").check()


def test_a_form_closed_during_a_check_is_kept(marketer: Page, game: Game, sandbox: Sandbox) -> None:
    page, panel, line = marketer, marketer.get_by_role("dialog"), marketer.locator("#asked")
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    page.get_by_role("link", name="+ Add postback").click()
    fill(page, "0" * 40)
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_contain_text("Checking with TikTok Ads…")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("link", name="+ Add postback")).to_be_focused()
    expect(line).to_contain_text("Checking with TikTok Ads…")
    expect(line).to_contain_text("Your input is kept")
    expect(line.get_by_role("button", name="Discard")).to_be_hidden()

    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    expect(line.get_by_role("alert")).to_contain_text("Access token is incorrect or has been revoked")
    expect(line).to_contain_text("Nothing was saved.")
    line.get_by_role("link", name="Back to form").click()
    expect(panel.get_by_role("heading", name="Add postback")).to_be_focused()
    expect(panel.get_by_label("Access token")).to_have_value("0" * 40)
    expect(panel.get_by_role("alert")).to_contain_text("Access token is incorrect or has been revoked")
    expect(line).to_be_empty()
    assert not PostbackConfig.objects.exists()

    panel.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.token)
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_contain_text("Checking with TikTok Ads…")
    panel.get_by_role("button", name="Close").click()
    expect(line).to_contain_text("Checking with TikTok Ads…")
    credentials.run_check(check_id=str(CredentialCheck.objects.order_by("-created_at")[0].pk))
    expect(page.locator("#said")).to_contain_text(f"The postback for {TIKTOK_ACCOUNTS.pixel} was saved.")
    expect(page.locator("#state").get_by_role("row").filter(has_text=TIKTOK_ACCOUNTS.pixel)).to_be_visible()
    expect(line).to_be_empty()


def test_a_refused_form_can_be_discarded(marketer: Page, game: Game, sandbox: Sandbox) -> None:
    page, panel, line = marketer, marketer.get_by_role("dialog"), marketer.locator("#asked")
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    page.get_by_role("link", name="+ Add postback").click()
    fill(page, "0" * 40)
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_contain_text("Checking with TikTok Ads…")
    panel.get_by_role("link", name="Cancel").click()
    credentials.run_check(check_id=str(CredentialCheck.objects.get().pk))
    line.get_by_role("button", name="Discard").click()
    expect(line).to_be_empty()
    page.get_by_role("link", name="+ Add postback").click()
    expect(panel.get_by_label("Access token")).to_have_value("")
