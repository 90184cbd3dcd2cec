"""Erasing one of several players who share a browser or a device, and erasing the shared id itself."""

import random
from typing import Any

import pytest
from django.utils import timezone

from audience.digest import active_quarters
from audience.digest.owned_ids import owned_ids, player_of
from audience.games.keys import NewKey
from audience.models import (
    ActiveQuarter,
    Conversion,
    Device,
    Erasure,
    Event,
    Game,
    Group,
    Identity,
    Owners,
    Ownership,
    Person,
    Rejection,
    Role,
    Touch,
)
from consent.models import ConsentDecision
from postbacks.models import Delivery
from postbacks.outbox import fan_out
from tests import factories, hub
from tests.audience.immutable import ABSENT, ago, alias, click, digest, identify, launch, message, page, purchase, send
from tests.audience.test_erasure import erase, person_of, tables
from tests.audience.test_owned_ids import any_history
from tests.effort import examples

pytestmark = pytest.mark.django_db

BROWSER, ADA, BOB = "family-browser", "player-ada", "player-bob"
ANYBODY = {"userId": ABSENT, "anonymousId": BROWSER}


def unnamed(event: str, minutes: int, **changes: Any) -> dict[str, Any]:
    """A track event of the browser without a user."""
    return message(**{"eventName": event, "eventTimestamp": ago(minutes=minutes), **ANYBODY, **changes})


def login(user: str, minutes: int, **changes: Any) -> dict[str, Any]:
    return identify(user, BROWSER, eventTimestamp=ago(minutes=minutes), **changes)


@pytest.fixture
def family(key: NewKey) -> None:
    """Ada clicks an ad, logs in and plays; then Bob does; then Ada buys on her phone."""
    digest(
        key,
        click(BROWSER, "click-ada", eventTimestamp=ago(minutes=60)),
        login(ADA, 50, traits={"email": "ada@example.com"}),
        unnamed("game_launch", 40),
        login(BOB, 30, traits={"email": "bob@example.com"}),
        click(BROWSER, "click-bob", eventTimestamp=ago(minutes=25)),
        unnamed("purchase", 20),
        purchase(ADA, eventTimestamp=ago(minutes=10)),
    )


def events() -> list[tuple[str, str, str]]:
    """(kind or name, user id, anonymous id) of every event, in order of time."""
    rows = Event.objects.order_by("event_at")
    return [(row.name or row.kind, row.user_id, row.anonymous_id) for row in rows]


def browser() -> Identity:
    return Identity.objects.get(namespace="anonymous", value=BROWSER)


def found(text: str) -> list[str]:
    """The tables with this text in any column."""
    return [table for table, rows in tables() if text in rows]


# By user id


def test_the_first_of_two_players_of_a_browser_is_erased_with_what_it_told_in_their_time(
    family: None, secret_key: NewKey
) -> None:
    receipt = erase(secret_key, {"userId": ADA})

    assert events() == [
        ("identify", BOB, BROWSER),
        ("page", "", BROWSER),
        ("purchase", "", BROWSER),
    ]
    assert [touch.click_id for touch in Touch.objects.all()] == ["click-bob"]
    (bought,) = Conversion.objects.all()
    assert (bought.trigger, bought.person, bought.touch) == ("purchase", person_of(BOB), Touch.objects.get())
    assert {name: receipt.counts[name] for name in ("events", "conversions", "touches", "identities", "people")} == {
        "events": 4,
        "conversions": 2,
        "touches": 1,
        "identities": 1,
        "people": 1,
    }
    for trace in (ADA, "ada@example.com", "click-ada"):
        assert found(trace) == [], trace


def test_the_last_of_two_players_of_a_browser_is_erased_with_what_it_told_in_their_time(
    family: None, secret_key: NewKey
) -> None:
    assert browser().person == person_of(BOB)
    erase(secret_key, {"userId": BOB})

    assert events() == [
        ("page", "", BROWSER),
        ("identify", ADA, BROWSER),
        ("game_launch", "", BROWSER),
        ("purchase", ADA, ""),
    ]
    for trace in (BOB, "bob@example.com", "click-bob"):
        assert found(trace) == [], trace


