"""A click that several events state: one touch, filled from all of them, in any order of arrival."""

import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.digest import event_groups, merge, queue, touches
from audience.digest.event_groups import ClaimedBatch
from audience.games.keys import NewKey
from audience.models import Batch, Event, Game, Touch
from tests import factories
from tests.audience.immutable import LIBRARY, digest, identify, message, page, purchase, send
from tests.audience.test_click_places import PLACES, filled

pytestmark = pytest.mark.django_db
START = datetime.now(UTC) - timedelta(hours=2)
URL = "https://mygame.com/?ttclid=T1"
# What each sighting adds to the page URL, by the minute of its event.
SIGHTINGS: dict[int, dict[str, Any]] = {
    1: {"context": {"pageUrl": URL, "userAgent": "first"}},
    2: {"context": {"pageUrl": URL, "ip": "203.0.113.2", "userAgent": "second"}, "properties": {"_fbp": "fb.1.1.2"}},
    3: {
        "context": {"pageUrl": f"{URL}&utm_campaign=third", "ip": "203.0.113.3"},
        "properties": {"_ttp": "third", "_fbp": "fb.1.1.3"},
    },
    4: {
        "context": {"pageUrl": f"{URL}&utm_campaign=fourth", "pageReferrer": "https://t.co/4"},
        "properties": {"_ttp": "fourth"},
    },
}


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def sighting(minute: int, player: str = "a-1") -> dict[str, Any]:
    fields = SIGHTINGS[minute]
    context = {**LIBRARY, **fields["context"]}
    return page(player, **{**fields, "context": context, "eventTimestamp": at(minute).isoformat()})


def facts() -> dict[str, Any]:
    """The only touch, without ids of rows and messages."""
    touch = Touch.objects.get()
    names = ("clicked_at", "parameter", "click_id", "campaign", "page_url", "referrer", "ip", "user_agent")
    return {name: getattr(touch, name) for name in (*names, "browser_id", "cookies", "is_repeated")}


EXPECTED = {
    "clicked_at": at(1),
    "parameter": "ttclid",
    "click_id": "T1",
    "campaign": {"utm_campaign": "third"},
    "page_url": URL,
    "referrer": "https://t.co/4",
    "ip": "203.0.113.2",
    "user_agent": "first",
    "browser_id": "third",
    "cookies": {"_ttp": "third", "_fbp": "fb.1.1.2"},
    "is_repeated": False,
}


def redigest(game: Game) -> None:
    Batch.objects.filter(game=game).update(state="pending", next_attempt_at=timezone.now())
    queue.drain()


@pytest.mark.long
@pytest.mark.parametrize("order", list(itertools.permutations(SIGHTINGS)), ids=str)
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one digest"])
def test_the_earliest_value_of_each_fact_wins_in_every_order(
    key: NewKey, order: tuple[int, ...], at_once: bool
) -> None:
    for minute in order:
        assert send(key, sighting(minute)).json()["accepted"] == 1
        if not at_once:
            queue.drain()
    queue.drain()

    assert facts() == EXPECTED


def test_a_repeated_digest_changes_nothing(key: NewKey) -> None:
    digest(key, *map(sighting, SIGHTINGS))
    before = Touch.objects.values().get()
    digest(key, *map(sighting, SIGHTINGS))

    assert {**Touch.objects.values().get(), "message_id": ""} == {**before, "message_id": ""}


@pytest.mark.parametrize("first", [(1, 4), (2, 3), (3, 1)], ids=str)
def test_a_merge_unites_what_two_players_state_of_one_click(key: NewKey, first: tuple[int, ...]) -> None:
    digest(key, *(sighting(minute, "a-1") for minute in first))
    digest(key, *(sighting(minute, "a-2") for minute in SIGHTINGS if minute not in first))
    assert Touch.objects.count() == 2
    digest(key, identify("ada", "a-1"), identify("ada", "a-2"))

    assert facts() == EXPECTED


