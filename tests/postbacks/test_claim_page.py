"""The claim page: a sign-in with Steam joins the browser of an ad click with the player of the game."""

import html
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.test import Client

from audience.claims import steam
from audience.claims.browser import STATE_COOKIE
from audience.digest import queue
from audience.games.keys import NewKey
from audience.intake.requests.visitor_cookies import ID_COOKIE, TWIN_COOKIE
from audience.models import Batch, Conversion, Event, Game, Identity, Join, Person, Role
from audience.privacy import erasure, suppression
from consent.models import ConsentDecision, Level
from postbacks.delivery import sending
from postbacks.models import Delivery
from postbacks.outbox import fan_out
from postbacks.sandbox.server import Sandbox
from postbacks.sandbox.steam import SteamImitation
from tests import factories, hub
from tests.audience.immutable import alias, click, digest, identify, launch, purchase
from tests.postbacks.claiming import ANNA, BEN, BROWSER, Visitor, approve, stored

pytestmark = pytest.mark.django_db
THANKS = "https://game.example/thanks"
CONFIRM = "tests.postbacks.test_claim_page.confirm"
confirmed: list[Mapping[str, str]] = []


def confirm(fields: Mapping[str, str]) -> bool:
    """A Steam that confirms everything, also the same assertion twice."""
    confirmed.append(fields)
    return True


@pytest.fixture
def claiming(game: Game) -> Game:
    game.joins, game.reward_text, game.return_addresses = ["steam"], "A hat for everybody.", [THANKS]
    game.save()
    return game


@pytest.fixture
def credulous(settings: Any) -> list[Mapping[str, str]]:
    settings.STEAM_CHECK_HOOK = CONFIRM
    confirmed.clear()
    return confirmed


def refused(answer: Any, text: str, status: int = 400) -> None:
    page = html.unescape(answer.content.decode())
    assert answer.status_code == status, page
    assert text in page


def deliver() -> None:
    queue.drain()
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)


# The whole way ---------------------------------------------------------------------------------------------------


def test_a_purchase_told_with_the_steam_id_alone_is_attributed_to_the_ad_click_and_delivered(
    claiming: Game, key: NewKey, sandbox: Sandbox
) -> None:
    factories.config(claiming)
    digest(key, click(BROWSER, "T-steam"))
    visitor = Visitor(claiming)
    answer = visitor.sign_in(sandbox.url)
    assert (answer.status_code, answer["Location"]) == (302, f"/claim/{claiming.slug}/")
    digest(key, launch(ANNA), purchase(ANNA, eventTimestamp=datetime.now(UTC).isoformat()))
    deliver()
    conversions = Conversion.objects.order_by("trigger")
    assert [(row.trigger, row.touch and row.touch.click_id) for row in conversions] == [
        ("game_launch", "T-steam"),
        ("purchase", "T-steam"),
    ]
    assert Delivery.objects.filter(state="delivered").count() == 2
    received = sandbox.received("tiktok")
    assert len(received) == 2
    assert all("T-steam" in str(row["body"]) for row in received)
    join = Join.objects.get()
    assert (join.kind, join.anonymous_id, join.player_id) == ("steam", BROWSER, ANNA)
    page = (
        hub.member(claiming, Role.VIEWER).get(f"/g/{claiming.slug}/conversions/{conversions[1].pk}/").content.decode()
    )
    assert "Joins with the game" in page
    assert "Sign in with Steam" in page


