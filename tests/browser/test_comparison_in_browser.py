"""A marketer finds out in a browser why TikTok shows fewer conversions than Afterclick."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from audience.models import Game
from postbacks.models import PostbackConfig
from tests import factories
from tests.browser import axe
from tests.sdk.conftest import packages as packages


def sold(config: PostbackConfig, number: int, state: str, *, properties: Any = None, **given: Any) -> None:
    """Purchases of players who clicked an ad of the network, with one delivery each."""
    for _ in range(number):
        player = factories.person(config.game)
        fields: dict[str, Any] = {"properties": properties} if properties else {}
        click, now = factories.touch(player), timezone.now()
        at = now - timedelta(minutes=1)
        row = factories.conversion(player, touch=click, event_at=at, fanned_out_at=now, **fields)
        factories.delivery(config, conversion=row, state=state, attempts_made=int(state == "delivered"), **given)


def forty_two(config: PostbackConfig) -> None:
    sold(config, 4, "delivered")
    sold(config, 3, "delivered", properties={"value": 9.99})
    sold(config, 12, "skipped", reason="consent")
    sold(config, 20, "skipped", reason="no_match_key")
    sold(config, 3, "held")


def test_from_a_missing_number_to_its_reasons_and_rows(marketer: Page, game: Game) -> None:
    config, page = factories.config(game, time_zone="Asia/Tokyo"), marketer
    forty_two(config)
    page.goto(f"/g/{game.slug}/integrations/tiktok/")
    section = page.get_by_role("region", name="Compare with TikTok Ads")
    expect(section).to_contain_text("Expect at most 7 in the report of TikTok Ads.")
    expect(section).to_contain_text("It accepted 7 of 42 eligible conversions")
    findings = section.get_by_role("listitem")
    expect(findings).to_have_count(4)
    expect(findings.nth(0)).to_contain_text("20 not sent: no match key")
    expect(findings.nth(1)).to_contain_text("12 not sent: no consent")
    expect(findings.nth(2)).to_contain_text("3 on hold: TikTok Ads refused the credential")
    expect(findings.nth(3)).to_contain_text("3 sent without value: no currency")

    section.get_by_role("link", name="Compare by day").click()
    page.wait_for_url("**/integrations/tiktok/compare/")
    expect(page.get_by_text("Asia/Tokyo").first).to_be_visible()
    page.get_by_label("What “Accepted” counts").first.click()
    expect(page.get_by_text("Compare this number with the network's report.").first).to_be_visible()
    page.get_by_role("listitem").filter(has_text="no consent").get_by_role("link", name="12").click()
    page.wait_for_url("**/integrations/tiktok/deliveries/**")
    expect(page.get_by_role("heading", name="Not sent: No consent")).to_be_visible()
    expect(page.locator("tr[id^=delivery-]")).to_have_count(12)
    page.get_by_role("link", name="Purchase").first.click()
    expect(page.get_by_role("heading", name="Consent in force")).to_be_visible()


def test_the_time_zone_is_changed_on_the_form_of_the_postback(marketer: Page, game: Game) -> None:
    config, page = factories.config(game), marketer
    sold(config, 1, "delivered")
    page.goto(f"/g/{game.slug}/integrations/tiktok/compare/")
    page.get_by_role("link", name="change", exact=True).click()
    page.get_by_label("Time zone of the ad account").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/tiktok/")
    assert PostbackConfig.objects.get().time_zone == "Asia/Tokyo"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_comparison_fits_the_window_and_is_accessible(
    marketer: Page, game: Game, packages: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    config, page = factories.config(game), marketer
    factories.config(game, pixel_id="C0SECONDPIXEL0000000")
    forty_two(config)
    axe.load(page, packages / "axe-core" / "axe.min.js")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("integrations/tiktok/compare/", "integrations/tiktok/deliveries/?only=accepted", "conversions/", ""):
        page.goto(f"/g/{game.slug}/{path}")
        page.evaluate("document.querySelectorAll('.explain').forEach((each) => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert axe.violations(page) == [], path