@pytest.mark.parametrize(("erased", "other"), [(ADA, BOB), (BOB, ADA)])
def test_the_shared_id_stays_with_the_one_player_who_is_left(
    family: None, key: NewKey, secret_key: NewKey, erased: str, other: str
) -> None:
    erase(secret_key, {"userId": erased})

    assert (browser().owners, browser().person) == (Owners.ONE, person_of(other))
    assert browser().named_at == Event.objects.get(kind="identify").event_at
    assert not Ownership.objects.exists()
    digest(key, unnamed("purchase", 5))
    assert Conversion.objects.latest("event_at").person == person_of(other)
    erase(secret_key, {"userId": other})
    assert not Event.objects.exists()
    assert not Identity.objects.exists()


def test_an_id_shared_by_two_other_players_is_kept_for_them(key: NewKey, secret_key: NewKey) -> None:
    digest(key, login("one", 60), login("two", 50), login("one", 40), login("three", 30), login("two", 20))
    erase(secret_key, {"userId": "three"})

    last = Ownership.objects.latest("first_at").first_at
    assert (browser().owners, browser().person, browser().named_at) == (Owners.SEVERAL, person_of("two"), last)
    runs = Ownership.objects.order_by("first_at").values_list("user__value", flat=True)
    assert list(runs) == ["one", "two", "one", "two"]
    erase(secret_key, {"userId": "two"})
    assert (browser().owners, browser().person) == (Owners.ONE, person_of("one"))


def test_two_runs_that_an_erased_player_parted_are_one(key: NewKey, secret_key: NewKey) -> None:
    digest(key, login("one", 60), login("two", 50), login("one", 40), login("three", 30))
    erase(secret_key, {"userId": "two"})

    runs = Ownership.objects.order_by("first_at").values_list("user__value", flat=True)
    assert list(runs) == ["one", "three"]


def test_the_receipt_of_a_player_does_not_name_the_id_that_stays(family: None, key: NewKey, secret_key: NewKey) -> None:
    receipt = erase(secret_key, {"userId": ADA})

    assert list(Erasure.objects.for_subject(receipt.game_id, ADA)) == [receipt]
    assert not Erasure.objects.for_subject(receipt.game_id, BROWSER).exists()
    digest(key, unnamed("purchase", 15))
    assert [row.reason for row in Conversion.objects.all()] == ["", ""]


def test_consent_and_rejections_are_erased_by_their_time(
    family: None, key: NewKey, secret_key: NewKey, game: Game
) -> None:
    for minutes, level in ((45, "none"), (15, "full")):
        ConsentDecision.objects.create(
            game_id=game.pk, anonymous_id=BROWSER, level=level, source="web", decided_at=ago(minutes=minutes)
        )
    send(key, message(**ANYBODY, surface="tv"))
    receipt = erase(secret_key, {"userId": ADA})

    assert [row.level for row in ConsentDecision.objects.all()] == ["full"]
    assert Rejection.objects.count() == 1
    assert (receipt.counts["consent_decisions"], receipt.counts["rejections"]) == (1, 0)
    receipt = erase(secret_key, {"userId": BOB})
    assert (receipt.counts["consent_decisions"], receipt.counts["rejections"]) == (1, 1)
    assert found(BROWSER) == []


def test_a_conversion_that_was_handed_over_under_another_player_goes_with_its_event(
    key: NewKey, secret_key: NewKey, game: Game
) -> None:
    """Bob's login comes late: his purchase was reported as Ada's."""
    factories.config(game)
    digest(
        key,
        click(BROWSER, "click-ada", eventTimestamp=ago(minutes=60)),
        login(ADA, 50),
        unnamed("purchase", 20),
    )
    fan_out.fan_out_due()
    digest(key, login(BOB, 30))
    sold = Conversion.objects.get()
    assert sold.person == person_of(ADA)
    (waiting,) = Delivery.objects.all()
    receipt = erase(secret_key, {"userId": BOB})

    assert not Conversion.objects.exists()
    assert (receipt.counts["conversions"], receipt.counts["postbacks_cancelled"]) == (1, 1)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason, waiting.conversion) == ("cancelled", "erased", None)
    assert [touch.click_id for touch in Touch.objects.all()] == ["click-ada"]