def test_the_join_is_an_ordinary_event_without_a_key(claiming: Game, sandbox: Sandbox) -> None:
    Visitor(claiming).sign_in(sandbox.url)
    event, batch = Event.objects.get(), Batch.objects.get()
    assert (event.kind, event.user_id, event.anonymous_id, event.links) == (
        "identify",
        ANNA,
        BROWSER,
        [["steam", ANNA]],
    )
    assert (event.key_id, batch.key_id, batch.accepted) == (None, None, 1)
    assert event.message_id.startswith("server:steam:")
    queue.drain()
    person = Person.objects.get()
    assert sorted(Identity.objects.filter(person=person).values_list("namespace", "value")) == [
        ("anonymous", BROWSER),
        ("steam", ANNA),
        ("user", ANNA),
    ]
    page = hub.member(claiming, Role.VIEWER).get(f"/g/{claiming.slug}/events/{event.day}/{event.pk}/")
    assert page.status_code == 200
    assert "No key: the claim page" in hub.normalized_html(page.content.decode())
    counts = hub.signed_in(hub.user("root", is_superuser=True)).get(f"/g/{claiming.slug}/events/counts/")
    assert "Tracking links and the claim page" in counts.content.decode()


def test_a_game_that_names_its_players_itself_joins_them_by_a_typed_identify(
    claiming: Game, key: NewKey, sandbox: Sandbox
) -> None:
    digest(key, click(BROWSER, "T-typed"))
    Visitor(claiming).sign_in(sandbox.url)
    digest(key, identify(ANNA, identityType="steam"), alias(ANNA, "player-7", fromType="steam"), launch("player-7"))
    assert [row.touch and row.touch.click_id for row in Conversion.objects.all()] == ["T-typed"]


def test_a_new_browser_gets_an_id(claiming: Game, sandbox: Sandbox) -> None:
    visitor = Visitor(claiming, "")
    page = visitor.get(visitor.address())
    assert page.status_code == 200
    cookie = page.cookies[ID_COOKIE]
    assert (cookie["max-age"], cookie["samesite"], cookie["httponly"], cookie["path"]) == (34_560_000, "Lax", "", "/")
    assert (page.cookies[TWIN_COOKIE].value, page.cookies[TWIN_COOKIE]["httponly"]) == (cookie.value, True)
    assert (cookie["secure"], len(cookie.value)) == ("", 36)
    visitor.sign_in(sandbox.url)
    assert Join.objects.get().anonymous_id == cookie.value == visitor.anonymous_id


def test_over_https_the_cookies_are_secure(claiming: Game) -> None:
    answer = Client().get(f"/claim/{claiming.slug}/steam/", secure=True)
    assert [answer.cookies[name]["secure"] for name in (ID_COOKIE, STATE_COOKIE)] == [True, True]
    assert answer.cookies[STATE_COOKIE]["path"] == "/claim/"


def test_the_page_says_what_is_connected(claiming: Game, sandbox: Sandbox) -> None:
    visitor = Visitor(claiming)
    before = visitor.get(visitor.address()).content.decode()
    visitor.sign_in(sandbox.url)
    after = visitor.get(visitor.address()).content.decode()
    assert "A hat for everybody." in before
    assert "is connected" not in before
    assert f"Your Steam account ending in {ANNA[-4:]} is connected with this browser." in after
    assert ANNA not in after
    assert "is connected" not in Visitor(claiming, "").get(visitor.address()).content.decode()
    assert hub.inline_code(before) == hub.inline_code(after) == []


def test_two_people_in_one_browser_stay_two_players(claiming: Game, key: NewKey, sandbox: Sandbox) -> None:
    digest(key, click(BROWSER, "T-anna"))
    visitor = Visitor(claiming)
    visitor.sign_in(sandbox.url, ANNA)
    visitor.sign_in(sandbox.url, BEN)
    digest(key, launch(ANNA), launch(BEN))
    owners = dict(Identity.objects.filter(namespace="user").values_list("value", "person"))
    assert len({owners[ANNA], owners[BEN]}) == 2
    assert {row.user_id: row.touch and row.touch.click_id for row in Conversion.objects.all()} == {
        ANNA: "T-anna",
        BEN: None,
    }


# Returning to the studio's page --------------------------------------------------------------------------------------


