"""A marketer in Tokyo finds last night's outage of a network: its chart, the calls and their wait, and the alert."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from playwright.sync_api import Page, expect

from audience.models import Game
from postbacks.models import Alert, AlertEnding, PostbackConfig
from postbacks.reporting.campaigns import refresh
from tests import factories

TOKYO = ZoneInfo("Asia/Tokyo")
AFTER = "(time) => getComputedStyle(time, '::after').content"


def last_night(hour: int, minute: int) -> datetime:
    """A moment of yesterday evening in Tokyo."""
    yesterday = timezone.now().astimezone(TOKYO).date() - timedelta(days=1)
    return datetime.combine(yesterday, time(hour, minute), TOKYO).astimezone(UTC)


def outage(config: PostbackConfig) -> None:
    """Three purchases whose first calls failed from 22:15 on, and that were delivered at 23:45."""
    for number in range(3):
        at = last_night(22, 15 + number)
        player = factories.person(config.game, user=f"player-{number}")
        sums: dict[str, Any] = {"properties": {"value": 9.99, "currency": "USD", "order_id": f"order-{number}"}}
        click = factories.touch(player, clicked_at=at - timedelta(hours=1))
        row = factories.conversion(
            player, touch=click, event_at=at, fanned_out_at=at, user_id=f"player-{number}", **sums
        )
        delivery = factories.delivery(config, conversion=row, state="delivered", attempts_made=2)
        failed = {"status": "retried", "verdict": "transient", "http_status": 503, "message": "Service unavailable"}
        factories.attempt(delivery, started_at=at, **failed)
        factories.attempt(delivery, started_at=last_night(23, 45))
    times = {"opened_at": last_night(22, 15), "recovered_at": last_night(23, 45)}
    cause = "TikTok Ads answers with HTTP 503."
    Alert.objects.create(
        game=config.game, config=config, health="degraded", cause=cause, ending=AlertEnding.RECOVERED, **times
    )


def test_last_nights_outage_in_tokyos_time_zone(marketer: Page, game: Game) -> None:
    page = marketer
    outage(factories.config(game))
    refresh.refresh()
    yesterday = last_night(22, 15).astimezone(TOKYO)
    day = f"{yesterday:%b} {yesterday.day}"

    page.get_by_role("link", name="Time zone").first.click()
    page.get_by_label("Time zone", exact=True).select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Times are shown in Asia/Tokyo.")).to_be_visible()

    page.goto(f"/g/{game.slug}/")
    page.get_by_role("link", name="Last night").click()
    row = page.get_by_role("row").filter(has_text="TikTok Ads")
    expect(row.locator("td[data-label='Accepted']")).to_contain_text("3")
    page.locator("#to-tiktok").click()
    page.wait_for_url("**/integrations/tiktok/")

    log = page.get_by_role("region", name="Delivery logs")
    log.get_by_role("link", name="Last night").click()
    bar = page.get_by_role("link", name=re.compile(rf"{day}, \d+, 22:00: 0 success, 3 retried, 0 failed"))
    expect(bar).to_have_count(1)
    bar.press("Enter")
    page.wait_for_url("**from_time=22%3A00**")

    expect(log.locator("#other-dates")).to_have_text(f"{day}, 22:00 – 23:00 JST")
    calls = log.locator("tbody tr")
    expect(calls).to_have_count(3)
    expect(calls.first).to_contain_text("Retried")
    expect(calls.first).to_contain_text("Service unavailable")
    expect(calls.first).to_contain_text("9.99 USD")

    log.get_by_label("Find by ID").fill("order-0")
    log.get_by_role("button", name="Filter").click()
    expect(calls).to_have_count(2)
    expect(calls.first).to_contain_text("1 h 30 min after the event")
    expect(calls.first).to_contain_text("player-0")
    calls.first.get_by_role("link", name="player-0").click()
    page.wait_for_url("**/people/**")

    page.goto(f"/g/{game.slug}/alerts/?range=night")
    expect(page.locator("#rows")).to_contain_text(f"{day}, 22:15 – 23:45 JST, 1 h 30 min")
    moment = page.locator("#rows time").first
    assert moment.evaluate(AFTER) == "none"
    moment.focus()
    assert f"{day}, {yesterday.year}, 22:15:00 JST" in moment.evaluate(AFTER)
    page.get_by_role("link", name="Calls during this time").click()
    expect(log.locator("tbody tr")).to_have_count(3)


def test_a_tap_shows_the_exact_moment_without_javascript(browser: Any, live_server: Any, game: Game) -> None:
    from django.conf import settings

    from audience.models import Role
    from tests import hub

    outage(factories.config(game))
    cookie = hub.member(game, Role.VIEWER).cookies[settings.SESSION_COOKIE_NAME].value
    context = browser.new_context(
        base_url=live_server.url, has_touch=True, java_script_enabled=False, viewport={"width": 390, "height": 844}
    )
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    page.goto(f"/g/{game.slug}/alerts/")
    before = page.locator("#rows time").first.bounding_box()
    page.locator("#rows time").first.tap()
    after = page.locator("#rows time").first.bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] > before["height"]
    context.close()