def test_two_touches_united_in_either_order_are_the_same(game: Game) -> None:
    def touch(number: int) -> Touch:
        chosen = random.Random(number)
        return Touch(
            clicked_at=at(chosen.randint(1, 3)),
            message_id=f"m-{number % 5}",
            ip=chosen.choice(["", f"203.0.113.{number}"]),
            referrer=chosen.choice(["", f"https://r{number}.example"]),
            campaign=chosen.choice([{}, {"utm_campaign": f"c{number}"}]),
            cookies={name: f"{name}{number}" for name in ("_ttp", "_fbp") if chosen.random() < 0.5},
            is_repeated=chosen.random() < 0.5,
        )

    def united(numbers: tuple[int, ...]) -> str:
        first, *others = map(touch, numbers)
        for other in others:
            touches.fill(first, other)
        return json.dumps({name: getattr(first, name) for name in touches.COLUMNS}, sort_keys=True, default=str)

    for start in range(0, 120, 4):
        numbers = range(start, start + 4)
        assert len({united(order) for order in itertools.permutations(numbers)}) == 1


def test_a_touch_that_is_filled_anew_has_nothing_of_before(game: Game) -> None:
    stored = factories.touch(factories.person(game), ip="203.0.113.9", referrer="https://old.example")
    touches.unset([stored])
    touches.fill(stored, Touch(clicked_at=at(1), message_id="m", ip="203.0.113.1", is_repeated=True))

    assert (stored.clicked_at, stored.ip, stored.referrer, stored.is_repeated) == (at(1), "203.0.113.1", "", True)


def test_what_one_player_states_of_a_click_leaves_the_other_with_the_move(key: NewKey) -> None:
    """Ben signs in earlier than known: the second sighting in the shared browser is his."""
    digest(key, identify("anna", "pc", eventTimestamp=at(0).isoformat()))
    digest(key, sighting(1, "pc"), sighting(3, "pc"))
    assert facts()["ip"] == "203.0.113.3"
    digest(key, identify("ben", "pc", eventTimestamp=at(2).isoformat()))

    rows = Touch.objects.order_by("clicked_at").values_list("clicked_at", "ip", "campaign", "browser_id")
    assert list(rows) == [(at(1), "", {}, ""), (at(3), "203.0.113.3", {"utm_campaign": "third"}, "third")]


@pytest.mark.long
@pytest.mark.parametrize("parameter", ["ttclid", "ScCid", "GCLID"])
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_every_place_makes_a_touch(key: NewKey, game: Game, place: int, parameter: str) -> None:
    """An event of which PostgreSQL finds nothing of interest is not read: it must find every place of a click."""
    properties, context = (filled(each, parameter, "E.C.P.1") for each in PLACES[place])
    digest(key, message(eventName="other"))
    Event.objects.update(properties=properties, context=context)
    redigest(game)

    assert list(Touch.objects.values_list("parameter", "click_id")) == [(parameter.lower(), "E.C.P.1")]


def test_an_event_without_a_click_is_not_read(key: NewKey, game: Game) -> None:
    pages = [
        "https://g.example/",
        "https://g.example/?id=5&lang=de",
        "https://g.example/#/shop",
        "https://g.example/%3Fa",
    ]
    digest(
        key, *(page("a-1", url) for url in pages), message(eventName="other", properties={"url": "x", "path": "/a=b"})
    )
    Event.objects.filter(name="other").update(context={"campaign": {}, "page_title": "ttclid=1"})
    batches = [ClaimedBatch(*row) for row in Batch.objects.values_list(*ClaimedBatch._fields)]

    assert event_groups.read(game=game, batches=batches, triggers=["purchase"])[1] == []


def test_a_merge_without_copies_changes_no_touch(game: Game) -> None:
    anna, ben = factories.person(game, user="anna"), factories.person(game, user="ben")
    factories.touch(anna, click_id="A")
    factories.touch(ben, click_id="B")
    winner = merge.merge(person_ids=[anna.pk, ben.pk])

    assert set(Touch.objects.values_list("person_id", "click_id")) == {(winner, "A"), (winner, "B")}


# Cases of reports, with the requests that they make


def test_a_cookie_and_an_address_of_the_second_sighting_reach_the_purchases_touch(key: NewKey) -> None:
    digest(key, sighting(1))
    digest(key, sighting(3))
    digest(key, purchase("ada", anonymousId="a-1"))

    touch = Touch.objects.get(conversions__trigger="purchase")
    assert (touch.cookies["_ttp"], touch.ip, touch.clicked_at) == ("third", "203.0.113.3", at(1))
