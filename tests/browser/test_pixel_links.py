"""Links on a studio's pages, and links to its other domains, which pass through the server."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from audience.games.keys import NewKey
from tests.browser.studio import Studio, paths, stored, until
from tests.browser.studio import site as site
from tests.browser.studio import visitor as visitor

# Adds a link, clicks it and returns where it led.
CLICK = """
([href, init]) => {
  const link = document.createElement("a")
  link.href = href
  link.textContent = "Link"
  document.body.append(link)
  link.addEventListener("click", (e) => e.preventDefault())
  link.addEventListener("auxclick", (e) => e.preventDefault())
  link.dispatchEvent(new MouseEvent(init.type, {bubbles: true, cancelable: true, ...init}))
  return link.getAttribute("href")
}
"""


def clicked(page: Page, href: str, **init: Any) -> Any:
    return page.evaluate(CLICK, [href, {"type": "click", **init}])


@pytest.mark.parametrize("domains", ["", "shop.example"])
@pytest.mark.parametrize(
    "href", ["mailto:team@game.example", "tel:+4930123456", "javascript:void 0", "#top", "/shop", "steam://run/480"]
)
def test_links_that_lead_to_no_other_host_stay_as_they_are(
    visitor: BrowserContext, site: Studio, domains: str, href: str
) -> None:
    site.install(proxied=True, consent="full", **({"domains": domains} if domains else {}))
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    assert clicked(page, href) == href
    page.wait_for_timeout(200)
    stored(page, 1)


def test_a_link_to_another_domain_of_the_studio_passes_through_the_server(
    visitor: BrowserContext, site: Studio, key: NewKey
) -> None:
    site.install(proxied=True, consent="full", domains="shop.example,store.example:9")
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    target = "http%3A%2F%2Fstore.example%3A9%2Fapp%2F7%3Fa%3D1"
    expected = f"{site.site}/e/s/to?key={key.value}&to={target}"
    assert clicked(page, "http://store.example:9/app/7?a=1") == expected
    assert clicked(page, "http://elsewhere.example/") == "http://elsewhere.example/"
    assert [event.properties.get("host") for event in stored(page, 3)] == [None, "store.example:9", "elsewhere.example"]


def test_without_consent_links_stay_as_they_are(visitor: BrowserContext, site: Studio) -> None:
    site.install(proxied=True, consent="none", domains="store.example:9")
    page = visitor.new_page()
    page.goto("/")
    assert clicked(page, "http://store.example:9/app/7") == "http://store.example:9/app/7"


def test_the_menu_of_a_link_is_no_click(visitor: BrowserContext, site: Studio) -> None:
    page = visitor.new_page()
    page.goto("/")
    stored(page, 1)
    clicked(page, "http://store.example:9/menu", type="auxclick", button=2)
    clicked(page, "http://store.example:9/tab", type="auxclick", button=1)
    events = stored(page, 2)
    assert events[-1].properties == {"host": "store.example:9", "path": "/tab"}


@pytest.mark.parametrize("token", ["%", "%E0%A4%A", "forged", "a" * 5000])
def test_a_token_that_is_not_valid_changes_nothing(visitor: BrowserContext, site: Studio, token: str) -> None:
    site.install(proxied=True, consent="full")
    page = visitor.new_page()
    page.goto(f"/?ttclid=E.C.P.1&ac_aid={token}")
    assert paths(stored(page, 1)) == ["?ttclid=E.C.P.1"]
    until(page, lambda: "ac_aid" not in page.url)
