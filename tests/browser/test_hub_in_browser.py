"""A marketer and an admin in a browser, with a server, a worker and imitated networks."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from audience.games.keys import create_key
from audience.models import ApiKey, Event, Game, KeyKind, Rejection
from postbacks.models import PostbackConfig, Replay
from postbacks.networks.reddit.imitation import ACCOUNTS as REDDIT_ACCOUNTS
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories

PAGES = (
    *("", "events/", "conversions/", "integrations/", "integrations/tiktok/", "integrations/tiktok/add/"),
    *("integrations/tiktok/preview/", "integrations/tiktok/replays/", "keys/", "keys/new/", "privacy/", "people/"),
)


def test_a_postback_is_refused_with_a_wrong_token_and_listed_with_a_valid_one(
    marketer: Page, game: Game, sandbox: Sandbox, worker: None
) -> None:
    page = marketer
    page.get_by_role("link", name="Integrations").click()
    page.get_by_role("link", name="TikTok Ads").click()
    page.get_by_role("link", name="+ Add postback").click()
    page.get_by_label("Access token").fill("0" * 40)
    page.get_by_label("Pixel code").fill(TIKTOK_ACCOUNTS.pixel)
    page.get_by_role("group", name="Trigger events").get_by_label("Purchase (purchase)").check()
    page.get_by_label("Test event code").fill("TEST12345")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Checking with TikTok Ads…")).to_be_visible()

    refusal = page.get_by_role("alert")
    expect(refusal).to_contain_text("TikTok Ads refused")
    expect(refusal).to_contain_text("Access token is incorrect or has been revoked")
    expect(page.get_by_label("Access token")).to_have_value("0" * 40)
    expect(page.get_by_label("Pixel code")).to_have_value(TIKTOK_ACCOUNTS.pixel)
    expect(page.get_by_role("group", name="Trigger events").get_by_label("Purchase (purchase)")).to_be_checked()
    assert not PostbackConfig.objects.exists()

    page.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.token)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/tiktok/")
    expect(page.locator("#said")).to_contain_text("TikTok Ads accepted the credentials")
    row = page.get_by_role("row").filter(has_text=TIKTOK_ACCOUNTS.pixel)
    expect(row).to_contain_text("Enabled")
    expect(row).to_contain_text("No recent activity")
    assert PostbackConfig.objects.get().triggers == ["purchase"]


def test_a_mistake_in_the_form_is_shown_beside_its_field(marketer: Page, game: Game) -> None:
    page = marketer
    page.goto(f"/g/{game.slug}/integrations/reddit/add/")
    page.get_by_label("Conversion access token").fill("a.b.c")
    page.get_by_label("Pixel ID").fill("not-a-pixel")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
    expect(page.locator("#id_pixel_id_errors")).to_contain_text("This does not look like a Reddit Ads pixel ID.")
    expect(page.locator("#id_triggers_errors")).to_contain_text("Select at least one trigger event.")
    expect(page.get_by_label("Conversion access token")).to_have_value("a.b.c")


def test_the_menu_of_a_postback_edits_switches_and_deletes(marketer: Page, game: Game) -> None:
    config, page = factories.config(game), marketer
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    menu = page.get_by_label(f"Menu of {config.pixel_id}")
    menu.click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Disable")).to_be_hidden()
    menu.click()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("row").filter(has_text=config.pixel_id)).to_contain_text("Disabled")
    page.get_by_label(f"Menu of {config.pixel_id}").click()
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Access token")).to_be_hidden()
    page.get_by_text("Rotate credentials").click()
    expect(page.get_by_label("Access token")).to_have_value("")
    page.goto(f"/g/{game.slug}/integrations/tiktok/{config.pk}/delete/")
    page.get_by_label(f"Enter {config.pixel_id} to confirm").fill(config.pixel_id)
    page.get_by_role("button", name="Delete postback").click()
    expect(page.get_by_text("No postbacks yet")).to_be_visible()


def test_a_delivery_appears_without_reloading(marketer: Page, game: Game) -> None:
    config, page = factories.config(game), marketer
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    expect(page.get_by_text("No deliveries in this time range")).to_be_visible()
    _deliver(config)
    expect(page.locator("#rows").get_by_role("row").filter(has_text="Success")).to_contain_text(
        "Purchase", timeout=10_000
    )


def test_a_live_event_arrives_while_an_opened_row_stays_open(marketer: Page, game: Game) -> None:
    page = marketer
    for number in range(3):
        _event(game, f"first_{number}")
    page.goto(f"/g/{game.slug}/events/")
    page.evaluate("window.neverReloaded = true")
    opened = page.locator(".entry").filter(has_text="first_1")
    opened.locator("summary").click()
    expect(opened.get_by_text("Original message")).to_be_visible()
    opened.locator("pre").first.focus()
    _event(game, "second_1")
    expect(page.locator(".entry").first).to_contain_text("second_1", timeout=10_000)
    expect(opened.locator("pre").first).to_be_visible()
    expect(opened.locator("pre").first).to_be_focused()
    # More than a page of newer ones: the rows that nobody reads go, the opened one stays.
    for number in range(60):
        _event(game, f"third_{number}")
    expect(page.locator(".entry").first).to_contain_text("third_59", timeout=10_000)
    expect(opened.locator("pre").first).to_be_focused()
    page.locator("[data-pause]").check()
    _event(game, "paused_1")
    page.wait_for_timeout(3_500)
    expect(page.get_by_text("paused_1")).to_have_count(0)
    page.locator("[data-pause]").uncheck()
    expect(page.get_by_text("paused_1")).to_be_visible(timeout=10_000)
    page.locator(".entry").first.locator("summary").click()
    expect(page.locator(".entry").first.get_by_text("Original message")).to_be_visible()
    assert page.evaluate("window.neverReloaded")


def test_a_rejection_is_validated_again_in_its_row(marketer: Page, game: Game) -> None:
    page, key = marketer, create_key(game=game, name="web").key
    raw = {"type": "track", "userId": "user-1", "event": "won"}
    errors = [{"field": "event", "code": "OLD", "message": "A rule of yesterday."}]
    given = {"errors": errors, "raw": raw, "route": "batch", "dialect": "rudderstack", "received_at": timezone.now()}
    Rejection.objects.create(game=game, key=key, **given)
    page.goto(f"/g/{game.slug}/events/?status=rejected")
    page.locator(".entry summary").click()
    page.get_by_role("button", name="Validate again").click()
    expect(page.get_by_text("Accepted. The original time of receipt counts")).to_be_visible()
    page.get_by_role("group", name="Status").get_by_role("link", name="All", exact=True).click()
    expect(page.locator(".entry").first).to_contain_text("won")


def test_a_secret_key_is_shown_once(admin: Page, game: Game) -> None:
    page = admin
    page.goto(f"/g/{game.slug}/keys/new/")
    page.get_by_label("Name", exact=True).fill("Payment backend")
    page.get_by_label("Kind").select_option("secret")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy this secret key now")).to_be_visible()
    value = page.locator("#value").inner_text()
    assert ApiKey.objects.get().prefix == value[:24]
    assert value not in page.url
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("cell", name="Payment backend").first).to_be_visible()
    assert value not in page.content()


@pytest.mark.parametrize("width", [390, 768, 900, 1100, 1440])
def test_no_page_scrolls_sideways(admin: Page, game: Game, width: int) -> None:
    page = admin
    _fill(game)
    page.set_viewport_size({"width": width, "height": 844})
    for path in PAGES:
        page.goto(f"/g/{game.slug}/{path}")
        content, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert content <= window, path


def test_the_menu_opens_on_a_phone(admin: Page, game: Game) -> None:
    page = admin
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/g/{game.slug}/")
    expect(page.get_by_role("link", name="API keys").last).to_be_hidden()
    page.locator("summary", has_text="Menu").click()
    page.get_by_role("link", name="API keys").last.click()
    page.wait_for_url("**/keys/")


def test_without_javascript_a_postback_can_still_be_added(
    browser: Browser, live_server: Any, marketer: Page, game: Game, sandbox: Sandbox, worker: None
) -> None:
    state = marketer.context.storage_state()
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"/g/{game.slug}/integrations/reddit/add/")
    page.get_by_label("Conversion access token").fill(REDDIT_ACCOUNTS.token)
    page.get_by_label("Pixel ID").fill(REDDIT_ACCOUNTS.pixel)
    page.get_by_role("group", name="Trigger events").get_by_label("Game Launch (game_launch)").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/integrations/reddit/$"))
    expect(page.locator("#said")).to_contain_text("Reddit Ads accepted the credentials")
    context.close()


def _deliver(config: PostbackConfig) -> None:
    factories.attempt(factories.delivery(config, state="delivered", next_attempt_at=None), ago=timedelta())


def _event(game: Game, name: str) -> None:
    now = timezone.now()
    Event.objects.create(
        game_id=game.pk,
        day=now.date(),
        message_id=name,
        kind="track",
        name=name,
        user_id="user-1",
        event_at=now,
        received_at=now,
        dialect="immutable",
        raw={"eventName": name},
    )


def _fill(game: Game) -> None:
    """A row of everything, with the longest words there are."""
    now, long_id = timezone.now(), "averylongidentifierwithoutanyspaces" * 3
    create_key(game=game, name="A key with a rather long name for a game client")
    create_key(game=game, name="backend", kind=KeyKind.SECRET)
    config = factories.config(game)
    _deliver(config)
    factories.delivery(config, state="failed", verdict="credential", next_attempt_at=None, finished_at=now)
    Replay.objects.create(game=game, config=config, total=10_000, failed_until=now)
    Event.objects.create(
        game_id=game.pk,
        day=now.date(),
        message_id=long_id,
        kind="track",
        name=long_id,
        user_id=long_id,
        event_at=now,
        received_at=now,
        dialect="rudderstack",
    )
    errors = [{"field": "properties." + long_id, "code": "INVALID", "message": long_id}]
    Rejection.objects.create(game=game, dialect="immutable", received_at=now, errors=errors, raw={}, subjects=[long_id])