def test_a_studios_page_gets_its_visitor_back(claiming: Game, sandbox: Sandbox) -> None:
    answer = Visitor(claiming).sign_in(sandbox.url, **{"return": f"{THANKS}?lang=de"})
    assert (answer.status_code, answer["Location"]) == (302, f"{THANKS}?lang=de&joined=yes")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "https://game.example/",
        "https://game.example/thanks/more",
        "https://game.example.evil.example/thanks",
        "https://game.example@evil.example/thanks",
        "https://game.example:444/thanks",
        "http://game.example/thanks",
        "//game.example/thanks",
        "//evil.example",
        "/\\evil.example",
        "https:/\\game.example/thanks",
        "https://game.example/thanks\\@evil.example",
        "https://game.example/thanks#top",
        "https://game.example/thanks\r\nSet-Cookie: a=b",
        "https://game.example/thanks\tx",
        "https://gаme.example/thanks",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://game.example/thanks?" + "x" * 2000,
    ],
)
@pytest.mark.parametrize("path", ["", "steam/"])
def test_another_address_is_refused_before_steam_is_asked(claiming: Game, path: str, address: str) -> None:
    visitor = Visitor(claiming)
    answer = visitor.get(visitor.address(path), {"return": address})
    refused(answer, "The address to return to is not one that this game allows.")
    assert STATE_COOKIE not in answer.cookies
    assert stored() == (0,) * 6


def test_an_address_that_was_removed_during_the_sign_in_is_not_used(claiming: Game, sandbox: Sandbox) -> None:
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin(**{"return": THANKS}))
    Game.objects.update(return_addresses=[])
    assert visitor.come_back(assertion)["Location"] == f"/claim/{claiming.slug}/"


# Hostile answers ----------------------------------------------------------------------------------------------------


def test_a_forged_assertion_is_refused(claiming: Game, sandbox: Sandbox) -> None:
    """Signed for Anna, changed to Ben."""
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    forged = f"{sandbox.url}/openid/id/{BEN}"
    changes = {"openid.claimed_id": forged, "openid.identity": forged}
    refused(visitor.come_back(assertion, changes), "Steam does not confirm this sign-in.")
    assert stored() == (0,) * 6


def test_an_invented_assertion_is_refused(claiming: Game, sandbox: Sandbox) -> None:
    visitor = Visitor(claiming)
    return_to = visitor.begin()
    own = SteamImitation(sandbox.url).assertion(ANNA, return_to, datetime.now(UTC).timestamp())
    refused(visitor.come_back(return_to, own), "Steam does not confirm this sign-in.")
    assert stored() == (0,) * 6


def test_an_assertion_is_used_once_even_if_steam_confirms_it_again(
    claiming: Game, sandbox: Sandbox, credulous: list[Any]
) -> None:
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    state = visitor.cookies[STATE_COOKIE].value
    assert visitor.come_back(assertion).status_code == 302
    before = stored()
    refused(visitor.come_back(assertion), "This sign-in was not started in this browser")
    visitor.cookies[STATE_COOKIE] = state
    refused(visitor.come_back(assertion), "This sign-in has been used already.")
    assert (stored(), len(credulous)) == (before, 2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"openid.op_endpoint": "https://evil.example/openid/login"}, "does not come from Steam"),
        ({"openid.op_endpoint": ""}, "does not come from Steam"),
        ({"openid.ns": "http://openid.net/signon/1.1"}, "Steam did not confirm a sign-in"),
        ({"openid.mode": "checkid_setup"}, "Steam did not confirm a sign-in"),
        ({"openid.return_to": "http://testserver/claim/other/steam/return/"}, "belongs to another sign-in"),
        ({"openid.return_to": "https://evil.example/"}, "belongs to another sign-in"),
        ({"openid.signed": "signed,op_endpoint,claimed_id,return_to,response_nonce"}, "not signed completely"),
        ({"openid.signed": ""}, "not signed completely"),
        ({"openid.claimed_id": f"https://evil.example/openid/id/{ANNA}"}, "names no Steam account"),
        ({"openid.identity": "https://evil.example/"}, "names no Steam account"),
        ({"openid.response_nonce": "2026-11-28T12:00:00Zabc"}, "took too long, or the answer was used before"),
        ({"openid.response_nonce": "2199-01-01T00:00:00Zabc"}, "took too long, or the answer was used before"),
        ({"openid.response_nonce": "2026-13-41T25:61:61Zabc"}, "took too long, or the answer was used before"),
        ({"openid.response_nonce": "abc"}, "took too long, or the answer was used before"),
        ({"openid.sig": "x" * 3000}, "The answer is not one of Steam."),
        ({"openid.mode": "cancel"}, "The sign-in was canceled."),
    ],
)
def test_an_answer_that_is_not_of_this_sign_in_is_refused_without_asking_steam(
    claiming: Game, sandbox: Sandbox, credulous: list[Any], changes: dict[str, str], text: str
) -> None:
    visitor = Visitor(claiming)
    refused(visitor.come_back(approve(sandbox.url, ANNA, visitor.begin()), changes), text)
    assert (stored(), credulous) == ((0,) * 6, [])
    assert visitor.cookies[STATE_COOKIE].value == ""