def test_a_shared_device_tells_of_the_erased_player_only_where_no_anonymous_id_does(
    key: NewKey, secret_key: NewKey
) -> None:
    digest(
        key,
        message(userId=ADA, deviceId="console", eventTimestamp=ago(minutes=60)),
        message(userId="undefined", deviceId="console", eventName="of-ada", eventTimestamp=ago(minutes=50)),
        message(userId=BOB, anonymousId="bob-1", deviceId="console", eventTimestamp=ago(minutes=40)),
        message(
            userId=ABSENT, anonymousId="bob-1", deviceId="console", eventName="of-bob", eventTimestamp=ago(minutes=55)
        ),
    )
    erase(secret_key, {"userId": ADA})

    assert [(row.name, row.user_id) for row in Event.objects.order_by("event_at")] == [("of-bob", ""), ("sign_in", BOB)]


def test_an_id_that_tells_nothing_stays_with_whom_its_other_events_tell_of(key: NewKey, secret_key: NewKey) -> None:
    """The anonymous id was never sent with a user ID: the device, that several share, tells."""
    other = {"userId": ABSENT, "anonymousId": "guest-1", "deviceId": "console"}
    digest(
        key,
        message(userId=ADA, deviceId="console", eventTimestamp=ago(minutes=60)),
        message(**other, eventTimestamp=ago(minutes=50)),
        message(userId=BOB, deviceId="console", eventTimestamp=ago(minutes=40)),
        message(**other, eventTimestamp=ago(minutes=30)),
    )
    guest = Identity.objects.get(value="guest-1")
    assert (guest.owners, guest.person) == (Owners.OTHER, person_of(ADA))
    erase(secret_key, {"userId": ADA})

    guest.refresh_from_db()
    assert (guest.owners, guest.person) == (Owners.OTHER, person_of(BOB))
    erase(secret_key, {"userId": BOB})
    assert not Identity.objects.exists()


def test_an_id_that_stays_with_another_player_erases_nothing_of_theirs(
    key: NewKey, secret_key: NewKey, game: Game
) -> None:
    """As above, with a consent decision and a late purchase."""
    other = {"userId": ABSENT, "anonymousId": "guest-1", "deviceId": "console"}
    digest(
        key,
        message(userId=ADA, deviceId="console", eventTimestamp=ago(minutes=60)),
        message(**other, eventTimestamp=ago(minutes=50)),
        message(userId=BOB, deviceId="console", eventTimestamp=ago(minutes=40)),
        message(**other, eventTimestamp=ago(minutes=30)),
    )
    ConsentDecision.objects.create(
        game_id=game.pk, anonymous_id="guest-1", level="full", source="web", decided_at=ago(minutes=20)
    )
    erase(secret_key, {"userId": ADA})
    digest(key, purchase(BOB, eventTimestamp=ago(minutes=10)))

    assert ConsentDecision.objects.exists()
    assert Conversion.objects.get().reason == "no_click"


def test_the_user_of_a_crowd_is_erased_without_what_only_the_id_tells(key: NewKey, secret_key: NewKey) -> None:
    digest(key, *(login(f"user-{number}", 100 - number) for number in range(51)), unnamed("sign_in", 5))
    assert browser().owners == Owners.CROWD
    nobody = browser().person
    erase(secret_key, {"userId": "user-50"})

    assert (browser().owners, browser().person) == (Owners.CROWD, nobody)
    assert [row for row in events() if row[1] in ("user-50", "")] == [("sign_in", "", BROWSER)]
    assert Ownership.objects.count() == 50


# By an anonymous id


def test_an_anonymous_id_that_was_named_with_one_user_names_that_player(key: NewKey, secret_key: NewKey) -> None:
    digest(key, login(ADA, 50), purchase(ADA), unnamed("sign_in", 5))
    receipt = erase(secret_key, {"anonymousId": BROWSER})

    assert not Event.objects.exists()
    assert not Person.objects.exists()
    assert receipt.is_of_shared_id is False


def test_erasing_a_shared_id_deletes_the_id_and_the_events_that_have_only_it(family: None, secret_key: NewKey) -> None:
    receipt = erase(secret_key, {"anonymousId": BROWSER})

    assert events() == [("identify", ADA, ""), ("identify", BOB, ""), ("purchase", ADA, "")]
    assert not Touch.objects.exists()
    (bought,) = Conversion.objects.all()
    assert (bought.user_id, bought.touch, bought.reason) == (ADA, None, "no_click")
    assert [person_of(user).traits for user in (ADA, BOB)] == [
        {"email": "ada@example.com"},
        {"email": "bob@example.com"},
    ]
    assert list(Identity.objects.order_by("value").values_list("value", flat=True)) == [ADA, BOB]
    for trace in (BROWSER, "click-ada", "click-bob"):
        assert found(trace) == [], trace
    assert receipt.is_of_shared_id is True
    assert receipt.counts == {
        "postbacks_cancelled": 0,
        "events": 4,
        "rejections": 0,
        "consent_decisions": 0,
        "conversions": 2,
        "touches": 2,
        "devices": 0,
        "identities": 1,
        "people": 0,
        "events_kept": 2,
    }


