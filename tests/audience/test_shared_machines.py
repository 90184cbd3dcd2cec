"""Players who share a browser, a phone or a PC: who gets the click, the launch and the email address."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.digest import queue
from audience.games.keys import NewKey
from audience.models import Conversion, Identity, Person, Reason
from tests.audience.immutable import ABSENT, LIBRARY, alias, click, digest, identify, launch, message, purchase, send

pytestmark = pytest.mark.django_db
START = datetime.now(UTC) - timedelta(hours=2)
# An anonymous id that identifies nobody; the dialect requires one where there is no user id.
NOBODY = {"userId": ABSENT, "anonymousId": "unknown"}
MAX_OWNERS = 50

Arrive = Callable[..., None]


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


@pytest.fixture(params=["in order", "in reverse", "in one batch", "in one digest"])
def arrive(request: pytest.FixtureRequest, key: NewKey) -> Arrive:
    """Send messages and digest them: each alone in order, each alone in reverse, or all at once."""

    def _arrive(*messages: dict[str, Any]) -> None:
        if request.param == "in one batch":
            digest(key, *messages)
            return
        for one in reversed(messages) if request.param == "in reverse" else messages:
            assert send(key, one).json()["accepted"] == 1
            if request.param != "in one digest":
                queue.drain()
        queue.drain()

    return _arrive


def guest(event: str, minutes: float, **ids: Any) -> dict[str, Any]:
    """A launch or purchase without a user id."""
    made = launch if event == "launch" else purchase
    return made(ABSENT, **ids, eventTimestamp=at(minutes))


def login(user: str, minutes: float, **ids: Any) -> dict[str, Any]:
    """An identify with the user's email address."""
    return identify(user, traits={"email": f"{user}@players.example"}, **ids, eventTimestamp=at(minutes))


def conversion(sent: dict[str, Any]) -> Conversion:
    return Conversion.objects.select_related("touch").get(message_id=sent["messageId"])


def player_of(sent: dict[str, Any]) -> Any:
    """The Person of a launch or purchase."""
    return conversion(sent).person_id


def player(user: str) -> Any:
    return Identity.objects.get(namespace="user", value=user).person_id


def won_by(sent: dict[str, Any]) -> str:
    """The click id that a launch or purchase is attributed to, else the reason why there is none."""
    found = conversion(sent)
    return found.touch.click_id if found.touch and not found.reason else found.reason


def clicks_of(user: str) -> set[str]:
    return set(Person.objects.get(pk=player(user)).touches.values_list("click_id", flat=True))


def emails(*users: str) -> list[str | None]:
    return [Person.objects.get(pk=player(user)).traits.get("email") for user in users]


# A household PC


def test_on_a_household_pc_that_keeps_its_anonymous_id_each_login_begins_a_turn(arrive: Arrive) -> None:
    """RudderStack's reset() keeps the anonymous id unless it is asked to drop it."""
    pc = {"anonymousId": "pc"}
    first, second, third = (guest("launch", minutes, **pc) for minutes in (2, 5, 8))
    bought = guest("purchase", 9, **pc)
    arrive(
        click("pc", "ADA-1", eventTimestamp=at(0)),
        login("ada", 1, anonymousId="pc"),
        first,
        login("bob", 3, anonymousId="pc"),
        click("pc", "BOB-1", eventTimestamp=at(4)),
        second,
        login("ada", 6, anonymousId="pc"),
        click("pc", "ADA-2", eventTimestamp=at(7)),
        third,
        bought,
    )

    ada, bob = player("ada"), player("bob")
    assert ada != bob
    assert [player_of(sent) for sent in (first, second, third, bought)] == [ada, bob, ada, ada]
    assert [won_by(sent) for sent in (first, second, third, bought)] == ["ADA-1", "BOB-1", "repeat_launch", "ADA-2"]
    assert (clicks_of("ada"), clicks_of("bob")) == ({"ADA-1", "ADA-2"}, {"BOB-1"})
    assert emails("ada", "bob") == ["ada@players.example", "bob@players.example"]


