"""The claim page on a phone: from the ad to the sign-in with Steam, and what the game's back end tells afterward."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from audience.digest import queue
from audience.games.keys import create_key
from audience.intake.requests.visitor_cookies import ID_COOKIE, TWIN_COOKIE
from audience.models import ClaimCode, Conversion, Game, Join, KeyKind
from postbacks.delivery import sending
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience.immutable import digest, launch, purchase
from tests.browser import test_every_page as every_page
from tests.browser.test_every_page import axe_core as axe_core
from tests.postbacks.claiming import ANNA, BROWSER
from tests.sdk.conftest import packages as packages

PHONE = {"width": 390, "height": 844}


def claim_page(game: Game, *joins: str) -> str:
    game.joins, game.reward_text = list(joins), "Connect your account and get the Comet skin."
    game.save()
    return f"/claim/{game.slug}/"


def test_from_the_ad_by_steam_to_the_postback(page: Page, live_server: Any, game: Game, sandbox: Sandbox) -> None:
    address = claim_page(game, "steam")
    factories.config(game)
    page.set_viewport_size(PHONE)
    page.goto(f"{address}?ttclid=T-browser")
    expect(page.get_by_text("get the Comet skin")).to_be_visible()
    expect(page.get_by_text("Imitation of Steam:")).to_be_visible()
    page.get_by_role("link", name="Sign in with Steam").click()
    expect(page.get_by_role("heading", name="Imitation of Steam")).to_be_visible()
    page.get_by_role("link", name="Sign in as anna").click()
    expect(page.get_by_role("status")).to_have_text(
        f"Your Steam account ending in {ANNA[-4:]} is connected with this browser."
    )
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies(live_server.url)}
    assert (cookies[ID_COOKIE]["httpOnly"], cookies[TWIN_COOKIE]["httpOnly"]) == (False, True)
    assert Join.objects.get().anonymous_id == cookies[ID_COOKIE]["value"]
    now = datetime.now(UTC).isoformat()
    backend = create_key(game=game, name="Backend", kind=KeyKind.PUBLISHABLE)
    digest(backend, launch(ANNA, eventTimestamp=now), purchase(ANNA, eventTimestamp=now))
    queue.drain()
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)
    assert {row.touch and row.touch.click_id for row in Conversion.objects.all()} == {"T-browser"}
    received = sandbox.received("tiktok")
    assert len(received) == 2
    assert all("T-browser" in str(row["body"]) for row in received)


def test_a_canceled_sign_in_can_be_repeated(page: Page, live_server: Any, game: Game, sandbox: Sandbox) -> None:
    address = claim_page(game, "steam")
    page.goto(address)
    page.get_by_role("link", name="Sign in with Steam").click()
    page.get_by_role("link", name="Sign in as ben").wait_for()
    page.goto(address)
    page.get_by_role("link", name="Sign in with Steam").click()
    page.get_by_role("link", name="Sign in as ben").click()
    expect(page.get_by_role("link", name="Use another Steam account")).to_be_visible()


def test_the_code_and_the_contact_work_without_a_script(page: Page, live_server: Any, game: Game) -> None:
    page.goto(claim_page(game, "code", "discord"))
    page.get_by_role("button", name="Show my code").click()
    expect(page.locator("#claim-code")).to_have_text(re.compile(r"[A-Z2-9]{4}-[A-Z2-9]{4}"))
    assert ClaimCode.objects.count() == 1
    page.get_by_label("Discord name", exact=True).fill("ada")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("This browser is connected with you as a player.")
    assert Join.objects.get().player_id == "ada"


def test_the_page_is_usable_by_everybody(page: Page, live_server: Any, game: Game, axe_core: Path) -> None:
    address = claim_page(game, "steam", "code", "email", "discord")
    page.context.add_cookies([{"name": ID_COOKIE, "value": BROWSER, "url": live_server.url}])
    Join.objects.create(game=game, kind="steam", anonymous_id=BROWSER, player_id=ANNA, key="k")
    every_page.all_well(page, {"joined": address}, axe_core)
    page.context.clear_cookies()
    Game.objects.update(strict_consent=True)
    every_page.all_well(page, {"strict": address}, axe_core)
