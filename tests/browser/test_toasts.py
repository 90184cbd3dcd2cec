"""Toasts in a real browser: announced, dismissed by keyboard, without moving the focus; messages without JavaScript."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from audience.models import Game
from tests import factories

# What is put into a live region after it was there: only that is announced.
WATCH = """document.addEventListener('DOMContentLoaded', () => {
    window.announced = [];
    new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => {
        const region = node.parentElement?.closest('[role=status], [role=alert], [aria-live]');
        if (node.dataset?.toast && region) window.announced.push([region.id, node.textContent.trim()]);
    }))).observe(document.body, {childList: true, subtree: true});
})"""
FOCUS = "document.activeElement.id || document.activeElement.tagName"


@pytest.fixture
def switched(marketer: Page, game: Game) -> Page:
    """A marketer who has just switched a postback off, on a page whose clock the test moves."""
    config = factories.config(game)
    marketer.clock.install()
    marketer.add_init_script(WATCH)
    marketer.goto(f"/g/{game.slug}/integrations/tiktok/")
    marketer.get_by_label(f"Menu of {config.pixel_id}").click()
    marketer.get_by_role("button", name="Disable").click()
    expect(marketer.locator("#said [data-toast]")).to_contain_text(
        "was disabled. Nothing is sent while it is disabled."
    )
    return marketer


def test_a_toast_is_announced_in_an_existing_live_region(switched: Page) -> None:
    expect(switched.locator("#said")).to_have_attribute("role", "status")
    switched.clock.run_for(1_000)
    told = switched.evaluate("window.announced")
    assert [region for region, _ in told] == ["said"]
    assert told[0][1].endswith("was disabled. Nothing is sent while it is disabled.")
    assert switched.evaluate(FOCUS) == "BODY"


def test_a_toast_disappears_after_its_time(switched: Page) -> None:
    toast = switched.locator("[data-toast]")
    switched.clock.run_for(9_000)
    expect(toast).to_be_visible()
    switched.clock.run_for(2_000)
    expect(toast).to_have_count(0)


def test_a_toast_with_focus_or_pointer_stays(switched: Page) -> None:
    toast = switched.locator("[data-toast]")
    toast.get_by_role("button", name="Dismiss").focus()
    switched.clock.run_for(25_000)
    expect(toast).to_be_visible()
    switched.locator("#main").focus()
    switched.clock.run_for(11_000)
    expect(toast).to_have_count(0)


@pytest.mark.parametrize("key", ["Escape", "Enter"])
def test_a_toast_is_dismissed_by_keyboard(switched: Page, key: str) -> None:
    if key == "Enter":
        switched.get_by_role("button", name="Dismiss").focus()
    switched.keyboard.press(key)
    expect(switched.locator("[data-toast]")).to_have_count(0)
    assert switched.evaluate(FOCUS) == ("main" if key == "Enter" else "BODY")


def test_an_error_toast_is_announced_at_once_and_stays(marketer: Page, game: Game) -> None:
    """A form by hand, which names no postback: the page refuses it in a toast."""
    factories.config(game)
    marketer.clock.install()
    marketer.add_init_script(WATCH)
    marketer.goto(f"/g/{game.slug}/alerts/")
    marketer.locator("form[action$='/alerts/choice/'] :checked").evaluate("(one) => (one.value = 'loudly')")
    marketer.locator("form[action$='/alerts/choice/'] button").click()
    toast = marketer.locator("#refused [data-toast]")
    expect(toast).to_contain_text("Nothing was saved. Select one of the four options.")
    expect(marketer.locator("#refused")).to_have_attribute("aria-live", "assertive")
    marketer.clock.run_for(60_000)
    assert [region for region, _ in marketer.evaluate("window.announced")] == ["refused"]
    expect(toast).to_be_visible()


def test_messages_of_an_htmx_response_are_toasts_even_after_going_back(marketer: Page, game: Game) -> None:
    factories.config(game)
    marketer.goto(f"/g/{game.slug}/integrations/tiktok/")
    marketer.get_by_role("link", name="Last hour").click()
    marketer.wait_for_url("**range=1h")
    marketer.go_back()
    marketer.wait_for_url("**/tiktok/")
    expect(marketer.locator("#range-1h")).not_to_have_attribute("aria-current", "true")
    brought = "<div class='toast' data-toast='success'><p>Done</p><button data-dismiss hidden>Dismiss</button></div>"
    marketer.evaluate("(html) => document.getElementById('said').insertAdjacentHTML('beforeend', html)", brought)
    marketer.get_by_role("button", name="Dismiss").click()
    expect(marketer.get_by_text("Done", exact=True)).to_have_count(0)


def test_without_javascript_messages_are_shown_on_the_page(
    browser: Browser, live_server: Any, marketer: Page, game: Game
) -> None:
    config, state = factories.config(game), marketer.context.storage_state()
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    page.get_by_label(f"Menu of {config.pixel_id}").click()
    page.get_by_role("button", name="Disable").click()
    message = page.get_by_role("status").filter(has_text="was disabled. Nothing is sent while it is disabled.")
    expect(message).to_be_visible()
    expect(page.get_by_role("button", name="Dismiss")).to_have_count(0)
    # Above the page and not over it.
    said, heading = message.locator("[data-toast]").bounding_box(), page.get_by_role("heading", level=1).bounding_box()
    assert said
    assert heading
    assert said["y"] + said["height"] <= heading["y"]
    context.close()