def test_what_events_with_a_user_id_state_too_is_kept(key: NewKey, secret_key: NewKey) -> None:
    """The click, the trait, the group and the launch are told with and without the user."""
    group = {"type": "identify", "eventName": ABSENT}
    digest(
        key,
        login(ADA, 60),
        click(BROWSER, "click-1", eventTimestamp=ago(minutes=55)),
        unnamed(ABSENT, 50, **group, traits={"email": "told@example.com", "plan": "gold"}),
        unnamed("game_launch", 48),
        click(BROWSER, "click-1", userId=ADA, eventTimestamp=ago(minutes=45)),
        login(ADA, 58, traits={"email": "ada@example.com"}),
        launch(ADA, eventTimestamp=ago(minutes=40)),
        login(BOB, 30),
    )
    assert person_of(ADA).traits == {"email": "told@example.com", "plan": "gold"}
    erase(secret_key, {"anonymousId": BROWSER})

    assert person_of(ADA).traits == {"email": "ada@example.com"}
    (touch,) = Touch.objects.all()
    assert (touch.click_id, touch.person) == ("click-1", person_of(ADA))
    assert touch.clicked_at == Event.objects.get(kind="page").event_at
    (launched,) = Conversion.objects.all()
    assert (launched.user_id, launched.touch, launched.reason) == (ADA, touch, "")


def test_exactly_the_traits_of_erased_pages_and_identifies_are_removed(key: NewKey, secret_key: NewKey) -> None:
    """Those of pages have times of their own kind: an identify of the same moment may have set the same trait."""

    def visit(minutes: float, traits: dict[str, Any], **fields: Any) -> dict[str, Any]:
        context = {"library": "web", "libraryVersion": "1", "traits": traits}
        return page(BROWSER, **{"eventTimestamp": ago(minutes=minutes), "context": context, **fields})

    at = ago(minutes=50)
    digest(
        key,
        login(ADA, 60),
        visit(55, traits={"city": "Oslo", "level": 7}),
        visit(54, traits={"city": "Oslo", "team": "red"}, userId=ADA),
        visit(0, eventTimestamp=at, traits={"plan": "gold", "age": 30}),
        identify(ADA, traits={"plan": "gold"}, eventTimestamp=at),
        unnamed(ABSENT, 52, type="identify", traits={"rank": 3}),
        login(BOB, 30),
        visit(20, traits={"city": "Rome"}),
    )
    assert person_of(ADA).traits == {"city": "Oslo", "level": 7, "team": "red", "plan": "gold", "age": 30, "rank": 3}
    assert person_of(BOB).traits == {"city": "Rome"}
    erase(secret_key, {"anonymousId": BROWSER})

    assert person_of(ADA).traits == {"city": "Oslo", "team": "red", "plan": "gold"}
    assert person_of(ADA).trait_times.keys() == {"city", "team", "plan"}
    assert (person_of(BOB).traits, person_of(BOB).trait_times) == ({}, {})


def test_a_shared_id_that_is_sent_as_an_order_id_is_deleted_everywhere(key: NewKey, secret_key: NewKey) -> None:
    properties = {"value": 9.99, "currency": "USD", "order_id": BROWSER}
    bought = purchase(ADA, anonymousId=BROWSER, eventTimestamp=ago(minutes=40), properties=properties)
    digest(key, login(ADA, 60), bought, login(BOB, 30))
    assert Conversion.objects.get().order_id == BROWSER
    erase(secret_key, {"anonymousId": BROWSER})

    assert Conversion.objects.get().order_id == ""
    assert found(BROWSER) == []


