"""One request to the claim page of a game: the browser, what may be stored of it, and how it is joined already."""

from dataclasses import dataclass, field
from functools import cached_property

from django.http import Http404, HttpRequest, HttpResponse

from audience.claims import browser, pace
from audience.digest import clicks, named_parameters
from audience.games import return_addresses
from audience.ids.values import canonical
from audience.intake.links.clicks import read_parameters
from audience.intake.requests import visitor_cookies
from audience.intake.requests.caller import caller_ip, network_of
from audience.joins import records
from audience.models import Game, Join, JoinKind
from audience.models.join_kinds import CONTACT_KINDS, PAGE_KINDS
from consent.models import Level

MAX_VISITS_AN_HOUR = 600  # with an ad click, from one address: thousands of phones share those of a carrier
MAX_URL_LENGTH = 2048
MAX_USER_AGENT_LENGTH = 512


class BadReturnAddress(Exception):
    """The studio's page asks to return to an address that is not in the game's list."""


@dataclass(slots=True)
class _Ids:
    """`known` is the id in the cookie, '' without one; `given` the one that the answer sets."""

    known: str
    given: str = ""


@dataclass(frozen=True)
class Visit:
    request: HttpRequest
    game: Game
    _ids: _Ids = field(repr=False)

    @classmethod
    def of(cls, request: HttpRequest, slug: str) -> "Visit":
        """Raises Http404 for an unknown game, and for one whose claim page offers nothing."""
        game = Game.objects.filter(slug=slug).first()
        if game is None or not set(game.joins) & set(PAGE_KINDS):
            raise Http404("This page does not exist.")
        return cls(request, game, _Ids(visitor_cookies.read_id(request)))

    @cached_property
    def kinds(self) -> list[str]:
        return [kind for kind in PAGE_KINDS if kind in self.game.joins]

    @cached_property
    def opted_out(self) -> bool:
        return visitor_cookies.sends_gpc(self.request)

    @cached_property
    def level(self) -> Level:
        return Level.NONE if self.opted_out else records.consent_of(self.game, self._ids.known)

    @property
    def may_store(self) -> bool:
        return self.level != Level.NONE

    @property
    def anonymous_id(self) -> str:
        """The id of the browser. Without a cookie a new one, which `finish` sets."""
        self._ids.given = self._ids.given or self._ids.known or visitor_cookies.new_id()
        return self._ids.given

    def may_be(self, anonymous_id: str) -> bool:
        """Whether the browser has this id, or none. Another one is that of the next person, after a sign-out."""
        return self._ids.known in ("", anonymous_id)

    def use_new_id(self) -> None:
        """Forget a browser that has declined: its agreement is about what happens from now on."""
        self._ids.given = visitor_cookies.new_id()

    @cached_property
    def joined(self) -> dict[str, Join]:
        """The newest join of this browser by kind."""
        if not self._ids.known:
            return {}
        browser_id = canonical(self._ids.known)
        rows = Join.objects.filter(game=self.game, anonymous_id=browser_id).order_by("joined_at", "pk")
        return {row.kind: row for row in rows}

    @property
    def steam_id(self) -> str:
        """The Steam account of the newest sign-in in this browser; '' without one."""
        return self.joined[JoinKind.STEAM].player_id if JoinKind.STEAM in self.joined else ""

    @property
    def contact_kinds(self) -> list[str]:
        """What the visitor may leave. A game with Steam offers it after the sign-in, as facts about that player.

        Otherwise the address would be a player of its own, and the clicks before it would be that player's.
        """
        if JoinKind.STEAM in self.kinds and not self.steam_id:
            return []
        return [kind for kind in CONTACT_KINDS if kind in self.kinds]

    @cached_property
    def back(self) -> str:
        """The address to return to, '' for none. Raises BadReturnAddress."""
        address = self.request.GET.get("return", "") or self.request.POST.get("return", "")
        if address and not return_addresses.is_allowed(address, self.game.return_addresses):
            raise BadReturnAddress
        return address

    def finish(self, response: HttpResponse) -> HttpResponse:
        """Set the cookie of the browser's id if that may be stored, and return the answer."""
        if self.may_store:
            self.set_id(response, self.anonymous_id)
        return response

    def set_id(self, response: HttpResponse, anonymous_id: str) -> None:
        """Set the cookies of this id unless the browser has them."""
        if visitor_cookies.read_id(self.request) != anonymous_id:
            visitor_cookies.set_id(response, anonymous_id, secure=self.request.is_secure())

    def store_click(self) -> None:
        """Store the visit if the address of the page has an ad click, as the landing page of an ad would.

        Of its query only click ids and UTM parameters are stored: others may be personal.
        """
        if self.request.method != "GET" or not self.may_store or not self.request.GET:
            return
        query = read_parameters(self.game, self.request.META.get("QUERY_STRING", "")).query
        url = f"{self.request.build_absolute_uri(self.request.path)}?{query}"
        if len(url) > MAX_URL_LENGTH or not self._is_click(url):
            return
        ip = caller_ip(self.request)
        if not pace.take("visit", network_of(ip), limit=MAX_VISITS_AN_HOUR, seconds=3600):
            return
        is_full = self.level == Level.FULL
        referrer = self.request.headers.get("Referer", "")
        try:
            records.add_visit(
                game=self.game,
                anonymous_id=self.anonymous_id,
                url=url,
                # A part of a URL is another one.
                referrer=referrer if is_full and len(referrer) <= MAX_URL_LENGTH else "",
                user_agent=self.request.headers.get("User-Agent", "")[:MAX_USER_AGENT_LENGTH] if is_full else "",
                ip=ip if is_full else "",
                key=browser.new_nonce(),
            )
        except records.JoinRefused:
            return  # the player was erased, and the page is shown all the same

    def _is_click(self, url: str) -> bool:
        found = clicks.read(
            properties={},
            context={"page_url": url},
            untagged_is_paid=self.game.untagged_fbclid_is_paid,
            table=named_parameters.table_of(self.game),
        )
        return found is not None
