"""The browser SDKs, in pages in Chromium, without their vendors' servers."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.journeys.product import Product
from tests.sdk.accounts import (
    Account,
    assert_own_postbacks,
    assert_players_of_their_own,
    events_since,
    is_idle,
    newest_event,
    play_and_sign_out,
    sign_in,
    visit,
)
from tests.sdk.calls import (
    COINS,
    STORED,
    PlayerCalls,
    assert_duplicates_were_counted,
    assert_faults_were_retried,
    assert_one_person,
    assert_stored_once,
    digested,
    events,
    last_batch,
)
from tests.sdk.proxy import CUT, LIMITED, UNAVAILABLE, FlakyProxy
from tests.sdk.test_server_sdks import run

pytestmark = [pytest.mark.node, pytest.mark.browser]

# One batch for the calls and one for the coins, as the server SDKs have it; the defaults send one call a request.
RUDDER_BATCHES = {
    "queueOptions": {
        "minRetryDelay": 200,
        "maxItems": 1000,
        "batch": {"enabled": True, "maxItems": COINS, "flushInterval": 500},
    }
}
SEGMENT_BATCHES = {
    "integrations": {
        "Segment.io": {"deliveryStrategy": {"strategy": "batching", "config": {"size": COINS, "timeout": 500}}}
    }
}
# All faults in one page, since a page with 250 events in its queue is slow. The test of the click has no faults.
ALL_FAULTS = (UNAVAILABLE, LIMITED, CUT)
# RudderStack's browser SDK has no screen().
WITHOUT_SCREEN = Counter({call: times for call, times in STORED.items() if call[0] != "screen"})


# The proxy for requests to other machines: a port that refuses. (Playwright's routes would answer preflights in place
# of the server.)
REFUSING_PROXY: Any = {"server": "http://127.0.0.1:1", "bypass": "127.0.0.1"}


@contextlib.contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """A page in a new profile; a request to another machine is refused and fails the test."""
    urls: list[str] = []
    context = browser.new_context(proxy=REFUSING_PROXY)
    context.set_default_timeout(30_000)
    context.on("request", lambda request: urls.append(request.url))
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()
    assert [address for address in urls if urlsplit(address).hostname != "127.0.0.1"] == []


def start(page: Page, url: str, key: str, options: dict[str, Any]) -> None:
    page.evaluate("settings => window.start(settings)", {"url": url, "key": key, "options": options})


@pytest.mark.parametrize(
    ("sdk", "options", "stored"),
    [("rudder", RUDDER_BATCHES, WITHOUT_SCREEN), ("segment", SEGMENT_BATCHES, STORED)],
    ids=["rudder", "segment"],
)
def test_every_call_of_a_browser_sdk_is_stored_once_despite_network_errors(
    product: Product,
    browser: Browser,
    site: str,
    sdk: str,
    options: dict[str, Any],
    stored: Counter[tuple[str, str]],
) -> None:
    key, before, calls = (
        product.demo["write_keys"]["rudderstack"],
        last_batch(product),
        PlayerCalls(f"{sdk}-browser", stored),
    )
    with FlakyProxy(product.url, ALL_FAULTS) as proxy, opened(browser, f"{site}/pages/{sdk}.html") as page:
        start(page, proxy.url, key, options)
        # One after the other: Segment's SDK adds later calls to a batch that is retried.
        for step, expected in (("sendCalls", stored.total() - COINS), ("sendCoins", stored.total())):
            page.evaluate(f"calls => window.{step}(calls)", calls.as_json())
            product.wait_for(
                lambda expected=expected: len(events(product, calls)) >= expected and proxy.all_answered(), seconds=30
            )
    product.wait_for(lambda: digested(product), seconds=30)

    assert_stored_once(product, calls)
    assert_one_person(product, calls)
    assert_faults_were_retried(proxy)
    assert_duplicates_were_counted(product, before, at_least=stored.total())


def test_a_click_in_a_browser_and_a_purchase_in_a_backend_become_a_delivery(
    product: Product, browser: Browser, site: str
) -> None:
    """With the options that a site has by default: one call a request."""
    key, user = product.demo["write_keys"]["rudderstack"], "sdk-buyer"
    with FlakyProxy(product.url) as proxy:
        with opened(browser, f"{site}/pages/rudder.html?ttclid=E.C.P.sdkBuyer") as page:
            start(page, proxy.url, key, {})
            page.evaluate("user => { analytics.page('Landing'); analytics.identify(user); }", user)
            product.wait_for(lambda: product.rows("SELECT 1 FROM audience_touch WHERE click_id = 'E.C.P.sdkBuyer'"))
            agent = page.evaluate("navigator.userAgent")
        requests = sorted((method, path) for method, path, _ in proxy.calls if "sourceConfig" not in path)
        assert requests == [(method, f"/v1/{call}") for method in ("OPTIONS", "POST") for call in ("identify", "page")]
        backend = run([sys.executable, "python_purchase.py"], url=product.url, key=key, user=user)
        output, _ = backend.communicate(timeout=30)
        assert backend.returncode == 0, output
    product.wait_for(lambda: product.outcome(user, "purchase") == [("", "delivered")])

    (request,) = [r for r in product.received("tiktok") if "E.C.P.sdkBuyer" in str(r["body"])]
    (sent,) = request["body"]["data"]
    assert sent["event"] == "Purchase"
    assert sent["user"]["ttclid"] == "E.C.P.sdkBuyer"
    assert sent["user"]["user_agent"] == agent
    assert (sent["properties"]["value"], sent["properties"]["currency"]) == (9.99, "USD")


@pytest.mark.parametrize(
    ("sdk", "arguments", "anonymous_ids"),
    [("rudder", [], 1), ("rudder", [True], 3), ("segment", [], 3), ("immutable", [], 3), ("immutable", [True], 3)],
    ids=["rudder-reset", "rudder-reset-true", "segment-reset", "immutable-reset", "immutable-reset-and-init"],
)
def test_accounts_after_each_other_in_one_browser_are_players_of_their_own(
    product: Product, browser: Browser, site: str, sdk: str, arguments: list[bool], anonymous_ids: int
) -> None:
    """With reset() between them: RudderStack's keeps the anonymous id, reset(true) and the others' replace it.

    RudderStack's and Segment's are the real SDKs. No package registry has Immutable's: pages/immutable.js imitates it.
    """
    name, demo = f"{sdk}{len(arguments)}", product.demo
    anna, ben = (Account(f"{name}-{user}", click=f"E.C.P.{name}-{user}") for user in ("anna", "ben"))
    accounts = (anna, ben, Account(f"{name}-cleo"))
    key = demo["publishable_key"] if sdk == "immutable" else demo["write_keys"]["rudderstack"]
    with opened(browser, f"{site}/pages/{sdk}.html?ttclid={anna.click}") as page:
        start(page, product.url, key, {})
        before, sent = newest_event(product), 0
        for account in accounts:
            steps = [visit, sign_in]
            # A click before signing in is of the account before, if the anonymous id still names that one.
            if anonymous_ids == 1 and account is not anna:
                steps.reverse()
            for step in steps:
                step(page, account)
                sent += 1
                # RudderStack's and Segment's send one event a request, and requests may arrive in any order.
                if sdk != "immutable":
                    product.wait_for(lambda sent=sent: events_since(product, before) == sent, seconds=30)
            play_and_sign_out(page, account, arguments)
            sent += 2
        product.wait_for(lambda: events_since(product, before) == sent and is_idle(product), seconds=30)

    named = "SELECT count(DISTINCT anonymous_id) FROM audience_event WHERE user_id = ANY(%s)"
    assert product.rows(named, [account.user for account in accounts]) == [(anonymous_ids,)]
    assert_players_of_their_own(product, accounts)
    assert_own_postbacks(product, accounts)