def test_a_purchase_counts_in_place_of_an_erased_one_of_its_order_and_is_not_sent_again(
    key: NewKey, secret_key: NewKey
) -> None:
    properties = {"value": 9.99, "currency": "USD", "order_id": "T-1"}
    sent = unnamed("purchase", 40, properties=properties)
    digest(key, login(ADA, 60), sent, purchase(ADA, eventTimestamp=ago(minutes=39), properties=properties))
    handed_over_at = timezone.now()
    Conversion.objects.filter(repeats_order=False).update(fanned_out_at=handed_over_at, reason="")
    Conversion.objects.filter(repeats_order=True).update(fanned_out_at=handed_over_at, reason="repeat_order")
    digest(key, login(BOB, 30))
    erase(secret_key, {"anonymousId": BROWSER})

    (kept,) = Conversion.objects.counted()
    assert (kept.user_id, kept.reason, kept.fanned_out_at) == (ADA, "repeat_order", handed_over_at)


def test_a_shared_id_in_an_alias_is_deleted_everywhere(key: NewKey, secret_key: NewKey) -> None:
    digest(key, alias(BROWSER, ADA, eventTimestamp=ago(minutes=60)), login(BOB, 30))
    erase(secret_key, {"anonymousId": BROWSER})

    assert events() == [("alias", ADA, ""), ("identify", BOB, "")]
    assert found(BROWSER) == []


def test_deliveries_of_events_that_have_only_the_shared_id_are_cancelled(
    family: None, key: NewKey, secret_key: NewKey, game: Game
) -> None:
    """Also the postback of Ada's own purchase, which carries the erased click."""
    factories.config(game)
    fan_out.fan_out_due()
    assert Delivery.objects.filter(state="waiting").count() == 3
    receipt = erase(secret_key, {"anonymousId": BROWSER})

    assert receipt.counts["postbacks_cancelled"] == 3
    assert not Delivery.objects.filter(state="waiting").exists()
    (bought,) = Conversion.objects.all()
    assert (bought.user_id, bought.touch, bought.reason) == (ADA, None, "erased")
    for trace in (BROWSER, "click-ada", "click-bob"):
        assert found(trace) == [], trace


def test_an_id_shared_by_many_is_erased_with_the_player_of_its_events(key: NewKey, secret_key: NewKey) -> None:
    digest(key, *(login(f"user-{number}", 100 - number) for number in range(51)), unnamed("sign_in", 5))
    receipt = erase(secret_key, {"anonymousId": BROWSER})

    assert found(BROWSER) == []
    assert (Event.objects.count(), Person.objects.count()) == (51, 51)
    assert (receipt.counts["events_kept"], receipt.counts["people"]) == (51, 1)


def test_the_player_of_a_crowds_id_goes_also_where_its_events_are_not_kept(
    key: NewKey, secret_key: NewKey, game: Game
) -> None:
    digest(key, *(login(f"user-{number}", 100 - number) for number in range(51)), unnamed("purchase", 5))
    Event.objects.all().delete()
    assert Conversion.objects.get().person == browser().person
    receipt = erase(secret_key, {"anonymousId": BROWSER})

    assert not Conversion.objects.exists()
    assert (receipt.counts["conversions"], receipt.counts["people"], Person.objects.count()) == (1, 1, 51)


def test_devices_and_groups_of_only_the_shared_id_are_deleted(key: NewKey, secret_key: NewKey, game: Game) -> None:
    digest(key, login(ADA, 60), login(BOB, 30))
    told = {"game_id": game.pk, "anonymous_id": BROWSER, "dialect": "parcelvoy"}
    for number, fields in enumerate(
        [
            {"kind": "group", "group_id": "guild-red"},
            {"kind": "device", "device_id": "phone-7", "properties": {"token": "fcm-7"}},
        ]
    ):
        at = Event.objects.order_by("-event_at")[0].event_at
        Event.objects.create(
            **told, **fields, message_id=f"told-{number}", event_at=at, received_at=at, day=at.date(), raw={}
        )
    Group.objects.create(game=game, group_id="guild-red").members.add(person_of(BOB))
    Device.objects.create(game=game, person=person_of(BOB), device_id="phone-7", token="fcm-7")
    Device.objects.create(game=game, person=person_of(BOB), device_id="phone-8")
    erase(secret_key, {"anonymousId": BROWSER})

    assert [device.device_id for device in Device.objects.all()] == ["phone-8"]
    assert not Group.objects.get().members.exists()


