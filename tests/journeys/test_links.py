"""A click on a tracking link over a socket, up to the postback of the purchase."""

from urllib.parse import urlsplit

import urllib3

from tests.journeys.product import Browser, Product, ago
from tests.journeys.test_journeys import event, link, sent_with

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0"


def test_a_click_on_a_link_made_in_the_hub_becomes_a_postback(product: Product, marketer: Browser) -> None:
    game = product.demo["game"]
    fields = {"name": "Journey", "slug": "journey", "destination": "https://store.steampowered.com/app/480/"}
    marketer.post(f"/g/{game}/links/add/", {**fields, "utm_campaign": "Journey"})
    answer = urllib3.request(
        "GET", f"{product.url}/go/journey?ttclid=E.C.P.journeyLink", headers={"User-Agent": AGENT}, redirect=False
    )
    assert answer.status == 302
    assert answer.headers["Location"] == f"{fields['destination']}?utm_campaign=Journey"
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    anonymous = cookie.removeprefix("ac_id=")

    again = urllib3.request(
        "GET", f"{product.url}/go/journey", headers={"User-Agent": AGENT, "Cookie": cookie}, redirect=False
    )
    assert (again.status, "Set-Cookie" in again.headers) == (302, False)
    head = urllib3.request("HEAD", f"{product.url}/go/journey", headers={"User-Agent": AGENT}, redirect=False)
    assert (head.status, urlsplit(head.headers["Location"]).netloc) == (302, "store.steampowered.com")
    assert urllib3.request("GET", f"{product.url}/go/missing").status == 404

    count = "SELECT clicks FROM audience_linkcount"
    assert product.wait_for(lambda: product.rows(count) == [(2,)])
    link(product, anonymous, "user-link", ago(seconds=0))
    event(product, "user-link", "purchase", ago(seconds=0), value=9.99, currency="USD")
    product.wait_for(lambda: product.outcome("user-link", "purchase") == [("", "delivered")])
    (request,) = sent_with(product, "tiktok", "E.C.P.journeyLink")
    (sent,) = request["body"]["data"]
    assert (sent["user"]["ttclid"], sent["user"]["user_agent"]) == ("E.C.P.journeyLink", AGENT)