def test_what_is_done_between_two_logins_is_the_earlier_players(arrive: Arrive) -> None:
    between = guest("purchase", 2, anonymousId="pc")
    arrive(
        login("ada", 0, anonymousId="pc"),
        click("pc", "T", eventTimestamp=at(1)),
        between,
        login("bob", 3, anonymousId="pc"),
    )

    assert (player_of(between), won_by(between)) == (player("ada"), "T")
    assert clicks_of("bob") == set()


def test_a_player_who_signs_in_at_every_event_never_gets_the_others_click(arrive: Arrive) -> None:
    adas = purchase("ada", anonymousId="pc", eventTimestamp=at(3))
    bobs = purchase("bob", anonymousId="pc", eventTimestamp=at(4))
    arrive(
        message(userId="bob", anonymousId="pc", eventTimestamp=at(0)),
        message(userId="ada", anonymousId="pc", eventTimestamp=at(1)),
        click("pc", "ADA-1", eventTimestamp=at(2)),
        adas,
        bobs,
    )

    assert (won_by(adas), won_by(bobs)) == ("ADA-1", "no_click")


def test_traits_that_only_the_anonymous_id_tells_are_its_owners_of_that_time(arrive: Arrive) -> None:
    arrive(
        message(userId="ada", anonymousId="pc", eventTimestamp=at(0)),
        identify(ABSENT, "pc", traits={"email": "first@players.example"}, eventTimestamp=at(1)),
        message(userId="bob", anonymousId="pc", eventTimestamp=at(2)),
        identify(ABSENT, "pc", traits={"email": "second@players.example"}, eventTimestamp=at(3)),
    )

    assert emails("ada", "bob") == ["first@players.example", "second@players.example"]


# An internet cafe


def cafe(users: int) -> list[dict[str, Any]]:
    """Each user plays once at the same PC."""
    return [launch(f"u{number}", deviceId="cafe", eventTimestamp=at(number)) for number in range(users)]


@pytest.mark.long
def test_the_pc_of_an_internet_cafe_with_sixty_players_owns_nothing(arrive: Arrive) -> None:
    played = cafe(60)
    clicked = message(**NOBODY, deviceId="cafe", properties={"ttclid": "CAFE"}, eventTimestamp=at(0.5))
    launched = guest("launch", 61, anonymousId="unknown", deviceId="cafe")
    bought = guest("purchase", 20.5, anonymousId="unknown", deviceId="cafe")
    arrive(*played, clicked, launched, bought)

    players = {player(f"u{number}") for number in range(60)}
    assert len(players) == 60
    assert [player_of(sent) for sent in played] == [player(f"u{number}") for number in range(60)]
    assert {won_by(sent) for sent in played} == {"no_click"}
    assert player_of(launched) == player_of(bought)
    assert player_of(launched) not in players
    # Neither is posted, though the player of this PC has a click.
    assert (won_by(launched), won_by(bought)) == ("shared_id", "shared_id")


@pytest.mark.long
def test_a_pc_of_fifty_players_belongs_to_each_in_turn(arrive: Arrive) -> None:
    bought = [guest("purchase", minutes, anonymousId="unknown", deviceId="cafe") for minutes in (20.5, 60)]
    arrive(*cafe(MAX_OWNERS), *bought)

    assert [player_of(sent) for sent in bought] == [player("u20"), player("u49")]


def test_the_player_beyond_the_fiftieth_takes_a_pc_from_all_and_a_merge_gives_it_back(key: NewKey) -> None:
    bought = guest("purchase", 20.5, anonymousId="unknown", deviceId="cafe")
    digest(key, *cafe(MAX_OWNERS), bought)
    assert player_of(bought) == player("u20")

    digest(key, launch("u50", deviceId="cafe", eventTimestamp=at(50)))
    assert not Identity.objects.filter(namespace="user", person=player_of(bought)).exists()

    digest(key, alias("u1", "u50", eventTimestamp=at(51)))
    assert player_of(bought) == player("u20")
    assert player("u1") == player("u50")


