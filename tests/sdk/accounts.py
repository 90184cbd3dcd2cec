"""Accounts that sign in after each other in one browser, and what the server and the networks must hold of each."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from playwright.sync_api import Page

from postbacks.networks import NETWORKS
from tests.journeys.product import Product

PRICE = {"value": 4.99, "currency": "USD"}


@dataclass(frozen=True, slots=True)
class Account:
    """A user with an order, and with an ad click or without one ('')."""

    user: str
    click: str = ""

    @property
    def email(self) -> str:
        return f"{self.user}@players.example"

    @property
    def order(self) -> str:
        return f"order-of-{self.user}"

    def is_in(self, text: str) -> bool:
        """Whether any of its ids is in a text, as it is or hashed."""
        known = [self.user, self.email, self.order, *filter(None, [self.click])]
        return any(form in text for one in known for form in (one, sha256(one)))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def visit(page: Page, account: Account) -> None:
    """Open a page of the site, by the account's ad click if it has one, and go on to one without its parameter."""
    page.evaluate("query => history.replaceState(null, '', query)", f"?ttclid={account.click}" if account.click else "")
    page.evaluate("() => { window.visit(); history.replaceState(null, '', 'shop.html'); }")


def sign_in(page: Page, account: Account) -> None:
    page.evaluate("([user, email]) => { window.signIn(user, { email }); }", [account.user, account.email])


def play_and_sign_out(page: Page, account: Account, arguments: Sequence[bool]) -> None:
    """Launch and buy, and call the page's signOut() with these arguments."""
    page.evaluate("() => { window.track('game_launch', {}); }")
    bought = {**PRICE, "transaction_id": account.order}
    page.evaluate("bought => { window.track('purchase', bought); }", bought)
    page.evaluate("async given => { await window.signOut(...given); }", list(arguments))


def newest_event(product: Product) -> int:
    (newest,) = product.rows("SELECT coalesce(max(id), 0) FROM audience_event")[0]
    return int(newest)


def events_since(product: Product, newest: int) -> int:
    (stored,) = product.rows("SELECT count(*) FROM audience_event WHERE id > %s", newest)[0]
    return int(stored)


def is_idle(product: Product) -> bool:
    """The workers have nothing left to do with what is stored."""
    return not product.rows(WORK)


def assert_players_of_their_own(product: Product, accounts: Sequence[Account]) -> None:
    """One player each, with their own email, and their own click for the launch and the purchase or none."""
    users = [account.user for account in accounts]
    assert product.rows(CONVERSIONS, users) == [
        (account.user, trigger, account.email, account.click or None, "" if account.click else "no_click")
        for account in accounts
        for trigger in ("game_launch", "purchase")
    ]
    assert product.rows(CLICKS, users) == [(account.user, account.click) for account in accounts if account.click]
    assert product.rows(PERSONS, users) == [(len(users),)]


def assert_own_postbacks(product: Product, accounts: Sequence[Account]) -> None:
    """TikTok got two requests for each account with a click, and no request of any network names two accounts."""
    bodies = [request["body"] for kind in NETWORKS for request in product.received(kind)]
    named = [(tuple(a.user for a in accounts if a.is_in(json.dumps(body))), body) for body in bodies]
    assert {users for users, _ in named if users} == {(account.user,) for account in accounts if account.click}
    for account in filter(lambda account: account.click, accounts):
        sent = [event for users, body in named if users == (account.user,) for event in body["data"]]
        launch, purchase = sorted(sent, key=lambda event: str(event["event"]))
        assert (launch["event"], purchase["event"]) == ("CompleteRegistration", "Purchase")
        assert purchase["properties"] == {**PRICE, "order_id": account.order}
        for event in sent:
            assert event["user"]["ttclid"] == account.click
            assert event["user"]["email"] == sha256(account.email)
            assert event["user"]["external_id"] == sha256(account.user)


WORK = """
SELECT FROM audience_batch WHERE state = 'pending' UNION ALL
SELECT FROM audience_conversion WHERE fanned_out_at IS NULL UNION ALL
SELECT FROM postbacks_delivery WHERE state NOT IN ('delivered', 'skipped')
"""
PERSONS = "SELECT count(DISTINCT person_id) FROM audience_identity WHERE namespace = 'user' AND value = ANY(%s)"
# User id and trigger, the email of the player, the click that won, and why nothing was sent.
CONVERSIONS = """
SELECT conversion.user_id, trigger, person.traits ->> 'email', touch.click_id, reason
FROM audience_conversion conversion JOIN audience_person person ON person.id = conversion.person_id
LEFT JOIN audience_touch touch ON touch.id = conversion.touch_id
WHERE conversion.user_id = ANY(%s) ORDER BY 1, 2
"""
# Without the clicks that a browser repeats for its next player: they are stored, and nothing is attributed by them.
CLICKS = """
SELECT identity.value, touch.click_id
FROM audience_identity identity JOIN audience_touch touch ON touch.person_id = identity.person_id
WHERE identity.namespace = 'user' AND identity.value = ANY(%s) AND NOT touch.is_repeated ORDER BY 1, 2
"""