@pytest.mark.parametrize(
    "account",
    ["76561197960265727", "76561202255233024", "103582791429521408", "7656119800000000", "7656119800000000１", "1", ""],
)
def test_only_a_person_has_a_steam_account(
    claiming: Game, sandbox: Sandbox, credulous: list[Any], account: str
) -> None:
    visitor = Visitor(claiming)
    claimed = f"{sandbox.url}/openid/id/{account}"
    changes = {"openid.claimed_id": claimed, "openid.identity": claimed}
    refused(visitor.come_back(approve(sandbox.url, ANNA, visitor.begin()), changes), "names no Steam account")
    assert (stored(), credulous) == ((0,) * 6, [])


def test_a_field_that_is_stated_twice_is_refused(claiming: Game, sandbox: Sandbox, credulous: list[Any]) -> None:
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    twice = urlencode({"openid.claimed_id": f"{sandbox.url}/openid/id/{BEN}"})
    answer = visitor.get(f"{assertion.removeprefix('http://testserver')}&{twice}")
    refused(answer, "The answer is not one of Steam.")
    assert (stored(), credulous) == ((0,) * 6, [])


def test_an_assertion_that_is_six_minutes_old_is_refused(claiming: Game, sandbox: Sandbox) -> None:
    now = datetime.now(UTC)
    with time_machine.travel(now, tick=False):
        visitor = Visitor(claiming)
        assertion = approve(sandbox.url, ANNA, visitor.begin())
    with time_machine.travel(now + timedelta(minutes=6), tick=False):
        refused(visitor.come_back(assertion), "took too long")
    assert stored() == (0,) * 6


def test_the_sign_in_of_another_browser_is_refused(claiming: Game, sandbox: Sandbox) -> None:
    """An attacker who sends the own assertion to somebody else would join that browser with the own account."""
    attacker, victim = Visitor(claiming), Visitor(claiming, "00000000-0000-4000-8000-000000000001")
    assertion = approve(sandbox.url, BEN, attacker.begin())
    refused(victim.come_back(assertion), "This sign-in was not started in this browser")
    victim.begin()
    refused(victim.come_back(assertion), "This sign-in was not started in this browser")
    assert stored() == (0,) * 6


def test_a_sign_in_does_not_end_for_the_next_person_at_the_browser(claiming: Game, sandbox: Sandbox) -> None:
    """The web pixel gives the browser a new id when a player signs out."""
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    visitor.cookies[ID_COOKIE] = "00000000-0000-4000-8000-000000000001"
    refused(visitor.come_back(assertion), "This sign-in was not started in this browser")
    assert visitor.anonymous_id == "00000000-0000-4000-8000-000000000001"
    assert stored() == (0,) * 6


def test_the_sign_in_of_another_game_is_refused(claiming: Game, other_game: Game, sandbox: Sandbox) -> None:
    other_game.joins = ["steam"]
    other_game.save()
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    answer = visitor.come_back(assertion.replace(f"/claim/{claiming.slug}/", f"/claim/{other_game.slug}/", 1))
    refused(answer, "This sign-in was not started in this browser")
    assert stored() == (0,) * 6