def test_a_late_event_of_the_erased_id_is_erased_but_its_users_are_not(
    family: None, key: NewKey, secret_key: NewKey
) -> None:
    erase(secret_key, {"anonymousId": BROWSER})
    digest(key, unnamed("purchase", 22), purchase(BOB, anonymousId=BROWSER, eventTimestamp=ago(minutes=21)))

    late = Conversion.objects.exclude(user_id=ADA).order_by("event_at")
    assert [row.reason for row in late] == ["erased", "no_click"]


@pytest.mark.parametrize("query", [{"anonymousId": "undefined"}, {"userId": "null"}])
def test_a_placeholder_cannot_be_erased(key: NewKey, secret_key: NewKey, query: dict[str, str]) -> None:
    digest(key, message(userId="null"), message(userId="null", anonymousId="undefined"))
    receipt = erase(secret_key, query)

    assert Event.objects.count() == 2
    assert receipt.counts["events"] == 0


# Any history


@pytest.mark.long
@pytest.mark.parametrize("seed", range(examples(30)))
@pytest.mark.parametrize("namespace", ["user", "anonymous"])
def test_after_an_erasure_every_other_event_keeps_its_player(
    key: NewKey, secret_key: NewKey, game: Game, namespace: str, seed: int
) -> None:
    history = any_history(random.Random(seed))
    for part in (history[:7], history[7:]):
        digest(key, *part)
    before = {event.pk: player_of(event) for event in Event.objects.all()}
    subject = Identity.objects.filter(namespace=namespace).earliest("first_seen_at", "pk")
    users = [one.key[1] for one in owned_ids(subject.person) if one.key[0] == "user"]
    receipt = erase(secret_key, {f"{namespace}Id": subject.value})

    assert {event.pk: player_of(event) for event in Event.objects.all()} == {
        pk: before[pk] for pk in Event.objects.values_list("pk", flat=True)
    }
    if receipt.is_of_shared_id:
        assert found(subject.value) == []
    else:
        assert subject.person_id not in {player_of(event) for event in Event.objects.all()}
        assert [value for value in users if found(value)] == []
    for column, name in (("anonymous_id", "anonymous"), ("device_id", "device")):
        used = set(Event.objects.exclude(**{column: ""}).values_list(column, flat=True))
        assert used == set(Identity.objects.filter(namespace=name).values_list("value", flat=True))
    assert not Identity.objects.filter(person=None).exists()
    for row in Identity.objects.exclude(owners=Owners.NONE):
        players = set(row.ownerships.values_list("user__person", flat=True))
        assert len(players) >= 2 if row.owners == Owners.SEVERAL else not players


# What the page says


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"userId": ADA}, "The player was erased."),
        (
            {"anonymousId": BROWSER},
            "This ID did not belong to a single player. The ID and the data known only by it were erased.",
        ),
    ],
)
def test_the_receipt_says_which_of_the_two_was_done(
    family: None, secret_key: NewKey, game: Game, query: dict[str, str], sentence: str
) -> None:
    erase(secret_key, query)

    page = hub.member(game, Role.VIEWER).get(f"/g/{game.slug}/privacy/").content.decode()
    assert sentence in page.split('id="receipts"')[1]


def test_the_privacy_page_says_what_an_erasure_of_a_shared_id_removes(game: Game) -> None:
    page = " ".join(hub.member(game, Role.ADMIN).get(f"/g/{game.slug}/privacy/").content.decode().split())
    assert "An ID that several players share is kept for the others." in page
    assert "the players and their own events are kept without the ID." in page


def test_activity_that_only_erased_events_show_is_forgotten(key: NewKey, secret_key: NewKey) -> None:
    digest(
        key,
        click(BROWSER, "click-ada", eventTimestamp=ago(minutes=300)),
        login(ADA, 240),
        unnamed("level_up", 180),
        login(BOB, 120),
        unnamed("level_up", 60),
    )
    ada, bob = person_of(ADA), person_of(BOB)
    assert [ActiveQuarter.objects.filter(person_id=one.pk).count() for one in (ada, bob)] == [3, 0]
    erase(secret_key, {"anonymousId": BROWSER})
    (quarter,) = ActiveQuarter.objects.all()
    named = Event.objects.get(user_id=ADA)
    assert (quarter.person_id, quarter.starts_at) == (ada.pk, active_quarters.quarter_of(named.event_at))
