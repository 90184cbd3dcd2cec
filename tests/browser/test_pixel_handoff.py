"""A visitor who follows a link to another domain of the studio keeps the id, if consent and signature allow it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from audience.games.keys import NewKey
from audience.models import Event
from tests.browser import studio
from tests.browser.studio import Studio, stored, until
from tests.browser.studio import site as site
from tests.browser.studio import visitor as visitor


@pytest.fixture
def shop(live_server: Any, key: NewKey, site: Studio) -> Iterator[Studio]:
    """Another website of the studio, on another host; `site` links to it."""
    with studio.running(live_server.url, key.value) as other:
        other.site = other.site.replace("localhost", "127.0.0.1")
        site.install(proxied=True, consent="full", domains=other.site.removeprefix("http://"))
        other.install(proxied=True, consent="full")
        key.key.allowed_origins = [site.site, other.site]
        key.key.save()
        yield other


def landed(visitor: BrowserContext, site: Studio) -> Page:
    page = visitor.new_page()
    page.goto(f"{site.site}/?ttclid=E.C.P.1")
    stored(page, 1)
    until(page, lambda: len(visitor.cookies(site.site)) == 2)
    return page


def follow(page: Page, url: str) -> None:
    """Click a link to the URL that is added to the page."""
    page.evaluate(
        """(url) => {
            const link = Object.assign(document.createElement("a"), {href: url, id: "shop", textContent: "Shop"})
            document.body.append(link)
        }""",
        url,
    )
    page.click("#shop")
    page.wait_for_url("**/buy*")


def test_the_id_is_the_same_on_the_other_domain(visitor: BrowserContext, site: Studio, shop: Studio) -> None:
    page = landed(visitor, site)
    follow(page, f"{shop.site}/buy?item=7&utm_source=site")
    events = stored(page, 3)
    assert [event.name for event in events] == ["", "outbound_link_clicked", ""]
    assert len({event.anonymous_id for event in events}) == 1
    assert page.url == f"{shop.site}/buy?item=7&utm_source=site"
    assert events[-1].context["page_url"] == f"{shop.site}/buy?utm_source=site"
    until(page, lambda: {one["value"] for one in visitor.cookies(shop.site)} == {events[0].anonymous_id})


def test_without_consent_on_the_other_domain_the_id_is_not_stored(
    visitor: BrowserContext, site: Studio, shop: Studio
) -> None:
    shop.install(proxied=True, consent="none")
    page = landed(visitor, site)
    follow(page, f"{shop.site}/buy")
    page.wait_for_timeout(400)
    assert page.url == f"{shop.site}/buy"
    assert Event.objects.filter(kind="page").count() == 1
    assert {one["domain"] for one in visitor.cookies()} == {"localhost"}


def test_a_token_that_was_changed_is_ignored(visitor: BrowserContext, site: Studio, shop: Studio) -> None:
    page = visitor.new_page()
    page.goto(f"{shop.site}/buy?ac_aid=WyJwbGFudGVkLWlkIl0%3A1abc%3Asignature#top")
    (event,) = stored(page, 1)
    assert "planted" not in event.anonymous_id
    assert page.url == f"{shop.site}/buy#top"
