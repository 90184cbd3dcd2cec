"""A session that ends while a form is open, and the browser's Back in a side panel."""

import re
from typing import Any

from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from audience.models import ApiKey, Game
from postbacks.models import GameGoal
from tests import hub
from tests.browser import rows


def sign_in_again(page: Page, name: str) -> None:
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    page.get_by_label("Email").fill(f"{name}@studio.example")
    page.get_by_label("Password").fill(hub.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("You were signed out, and nothing was changed.")).to_be_visible()


def test_a_form_is_saved_after_its_session_has_ended(admin: Page, game: Game) -> None:
    admin.goto(f"/g/{game.slug}/goals/add/")
    admin.get_by_label("Name", exact=True).fill("VIP <b>player</b>")
    admin.locator("[name=event]").fill("vip_reached")
    Session.objects.all().delete()
    admin.get_by_role("button", name="Save").click()
    sign_in_again(admin, "admin")
    assert not GameGoal.objects.exists()
    expect(admin.get_by_label("Name", exact=True)).to_have_value("VIP <b>player</b>")
    admin.get_by_role("button", name="Save").click()
    admin.wait_for_url(f"**/g/{game.slug}/goals/")
    assert GameGoal.objects.get().name == "VIP <b>player</b>"


def test_a_form_in_the_panel_comes_back_on_its_page(marketer: Page, game: Game) -> None:
    marketer.goto(f"/g/{game.slug}/integrations/tiktok/")
    marketer.get_by_role("link", name="+ Add postback").first.click()
    panel = marketer.locator("#panel")
    panel.get_by_label("Pixel code").fill("CPIXEL0123456789ABCD")
    panel.get_by_label("Access token").fill("f" * 40)
    panel.get_by_label("Purchase (purchase)").first.check()
    Session.objects.all().delete()
    panel.get_by_role("button", name="Save").click()
    sign_in_again(marketer, "marketer")
    assert marketer.url.endswith(f"/g/{game.slug}/integrations/tiktok/add/")
    expect(marketer.get_by_label("Pixel code")).to_have_value("CPIXEL0123456789ABCD")
    expect(marketer.get_by_label("Access token")).to_have_value("")
    expect(marketer.get_by_label("Purchase (purchase)").first).to_be_checked()


def test_a_poll_does_not_leave_a_page_with_something_entered(admin: Page, game: Game) -> None:
    admin.goto(f"/g/{game.slug}/alerts/")
    admin.get_by_label("In a daily digest", exact=True).check()
    Session.objects.all().delete()
    admin.evaluate("htmx.trigger('#rows', 'every')")
    with admin.expect_response(lambda answer: answer.url.endswith("/alerts/"), timeout=20_000) as polled:
        pass
    assert polled.value.headers.get("hx-redirect", "").startswith("/accounts/login/")
    expect(admin.get_by_role("heading", name="Email notifications")).to_be_visible()
    admin.locator("form.narrow").get_by_role("button", name="Save").click()
    sign_in_again(admin, "admin")
    expect(admin.get_by_label("In a daily digest", exact=True)).to_be_checked()


def test_the_browsers_back_closes_the_panel(admin: Page, game: Game) -> None:
    rows.fill(game)
    page, url = admin, f"/g/{game.slug}/integrations/tiktok/"
    page.goto(f"/g/{game.slug}/")
    page.goto(url)
    panel, attempt = page.locator("#panel"), page.locator("a[data-panel]").first
    for _ in range(2):
        attempt.click()
        expect(panel).to_be_visible()
        expect(page.locator("#panel-title")).to_be_focused()
        page.go_back()
        expect(panel).not_to_be_visible()
        assert page.url.endswith(url)
    attempt.click()
    expect(page.locator("#panel-title")).to_be_focused()
    panel.get_by_role("button", name="Close").click()
    expect(panel).not_to_be_visible()
    page.wait_for_timeout(200)
    page.go_back()
    expect(page).to_have_url(re.compile(rf"/g/{game.slug}/$"))


def test_closing_the_panel_after_a_filter_does_not_load_the_page_again(admin: Page, game: Game) -> None:
    rows.fill(game)
    page = admin
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    page.locator("#status-failed").or_(page.locator("[id^=status-]").nth(1)).first.click()
    page.wait_for_url(re.compile(r"status="))
    page.evaluate("window.isSame = true")
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.resource_type))
    page.locator("#postbacks a[data-panel], a[data-panel]").first.click()
    expect(page.locator("#panel-title")).to_be_focused()
    loaded.clear()
    page.locator("#panel").get_by_role("button", name="Close").click()
    page.wait_for_timeout(300)
    assert page.evaluate("window.isSame")
    assert re.search(r"status=", page.url)


def test_the_api_documentation_is_dark_where_the_system_is(page: Page, live_server: Any) -> None:
    backgrounds = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto("/api/docs/")
        expect(page.locator(".opblock").first).to_be_visible(timeout=60_000)
        backgrounds[scheme] = page.evaluate(
            "[getComputedStyle(document.documentElement), getComputedStyle(document.body)]"
            ".map(s => s.backgroundColor).find(c => c !== 'rgba(0, 0, 0, 0)') || 'canvas'"
        )
        is_dark = page.evaluate("document.documentElement.classList.contains('dark-mode')")
        assert is_dark is (scheme == "dark")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class(re.compile("dark-mode"))
    assert backgrounds["light"] != backgrounds["dark"]


def test_no_key_was_made_in_between(admin: Page, game: Game) -> None:
    admin.goto(f"/g/{game.slug}/keys/new/")
    admin.get_by_label("Name", exact=True).fill("backend")
    Session.objects.all().delete()
    admin.get_by_role("button", name="Create").or_(admin.locator("form.form button.primary")).first.click()
    sign_in_again(admin, "admin")
    assert not ApiKey.objects.exists()
    expect(admin.get_by_label("Name", exact=True)).to_have_value("backend")
