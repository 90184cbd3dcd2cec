"""From an ad on the claim page of the demo game, by Steam or a claim code, to the delivered postback."""

import re
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.journeys.api import Api
from tests.journeys.product import Product
from tests.postbacks.claiming import CHRIS, approve


class Phone:
    """Keeps cookies and follows no redirect."""

    def __init__(self, product: Product) -> None:
        self.product, self.cookies = product, SimpleCookie()

    def open(self, address: str, form: Mapping[str, str] | None = None) -> Any:
        url = address if "://" in address else self.product.url + address
        headers = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())}
        method, body = ("POST", urlencode(form)) if form is not None else ("GET", None)
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.product.url}
        answer = self.product.http.request(method, url, body=body, headers=headers, redirect=False)
        for header in answer.headers.getlist("Set-Cookie"):
            self.cookies.load(header)
        return answer


def test_a_steam_game_gets_its_purchases_attributed(product: Product) -> None:
    phone = Phone(product)
    assert phone.open("/claim/demo/?ttclid=E.C.P.journey-steam").status == 200
    to_steam = phone.open("/claim/demo/steam/")
    fields = dict(parse_qsl(urlsplit(to_steam.headers["Location"]).query))
    assert to_steam.headers["Location"].startswith(f"{product.sandbox_url}/openid/login?")
    back = phone.open(approve(product.sandbox_url, CHRIS, fields["openid.return_to"]))
    assert (back.status, back.headers["Location"]) == (302, "/claim/demo/")
    bought = {"value": 19.99, "currency": "USD", "transaction_id": "steam-order-1"}
    product.send({"type": "track", "eventName": "purchase", "userId": CHRIS, "properties": bought})
    product.wait_for(lambda: product.outcome(CHRIS, "purchase") == [("", "delivered")])
    assert any("E.C.P.journey-steam" in str(row["body"]) for row in product.received("tiktok"))


def test_a_claim_code_is_redeemed_by_the_server_of_the_game(product: Product, api: Api) -> None:
    phone = Phone(product)
    page = phone.open("/claim/demo/?ttclid=E.C.P.journey-code").data.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token is not None
    shown = phone.open("/claim/demo/code/", {"csrfmiddlewaretoken": token[1]}).data.decode()
    code = re.search(r'id="claim-code">([A-Z0-9-]{9})<', shown)
    assert code is not None, shown
    key = api.post("games/demo/keys", {"name": "Claims", "kind": "server"}, expect=201)["value"]
    claim = {"code": code[1], "player_id": "player-of-a-code"}
    headers = {"Authorization": f"Bearer {key}"}
    answer = product.http.request("POST", f"{product.url}/v1/claims", json=claim, headers=headers)
    assert (answer.status, answer.json()) == (200, {"joined": True})
    product.send({"type": "track", "eventName": "game_launch", "userId": "player-of-a-code"})
    product.wait_for(lambda: product.outcome("player-of-a-code", "game_launch") == [("", "delivered")])
