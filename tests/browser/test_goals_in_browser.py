"""A marketer adds goals in a browser, with a server, a worker and imitated networks."""

import pytest
from playwright.sync_api import Page, expect

from audience.models import Game
from postbacks.models import CredentialCheck, PostbackConfig
from postbacks.networks.tiktok.imitation import ACCOUNTS as TIKTOK_ACCOUNTS
from postbacks.sandbox.server import Sandbox
from tests import factories


def test_a_goal_with_a_mistake_is_corrected_and_saved(
    marketer: Page, game: Game, sandbox: Sandbox, worker: None
) -> None:
    page = marketer
    page.goto(f"/g/{game.slug}/integrations/tiktok/add/")
    page.get_by_label("Access token").fill(TIKTOK_ACCOUNTS.token)
    page.get_by_label("Pixel code").fill(TIKTOK_ACCOUNTS.pixel)
    page.get_by_text("More goals").click()
    goal = page.get_by_role("group", name="Goal 1", exact=True)
    goal.get_by_label("Event name").fill("purchase")
    goal.get_by_label("Sent to TikTok Ads as").select_option("Subscribe")
    goal.get_by_label("Only if the property").fill("value")
    goal.get_by_label("Comparison").select_option("is more than")
    goal.get_by_label("Value").fill("ten")
    goal.get_by_label("Once per player").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
    expect(goal).to_contain_text("Enter a number: “is more than” compares numbers.")
    assert not CredentialCheck.objects.exists()

    goal.get_by_label("Value").fill("10")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**/g/{game.slug}/integrations/tiktok/")
    row = page.get_by_role("row").filter(has_text=TIKTOK_ACCOUNTS.pixel)
    expect(row).to_contain_text("Purchase, if value is more than 10, once per player, as Subscribe")
    assert PostbackConfig.objects.get().triggers == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_goals_fit_the_window(marketer: Page, game: Game, width: int, scheme: str) -> None:
    condition = {"property": "cart.total_including_everything", "op": "in", "value": ["1" * 40, "2" * 40]}
    goals = [{"event": "a_rather_long_name_of_an_event_" * 3, "once": True, "condition": condition}]
    config, page = factories.config(game, goals=goals), marketer
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("", f"{config.pk}/edit/"):
        page.goto(f"/g/{game.slug}/integrations/tiktok/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
