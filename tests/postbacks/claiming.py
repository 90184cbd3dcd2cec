"""A browser on the claim page of a game, which signs in with the imitation of Steam over its socket."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import urllib3
from django.test import Client

from audience.intake.requests.visitor_cookies import ID_COOKIE
from audience.models import Batch, ClaimCode, Event, Game, Identity, Join
from consent.models import ConsentDecision
from postbacks.sandbox.steam import ACCOUNTS

ANNA, BEN, CHRIS = ACCOUNTS
BROWSER = "5e0f7d1c-8a3b-4d5e-9f60-718293a4b5c6"


def stored() -> tuple[int, ...]:
    """How many rows there are of everything that a claim page may write."""
    return tuple(model.objects.count() for model in (Event, Batch, Join, ClaimCode, Identity, ConsentDecision))


class Visitor(Client):
    """A browser; with an id in its cookie unless it is ''."""

    def __init__(self, game: Game, anonymous_id: str = BROWSER, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.game = game
        if anonymous_id:
            self.cookies[ID_COOKIE] = anonymous_id

    @property
    def anonymous_id(self) -> str:
        return self.cookies[ID_COOKIE].value if ID_COOKIE in self.cookies else ""

    def address(self, path: str = "") -> str:
        return f"/claim/{self.game.slug}/{path}"

    def begin(self, **query: str) -> str:
        """Follow the link to Steam; return the address to which Steam sends the browser back."""
        answer = self.get(self.address("steam/"), query)
        assert answer.status_code == 302, answer.content
        fields = dict(parse_qsl(urlsplit(answer["Location"]).query))
        assert fields["openid.mode"] == "checkid_setup"
        assert fields["openid.return_to"].startswith(fields["openid.realm"])
        return fields["openid.return_to"]

    def come_back(self, address: str, changes: Mapping[str, str] | None = None) -> Any:
        """Open the address of an assertion, with some of its fields changed."""
        parts = urlsplit(address)
        query = {**dict(parse_qsl(parts.query)), **(changes or {})}
        return self.get(f"{parts.path}?{urlencode(query)}")

    def sign_in(self, sandbox_url: str, account: str = ANNA, **query: str) -> Any:
        return self.come_back(approve(sandbox_url, account, self.begin(**query)))


def approve(sandbox_url: str, account: str, return_to: str) -> str:
    """Choose an account on the page of the imitation; return where it sends the browser."""
    query = urlencode({"account": account, "return_to": return_to})
    answer = urllib3.request("GET", f"{sandbox_url}/openid/approve?{query}", redirect=False)
    assert answer.status == 302
    return answer.headers["Location"]