@pytest.mark.long
def test_a_browser_of_an_internet_cafe_gives_nobody_the_click_of_another(arrive: Arrive) -> None:
    visits = [message(userId=f"u{number}", anonymousId="cafe", eventTimestamp=at(number)) for number in range(60)]
    bought = purchase("u59", anonymousId="cafe", eventTimestamp=at(62))
    alone = guest("purchase", 62, anonymousId="cafe")
    arrive(*visits, click("cafe", "CAFE", eventTimestamp=at(61)), bought, alone)

    assert (won_by(bought), won_by(alone)) == ("no_click", "shared_id")
    assert player_of(alone) not in {player(f"u{number}") for number in range(60)}


# Unity: a logout makes a new anonymous id and keeps the device id


def test_a_launch_between_logout_and_login_is_the_last_players_of_the_device(arrive: Arrive) -> None:
    before = guest("launch", 1, anonymousId="game-1", deviceId="phone")
    between = guest("launch", 3, anonymousId="game-2", deviceId="phone")
    arrive(login("ada", 0, anonymousId="game-1", deviceId="phone"), before, between)

    assert [player_of(sent) for sent in (before, between)] == [player("ada"), player("ada")]
    assert (conversion(before).reason, conversion(between).reason) == ("no_click", "repeat_launch")


def test_a_login_moves_what_its_anonymous_id_did_since_the_logout_to_the_new_player(arrive: Arrive) -> None:
    ids = {"anonymousId": "game-2", "deviceId": "phone"}
    before = guest("launch", 1, anonymousId="game-1", deviceId="phone")
    between, after = guest("launch", 3, **ids), guest("purchase", 6, **ids)
    arrive(
        click("game-1", "ADA-1", eventTimestamp=at(0)),
        login("ada", 0.5, anonymousId="game-1", deviceId="phone"),
        before,
        message(**{**NOBODY, **ids}, properties={"ttclid": "BOB-1"}, eventTimestamp=at(2)),
        identify(ABSENT, **ids, traits={"level": 7}, eventTimestamp=at(2)),
        between,
        login("bob", 5, **ids),
        after,
    )

    ada, bob = player("ada"), player("bob")
    assert [player_of(sent) for sent in (before, between, after)] == [ada, bob, bob]
    assert [won_by(sent) for sent in (before, between, after)] == ["ADA-1", "BOB-1", "BOB-1"]
    assert [Person.objects.get(pk=pk).traits for pk in (ada, bob)] == [
        {"email": "ada@players.example"},
        {"email": "bob@players.example", "level": 7},
    ]


def test_after_a_login_the_device_tells_of_the_new_player(arrive: Arrive) -> None:
    third = guest("purchase", 9, anonymousId="game-3", deviceId="phone")
    arrive(
        login("ada", 0, anonymousId="game-1", deviceId="phone"),
        login("bob", 5, anonymousId="game-2", deviceId="phone"),
        third,
    )

    assert player_of(third) == player("bob")


# One player


def test_a_click_on_the_phone_wins_the_purchase_of_the_same_player_on_the_pc(arrive: Arrive) -> None:
    started = guest("launch", 5, anonymousId="pc", deviceId="pc")
    bought = guest("purchase", 6, anonymousId="pc", deviceId="pc")
    arrive(
        click("phone", "PHONE", eventTimestamp=at(0)),
        login("ada", 1, anonymousId="phone", deviceId="phone"),
        login("ada", 4, anonymousId="pc", deviceId="pc"),
        started,
        bought,
    )

    assert {player_of(started), player_of(bought)} == {player("ada")}
    assert (won_by(started), won_by(bought)) == ("PHONE", "PHONE")
    assert emails("ada") == ["ada@players.example"]


