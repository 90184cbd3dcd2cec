"""An email address or a Discord name that a visitor of the claim page leaves."""

from typing import Any

import pytest

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Conversion, Event, Game, Join, Person
from consent.models import ConsentDecision
from postbacks.sandbox.server import Sandbox
from tests.audience.immutable import click, digest, identify, launch
from tests.postbacks.claiming import ANNA, BROWSER, Visitor, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _contacts_are_on(game: Game) -> None:
    game.joins = ["email", "discord"]
    game.save()


def leave(visitor: Visitor, kind: str, contact: str, **fields: str) -> Any:
    given = {"kind": kind, "contact": contact, "agree": "yes", **fields}
    return visitor.post(visitor.address("contact/"), {name: value for name, value in given.items() if value})


@pytest.mark.parametrize(
    ("kind", "typed", "known"),
    [("email", " Ada@Game.Example ", "ada@game.example"), ("discord", "@Ada.Lovelace_1", "ada.lovelace_1")],
)
def test_a_contact_joins_the_browser_with_a_player_who_is_told_by_a_typed_identify(
    game: Game, key: NewKey, kind: str, typed: str, known: str
) -> None:
    digest(key, click(BROWSER, "T-contact"))
    answer = leave(Visitor(game), kind, typed)
    assert (answer.status_code, answer["Location"]) == (302, f"/claim/{game.slug}/")
    digest(key, identify(known, identityType=kind), launch(known))
    touch = Conversion.objects.get().touch
    assert touch is not None
    assert touch.click_id == "T-contact"
    join = Join.objects.get()
    assert (join.kind, join.player_id) == (kind, known)
    assert Person.objects.get().traits[kind] == known
    decision = ConsentDecision.objects.get()
    assert (decision.anonymous_id, decision.level) == (BROWSER, "full")


def test_what_a_visitor_types_names_no_user_of_the_game(game: Game, key: NewKey) -> None:
    """Nobody verifies it: it must not become the player whose user id looks the same."""
    digest(key, click(BROWSER))
    leave(Visitor(game), "discord", "player7")
    digest(key, launch("player7"))
    assert Conversion.objects.get().touch is None
    assert Event.objects.get(kind="identify").user_id == ""


def test_sending_the_form_twice_stores_one_join(game: Game) -> None:
    visitor = Visitor(game)
    assert [leave(visitor, "email", "ada@game.example").status_code for _ in range(2)] == [302, 302]
    assert (Join.objects.count(), Event.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "contact", "fields", "text"),
    [
        ("email", "ada@", {}, "Enter a valid email address"),
        ("email", "ada@game.example\r\nBcc: x@y.example", {}, "Enter a valid email address"),
        ("email", f"{'a' * 60}@{'b.' * 100}example", {}, "at most 254 characters"),
        ("discord", "a", {}, "Enter your Discord name"),
        ("discord", "ada..l", {}, "Enter your Discord name"),
        ("discord", "<script>", {}, "Enter your Discord name"),
        ("discord", "аda", {}, "Enter your Discord name"),
        ("email", "ada@game.example", {"agree": ""}, "Select the box to agree."),
        ("steam", ANNA, {}, "This is not possible here now."),
        ("", "ada@game.example", {}, "This is not possible here now."),
    ],
)
def test_an_invalid_contact_or_one_without_agreement_stores_nothing(
    game: Game, kind: str, contact: str, fields: dict[str, str], text: str
) -> None:
    answer = leave(Visitor(game), kind, contact, **fields)
    assert answer.status_code == 400
    assert text in answer.content.decode()
    assert stored() == (0,) * 6


def test_an_address_to_return_to_is_checked_first(game: Game) -> None:
    assert leave(Visitor(game), "email", "ada@game.example", **{"return": "https://evil.example/"}).status_code == 400
    assert stored() == (0,) * 6


def test_with_steam_a_contact_is_a_fact_about_the_player_who_signed_in(
    game: Game, key: NewKey, sandbox: Sandbox
) -> None:
    Game.objects.update(joins=["steam", "email"])
    game.refresh_from_db()
    digest(key, click(BROWSER, "T-both"))
    visitor = Visitor(game)
    assert leave(visitor, "email", "ada@game.example").status_code == 400
    assert Join.objects.count() == 0
    visitor.sign_in(sandbox.url)
    assert leave(visitor, "email", "ada@game.example").status_code == 302
    digest(key, launch(ANNA))
    assert [row.touch and row.touch.click_id for row in Conversion.objects.all()] == ["T-both"]
    assert Person.objects.get().traits["email"] == "ada@game.example"


def test_the_page_says_for_which_account_a_contact_is_stored(game: Game, sandbox: Sandbox) -> None:
    """The next person at the browser must not add an address to the player before."""
    Game.objects.update(joins=["steam", "email"])
    visitor = Visitor(game)
    visitor.sign_in(sandbox.url)
    page = visitor.get(visitor.address()).content.decode()
    assert f"It is stored for the Steam account ending in {ANNA[-4:]}. If that is not yours, sign in first." in page


def test_the_pace_of_the_form_is_limited(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience.claims.views.MAX_USES_AN_HOUR", 2)
    visitor = Visitor(game, REMOTE_ADDR="198.51.100.77")
    answers = [leave(visitor, "email", f"a{number}@game.example").status_code for number in range(3)]
    assert answers == [302, 302, 429]
    assert Join.objects.count() == 2


# Install referrers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["referrer", "install_referrer", "installReferrer"])
@pytest.mark.parametrize(
    ("referrer", "network", "click_id"),
    [
        ("utm_source=google&utm_medium=cpc&gclid=G-1", "google", "G-1"),
        ("gclid%3DG-2%26utm_source%3Dgoogle", "google", "G-2"),
        ("utm_source=tiktok&utm_medium=paid", "tiktok", ""),
        ("ttclid=T-3", "tiktok", "T-3"),
    ],
)
def test_an_install_referrer_is_a_click_of_the_player(
    game: Game, key: NewKey, name: str, referrer: str, network: str, click_id: str
) -> None:
    Game.objects.update(joins=["referrer"])
    sent = launch("player-7", eventName="install_referrer_received", properties={name: referrer})
    digest(key, sent, launch("player-7"))
    touch = Conversion.objects.get().touch
    assert touch is not None
    assert (touch.network, touch.click_id) == (network, click_id)


def test_a_game_may_leave_install_referrers_unread(game: Game, key: NewKey) -> None:
    Game.objects.update(joins=[])
    sent = launch("player-7", eventName="install_referrer_received", properties={"referrer": "gclid=G-1"})
    digest(key, sent, launch("player-7"))
    queue.drain()
    assert Conversion.objects.get().touch is None


def test_an_organic_install_is_no_click(game: Game, key: NewKey) -> None:
    Game.objects.update(joins=["referrer"])
    properties = {"referrer": "utm_source=google-play&utm_medium=organic"}
    digest(key, launch("p", eventName="install_referrer_received", properties=properties), launch("p"))
    assert Conversion.objects.get().touch is None