def test_sign_ins_from_one_address_are_limited(
    claiming: Game, sandbox: Sandbox, credulous: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.claims.steam_views.MAX_SIGN_INS_AN_HOUR", 2)
    visitor = Visitor(claiming, REMOTE_ADDR="198.51.100.78")
    answers = [visitor.sign_in(sandbox.url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [302, 302, 429]
    assert (answers[2]["Retry-After"], len(credulous), Join.objects.count()) == ("3600", 2, 2)


@pytest.mark.parametrize("path", ["/openid/login", "/openid/nowhere", "/"])
def test_without_an_answer_of_steam_the_page_offers_to_try_again(
    claiming: Game, sandbox: Sandbox, settings: Any, path: str
) -> None:
    origin = "http://127.0.0.1:1" if path == "/openid/login" else sandbox.url
    settings.STEAM_OPENID_URL = f"{origin}{path}"
    visitor = Visitor(claiming)
    return_to = visitor.begin()
    fields = SteamImitation(origin).assertion(ANNA, return_to, datetime.now(UTC).timestamp())
    answer = visitor.come_back(return_to, {**fields, "openid.op_endpoint": settings.STEAM_OPENID_URL})
    refused(answer, "Steam does not answer at the moment.", 503)
    assert f'href="/claim/{claiming.slug}/steam/"' in answer.content.decode()
    assert "Try again with Steam" in answer.content.decode()
    assert stored() == (0,) * 6
    settings.STEAM_OPENID_URL = f"{sandbox.url}/openid/login"
    assert visitor.sign_in(sandbox.url).status_code == 302


# Consent ------------------------------------------------------------------------------------------------------------


def decide(game: Game, level: Level, anonymous_id: str = BROWSER) -> None:
    ConsentDecision.objects.create(
        game_id=game.pk, anonymous_id=anonymous_id, level=level, source="banner", decided_at=datetime.now(UTC)
    )


def test_a_browser_that_declined_is_not_joined(claiming: Game, sandbox: Sandbox) -> None:
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    decide(claiming, Level.NONE)
    before = stored()
    refused(visitor.come_back(assertion), "Nothing was stored.")
    answer = visitor.get(visitor.address("steam/"))
    assert (answer.status_code, answer["Location"]) == (302, visitor.address())
    page = visitor.get(visitor.address()).content.decode()
    assert "I agree that" in page
    assert "Sign in with Steam" not in page
    assert stored() == before


def test_a_withdrawal_after_the_join_stops_what_was_not_sent(claiming: Game, key: NewKey, sandbox: Sandbox) -> None:
    factories.config(claiming)
    digest(key, click(BROWSER))
    Visitor(claiming).sign_in(sandbox.url)
    decide(claiming, Level.NONE)
    digest(key, launch(ANNA))
    deliver()
    row = Conversion.objects.get()
    assert (row.touch is not None, sandbox.received("tiktok")) == (True, [])
    assert row.reason == "consent" or row.deliveries.get().reason == "consent"


def test_in_a_strict_game_nothing_is_stored_before_the_visitor_agrees(claiming: Game, sandbox: Sandbox) -> None:
    Game.objects.update(strict_consent=True)
    visitor = Visitor(claiming, "")
    page = visitor.get(visitor.address(), {"return": THANKS})
    assert ID_COOKIE not in page.cookies
    answer = visitor.get(visitor.address("steam/"), {"return": THANKS})
    assert (ID_COOKIE in answer.cookies, STATE_COOKIE in answer.cookies) == (False, False)
    refused(visitor.post(visitor.address("consent/"), {}), "Select the box to agree.")
    assert stored() == (0,) * 6
    answer = visitor.post(visitor.address("consent/"), {"agree": "yes", "return": THANKS})
    assert answer["Location"] == f"{visitor.address()}?{urlencode({'return': THANKS})}"
    decision = ConsentDecision.objects.get()
    assert (decision.anonymous_id, decision.level, decision.source) == (visitor.anonymous_id, "full", "claim page")
    assert visitor.sign_in(sandbox.url, **{"return": THANKS})["Location"] == f"{THANKS}?joined=yes"


def test_whoever_agrees_after_declining_begins_as_a_new_browser(claiming: Game) -> None:
    decide(claiming, Level.NONE)
    visitor = Visitor(claiming)
    visitor.post(visitor.address("consent/"), {"agree": "yes"})
    assert visitor.anonymous_id not in ("", BROWSER)
    assert ConsentDecision.objects.filter(anonymous_id=BROWSER).get().level == "none"


def test_the_global_privacy_control_is_respected(claiming: Game) -> None:
    visitor = Visitor(claiming, "", headers={"Sec-GPC": "1"})
    page = visitor.get(visitor.address(), {"ttclid": "T-1"})
    assert "Your browser asks sites not to share data about you" in page.content.decode()
    steam_link, agreed = (
        visitor.get(visitor.address("steam/")),
        visitor.post(visitor.address("consent/"), {"agree": "yes"}),
    )
    assert [ID_COOKIE in answer.cookies for answer in (page, steam_link, agreed)] == [False, False, False]
    assert stored() == (0,) * 6


def erase(game: Game, subject: str, namespace: str = "user", *, suppress: bool = False) -> None:
    erasure.request_erasure(game=game, namespace=namespace, subject=subject, requested_by="ada", suppress=suppress)
    for _ in range(3):
        erasure.drain()


def test_a_player_whose_events_are_refused_is_not_joined_again(
    claiming: Game, key: NewKey, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "TAKES_EFFECT", timedelta(0))
    visitor = Visitor(claiming)
    visitor.sign_in(sandbox.url)
    digest(key, launch(ANNA))
    erase(claiming, ANNA, suppress=True)
    assert (Event.objects.count(), Join.objects.count(), Person.objects.count()) == (0, 0, 0)
    refused(visitor.sign_in(sandbox.url), "The data of this player was erased")
    assert (Event.objects.count(), Join.objects.count()) == (0, 0)


def test_erasing_a_player_deletes_the_joins_and_keeps_those_of_others(claiming: Game, sandbox: Sandbox) -> None:
    shared, own = Visitor(claiming), Visitor(claiming, "00000000-0000-4000-8000-000000000001")
    shared.sign_in(sandbox.url, ANNA)
    shared.sign_in(sandbox.url, BEN)
    own.sign_in(sandbox.url, ANNA)
    queue.drain()
    erase(claiming, ANNA)
    assert list(Join.objects.values_list("player_id", "anonymous_id")) == [(BEN, BROWSER)]
    erase(claiming, BROWSER, "anonymous")
    assert Join.objects.count() == 0


def test_a_join_after_the_purchase_counts_for_the_past(claiming: Game, key: NewKey, sandbox: Sandbox) -> None:
    config = factories.config(claiming)
    digest(key, click(BROWSER, "T-late"))
    digest(key, launch(ANNA))
    fan_out.fan_out_due()
    conversion = Conversion.objects.get()
    assert (conversion.touch, conversion.reason, conversion.fanned_out_at is None) == (None, "no_click", False)
    Visitor(claiming).sign_in(sandbox.url)
    queue.drain()
    fan_out.fan_out_due()
    conversion.refresh_from_db()
    assert conversion.touch is not None
    assert conversion.touch.click_id == "T-late"
    assert Delivery.objects.get().config == config


# An ad that leads to the claim page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "steam/"])
def test_a_claim_page_can_be_the_landing_page_of_an_ad(
    claiming: Game, key: NewKey, sandbox: Sandbox, path: str
) -> None:
    visitor = Visitor(claiming, "", headers={"User-Agent": "Mozilla/5.0 (ad)"})
    visitor.get(visitor.address(path), {"ttclid": "T-landing", "utm_campaign": "autumn"})
    visitor.sign_in(sandbox.url)
    digest(key, launch(ANNA, eventTimestamp=datetime.now(UTC).isoformat()))
    touch = Conversion.objects.get().touch
    assert touch is not None
    assert (touch.click_id, touch.network, touch.user_agent) == ("T-landing", "tiktok", "Mozilla/5.0 (ad)")
    assert touch.page_url == f"http://testserver{visitor.address(path)}?ttclid=T-landing&utm_campaign=autumn"


def test_of_the_address_of_a_visit_only_click_ids_and_utm_parameters_are_stored(claiming: Game) -> None:
    visitor = Visitor(claiming, "", headers={"Referer": "https://site.example/account?token=secret"})
    query = {"ttclid": "T-1", "email": "ada@players.example", "utm_campaign": "autumn", "return": THANKS}
    visitor.get(visitor.address("steam/"), query)
    event = Event.objects.get()
    expected = f"http://testserver{visitor.address('steam/')}?ttclid=T-1&utm_campaign=autumn"
    assert (event.context["page_url"], event.raw["url"]) == (expected, expected)


def test_at_anonymous_neither_address_nor_agent_nor_referrer_of_a_visit_is_stored(claiming: Game) -> None:
    decide(claiming, Level.ANONYMOUS)
    headers = {"User-Agent": "Mozilla/5.0 (ad)", "Referer": "https://www.tiktok.com/@ada"}
    visitor = Visitor(claiming, headers=headers)
    visitor.get(visitor.address(), {"ttclid": "T-1"})
    event = Event.objects.get()
    assert event.request_ip == ""
    assert {name for name in event.context if event.context[name]} == {"library", "library_version", "page_url"}


def test_a_browser_whose_id_is_in_capitals_is_recognized(claiming: Game, sandbox: Sandbox) -> None:
    """As ids are that the pixel adopts from other scripts."""
    visitor = Visitor(claiming, BROWSER.upper())
    visitor.sign_in(sandbox.url)
    assert Join.objects.get().anonymous_id == BROWSER
    assert f"ending in {ANNA[-4:]} is connected" in visitor.get(visitor.address()).content.decode()


def test_agreements_from_one_network_are_limited(claiming: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stores a decision of a new browser. One client may use each address of a /64."""
    monkeypatch.setattr("audience.claims.views.MAX_USES_AN_HOUR", 2)
    answers = []
    for number in range(4):
        visitor = Visitor(claiming, "", REMOTE_ADDR=f"2001:db8:77:1::{number}")
        answers.append(visitor.post(visitor.address("consent/"), {"agree": "yes"}).status_code)
    assert answers == [302, 302, 429, 429]
    assert ConsentDecision.objects.count() == 2


def test_a_visit_without_an_ad_click_stores_nothing(claiming: Game) -> None:
    visitor = Visitor(claiming)
    visitor.get(visitor.address(), {"utm_source": "newsletter"})
    visitor.head(visitor.address(), {"ttclid": "T-1"})
    assert stored() == (0,) * 6


# Off ----------------------------------------------------------------------------------------------------------------


def test_the_page_of_a_game_without_joins_or_of_no_game_does_not_exist(game: Game) -> None:
    for address in (f"/claim/{game.slug}/", f"/claim/{game.slug}/steam/", "/claim/nothing/"):
        assert Client().get(address).status_code == 404


def test_a_sign_in_that_was_switched_off_meanwhile_joins_nothing(claiming: Game, sandbox: Sandbox) -> None:
    visitor = Visitor(claiming)
    assertion = approve(sandbox.url, ANNA, visitor.begin())
    Game.objects.update(joins=["code"])
    refused(visitor.come_back(assertion), "Signing in with Steam is not possible here now.")
    assert stored() == (0,) * 6


def test_the_default_endpoint_is_steams(settings: Any) -> None:
    assert settings.STEAM_OPENID_URL == settings.STEAM_OPENID_DEFAULT_URL == "https://steamcommunity.com/openid/login"
    address = steam.sign_in_url("https://portal.example/claim/x/steam/return/?state=1")
    assert address.startswith("https://steamcommunity.com/openid/login?openid.ns=http%3A%2F%2Fspecs.openid.net")
    assert "openid.realm=https%3A%2F%2Fportal.example&" in address