def test_a_guest_who_signs_up_takes_click_and_launch_along(arrive: Arrive) -> None:
    launched, bought = guest("launch", 1, anonymousId="visitor"), purchase("ada", eventTimestamp=at(3))
    arrive(click("visitor", "T", eventTimestamp=at(0)), launched, login("ada", 2, anonymousId="visitor"), bought)

    assert {player_of(launched), player_of(bought)} == {player("ada")}
    assert (won_by(launched), won_by(bought)) == ("T", "T")
    assert Person.objects.count() == 1


def test_a_guest_whose_sign_up_arrives_before_the_click_ends_the_same(key: NewKey) -> None:
    launched, bought = guest("launch", 1, anonymousId="visitor"), purchase("ada", eventTimestamp=at(3))
    digest(key, login("ada", 2, anonymousId="visitor"), bought)
    assert won_by(bought) == "no_click"
    digest(key, launched)
    digest(key, click("visitor", "T", eventTimestamp=at(0)))

    assert (won_by(launched), won_by(bought)) == ("T", "T")
    assert Person.objects.count() == 1


def test_two_accounts_of_one_person_are_two_players(arrive: Arrive) -> None:
    main = purchase("main", anonymousId="pc", eventTimestamp=at(3))
    second = purchase("second", anonymousId="pc", eventTimestamp=at(5))
    arrive(
        click("pc", "T", eventTimestamp=at(0)),
        login("main", 1, anonymousId="pc"),
        main,
        login("second", 4, anonymousId="pc"),
        second,
    )

    assert player("main") != player("second")
    assert (won_by(main), won_by(second)) == ("T", "no_click")
    assert emails("main", "second") == ["main@players.example", "second@players.example"]


def test_an_alias_between_two_known_users_makes_them_one_player(arrive: Arrive) -> None:
    launches = [launch(user, eventTimestamp=at(minutes)) for user, minutes in (("old", 2), ("new", 4))]
    bought = purchase("new", eventTimestamp=at(5))
    arrive(
        click("phone", "T", eventTimestamp=at(0)),
        login("old", 1, anonymousId="phone"),
        launches[0],
        login("new", 3),
        launches[1],
        bought,
        alias("old", "new", eventTimestamp=at(6)),
    )

    assert player("old") == player("new")
    assert [won_by(sent) for sent in (*launches, bought)] == ["T", "repeat_launch", "T"]
    assert emails("old") == ["new@players.example"]


# Aliases from a guest


def test_siblings_who_sign_up_from_one_guest_id_stay_two_players(arrive: Arrive) -> None:
    first, second = guest("launch", 1, anonymousId="visitor"), guest("launch", 6, anonymousId="visitor")
    arrive(
        click("visitor", "T", eventTimestamp=at(0)),
        first,
        alias("visitor", "ada", eventTimestamp=at(2)),
        login("ada", 3),
        alias("visitor", "bob", eventTimestamp=at(4)),
        login("bob", 5),
        second,
    )

    assert [player_of(first), player_of(second)] == [player("ada"), player("bob")]
    assert player("ada") != player("bob")
    assert (won_by(first), won_by(second)) == ("T", "no_click")
    assert emails("ada", "bob") == ["ada@players.example", "bob@players.example"]


def test_a_guest_id_that_turns_out_to_be_a_user_id_joins_those_that_it_was_aliased_to(arrive: Arrive) -> None:
    as_guest, as_user = guest("purchase", 1, anonymousId="7656"), purchase("7656", eventTimestamp=at(9))
    arrive(
        click("7656", "T", eventTimestamp=at(0)),
        as_guest,
        alias("7656", "ada", eventTimestamp=at(2)),
        alias("7656", "bob", eventTimestamp=at(4)),
        as_user,
    )

    assert player("7656") == player("ada") == player("bob") == player_of(as_user)
    assert player_of(as_guest) != player("ada")
    assert (won_by(as_guest), won_by(as_user)) == ("T", "no_click")


