"""Lists on a phone: how long they are, and what is folded."""

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect

from audience.models import Game, Role
from tests import factories
from tests.browser.conftest import sign_in

PHONE = {"width": 390, "height": 844}
HEIGHT = "document.documentElement.scrollHeight"


def fill(game: Game) -> None:
    """25 conversions with all kinds of outcomes, and losses at every step of the funnel."""
    config = factories.config(game)
    now = timezone.now()
    for number in range(25):
        player = factories.person(game)
        click = factories.touch(player) if number % 5 else None
        conversion = factories.conversion(
            player, touch=click, event_at=now - timedelta(hours=number), fanned_out_at=now
        )
        if click:
            state = ("delivered", "failed", "waiting", "held")[number % 4]
            row = factories.delivery(config, conversion=conversion, state=state, finished_at=now)
            factories.attempt(row, status="failed", message="Invalid value for data.0.properties.value: not a number.")


def test_the_conversions_page_with_25_rows_is_under_3000_pixels_high(page: Page, game: Game) -> None:
    fill(game)
    sign_in(page, game, Role.VIEWER)
    page.set_viewport_size(PHONE)
    page.goto(f"/g/{game.slug}/conversions/")
    expect(page.locator(".conversions tbody tr")).to_have_count(25)
    assert page.evaluate(HEIGHT) < 3000


def test_filters_are_folded_on_a_phone_and_not_on_a_desktop(page: Page, game: Game) -> None:
    fill(game)
    sign_in(page, game, Role.ADMIN)
    for path, field in (("conversions", "Event"), ("events", "Event name"), ("audit-log", "Action")):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(f"/g/{game.slug}/{path}/")
        filters = page.locator(".fold > summary")
        expect(page.get_by_label(field, exact=True)).to_be_visible()
        expect(filters).to_be_hidden()
        page.set_viewport_size(PHONE)
        expect(page.get_by_label(field, exact=True)).to_be_hidden()
        filters.click()
        expect(page.get_by_label(field, exact=True)).to_be_visible()