# Late news


def test_a_late_login_of_an_offline_phone_moves_click_launch_and_traits_to_its_player(key: NewKey) -> None:
    launched = guest("launch", 5, anonymousId="phone")
    digest(key, click("phone", "T", eventTimestamp=at(4)), launched, login("bob", 8, anonymousId="phone"))
    digest(key, identify(ABSENT, "phone", traits={"level": 7}, eventTimestamp=at(6)))
    bobs = launch("bob", eventTimestamp=at(9))
    digest(key, bobs)
    assert (player_of(launched), won_by(launched), won_by(bobs)) == (player("bob"), "T", "repeat_launch")

    digest(key, login("ada", 2, anonymousId="phone"))

    assert (player_of(launched), won_by(launched)) == (player("ada"), "T")
    assert (player_of(bobs), won_by(bobs)) == (player("bob"), "no_click")
    assert (clicks_of("ada"), clicks_of("bob")) == ({"T"}, set())
    traits = [Person.objects.get(pk=player(user)).traits for user in ("ada", "bob")]
    assert traits == [{"email": "ada@players.example", "level": 7}, {"email": "bob@players.example"}]


def test_a_login_that_joins_a_guest_and_moves_a_click_of_the_same_player(key: NewKey) -> None:
    """The digest merges the player who is about to lose the click."""
    on_first, on_second = {"anonymousId": "browser-1"}, {"anonymousId": "browser-2"}
    bought = guest("purchase", 40, **on_first)
    digest(key, guest("launch", 1, **on_second))
    digest(key, click("browser-1", "ad.1", eventTimestamp=at(20)))
    digest(key, login("player-1", 30, **on_first), bought)
    assert won_by(bought) == "ad.1"
    again = click("browser-2", "ad.1", userId="player-1", eventTimestamp=at(60))
    digest(key, again, login("player-2", 10, **on_first))
    assert won_by(bought) == Reason.NO_CLICK
    assert clicks_of("player-1") == clicks_of("player-2") == {"ad.1"}


@pytest.mark.parametrize("earlier", ["nobody", "bob"])
def test_a_late_login_of_the_same_moment_as_others_takes_its_place_between_them(key: NewKey, earlier: str) -> None:
    """Namings of one moment are in the order of their message ids."""
    first, between, last = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 3, 5))
    turns = [("ada", first), ("ada", last), ("bob", between)]
    bought = guest("purchase", 2, anonymousId="pc")
    if earlier == "bob":
        digest(key, message(userId="bob", anonymousId="pc", eventTimestamp=at(0)))
    for user, message_id in turns:
        digest(key, message(userId=user, anonymousId="pc", messageId=message_id, eventTimestamp=at(1)))
    digest(key, bought)

    assert player_of(bought) == player("ada")


@pytest.mark.parametrize("event", ["launch", "purchase"])
def test_a_conversion_that_was_handed_to_a_postback_keeps_its_click(key: NewKey, event: str) -> None:
    sent = guest(event, 5, anonymousId="phone")
    digest(key, click("phone", "T", eventTimestamp=at(4)), sent, login("bob", 8, anonymousId="phone"))
    handed_over_at = timezone.now()
    Conversion.objects.update(fanned_out_at=handed_over_at, reason="")

    digest(key, login("ada", 2, anonymousId="phone"))

    found = conversion(sent)
    assert (won_by(sent), found.reason, found.fanned_out_at) == ("T", "", handed_over_at)


def test_a_handed_over_conversion_of_a_guest_keeps_its_click_when_the_guest_signs_up(key: NewKey) -> None:
    sent = guest("purchase", 5, anonymousId="phone")
    digest(key, click("phone", "T", eventTimestamp=at(4)), sent)
    handed_over_at = timezone.now()
    Conversion.objects.update(fanned_out_at=handed_over_at, reason="")

    digest(key, login("ada", 8, anonymousId="phone"))

    found = conversion(sent)
    assert (won_by(sent), found.fanned_out_at) == ("T", handed_over_at)
    assert clicks_of("ada") == {"T"}


# A browser whose SDK repeats the tab's first click


def repeated(ttclid: str, **changes: Any) -> dict[str, Any]:
    """What Immutable's web SDK states after reset() in page() and sign_up: the click that opened the tab."""
    opened = {"ttclid": ttclid, "landing_page": f"https://mygame.com/?ttclid={ttclid}", "touchpoint_type": "click"}
    return message(properties=opened, context={**LIBRARY, "pageUrl": "https://mygame.com/shop"}, **changes)


def visit(anonymous_id: str, minutes: float, ttclid: str = "ADA-1") -> dict[str, Any]:
    """A page() that repeats the click."""
    return repeated(
        ttclid, type="page", eventName=ABSENT, userId=ABSENT, anonymousId=anonymous_id, eventTimestamp=at(minutes)
    )


def test_a_click_that_the_sdk_repeats_after_reset_is_not_the_next_players(arrive: Arrive) -> None:
    adas, bobs = (
        launch(user, anonymousId=pc, eventTimestamp=at(m)) for user, pc, m in [("ada", "a1", 2), ("bob", "a2", 5)]
    )
    arrive(
        click("a1", "ADA-1", eventTimestamp=at(0)),
        login("ada", 1, anonymousId="a1"),
        adas,
        visit("a2", 3),
        login("bob", 4, anonymousId="a2"),
        bobs,
    )

    assert (won_by(adas), won_by(bobs)) == ("ADA-1", "no_click")


def test_a_click_that_the_sdk_repeats_does_not_win_over_the_next_players_own(arrive: Arrive) -> None:
    adas, bobs = (
        launch(user, anonymousId=pc, eventTimestamp=at(m)) for user, pc, m in [("ada", "a1", 2), ("bob", "a2", 6)]
    )
    arrive(
        click("a1", "ADA-1", eventTimestamp=at(0)),
        login("ada", 1, anonymousId="a1"),
        adas,
        click("a2", "BOB-1", eventTimestamp=at(3)),
        login("bob", 4, anonymousId="a2"),
        repeated("ADA-1", eventName="sign_up", userId="bob", anonymousId="a2", eventTimestamp=at(5)),
        bobs,
    )

    assert (won_by(adas), won_by(bobs)) == ("ADA-1", "BOB-1")


def test_a_click_that_only_a_guest_stated_before_is_the_players(arrive: Arrive) -> None:
    """A backend sends what its guest clicked, with the user id only."""
    bobs = launch("bob", eventTimestamp=at(5))
    arrive(
        click("a1", "T-1", eventTimestamp=at(0)),
        repeated("T-1", eventName="sign_up", userId="bob", eventTimestamp=at(3)),
        bobs,
    )

    assert won_by(bobs) == "T-1"


def test_a_click_in_the_url_of_the_page_counts_though_another_player_had_it(arrive: Arrive) -> None:
    """People try an integration with one link again and again."""
    bobs = launch("bob", anonymousId="a2", eventTimestamp=at(5))
    arrive(
        click("a1", "T-1", eventTimestamp=at(0)),
        login("ada", 1, anonymousId="a1"),
        click("a2", "T-1", eventTimestamp=at(3)),
        visit("a2", 2, "T-1"),
        login("bob", 4, anonymousId="a2"),
        bobs,
    )

    assert won_by(bobs) == "T-1"


def test_a_player_who_repeats_their_own_click_keeps_it(arrive: Arrive) -> None:
    adas = launch("ada", anonymousId="a1", eventTimestamp=at(5))
    arrive(
        login("ada", 1, anonymousId="a1"),
        visit("a1", 2),
        repeated("ADA-1", eventName="sign_up", userId="bob", anonymousId="a2", eventTimestamp=at(4)),
        adas,
    )

    assert won_by(adas) == "ADA-1"
