"""Purchases of one order: totals count one."""

import itertools
from typing import Any

import pytest

from audience.digest.orders import read_order_id
from audience.games.keys import NewKey
from audience.models import Conversion, Person
from tests.audience.immutable import ABSENT, ago, alias, click, digest, identify, purchase
from tests.audience.test_conversions import handed_over


def order(user: str, name: str = "T-1", **given: Any) -> dict[str, Any]:
    return purchase(user, properties={"value": 9.99, "currency": "USD", "order_id": name}, **given)


def repeats() -> list[bool]:
    return list(Conversion.objects.order_by("event_at").values_list("repeats_order", flat=True))


@pytest.mark.parametrize(
    ("properties", "order_id"),
    [
        ({"transaction_id": "T-1"}, "T-1"),
        ({"transactionId": "T-1"}, "T-1"),
        ({"order_id": " T-1 "}, "T-1"),
        ({"orderId": 7001}, "7001"),
        ({"orderId": 7001.0}, "7001"),
        ({"checkout_id": "c"}, "c"),
        ({"transaction_id": "undefined", "order_id": "T-1"}, "T-1"),
        ({"transaction_id": "{{order_id}}", "order_id": "null"}, ""),
        ({"order_id": "0"}, ""),
        ({"order_id": "x" * 257}, ""),
        ({"order_id": 2.0**70}, ""),
        ({"order_id": "a\ufffdb"}, ""),
        ({"order_id": True}, ""),
        ({"order_id": ["T-1"]}, ""),
        ({}, ""),
        (None, ""),
        ([], ""),
    ],
    ids=str,
)
def test_an_order_id_is_the_first_usable_one(properties: Any, order_id: str) -> None:
    assert read_order_id(properties) == order_id


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(3))))
def test_in_every_order_of_arrival_the_earliest_purchase_of_an_order_counts(
    key: NewKey, arrival: tuple[int, ...]
) -> None:
    events = [order("user-1", eventTimestamp=ago(minutes=minutes)) for minutes in (5, 4, 3)]
    for position in arrival:
        digest(key, events[position])

    assert repeats() == [False, True, True]


def test_orders_of_two_players_and_other_orders_count(key: NewKey) -> None:
    digest(key, order("user-1"), order("user-2"), order("user-1", "T-2"), purchase("user-1"), purchase("user-1"))

    assert repeats() == [False] * 5


def test_a_merge_decides_again(key: NewKey) -> None:
    digest(key, order("user-1", eventTimestamp=ago(minutes=5)), order("user-2", eventTimestamp=ago(minutes=4)))
    assert repeats() == [False, False]
    digest(key, alias("user-1", "user-2"))

    assert Person.objects.count() == 1
    assert repeats() == [False, True]


def test_a_purchase_that_was_handed_to_a_postback_counts(key: NewKey) -> None:
    digest(key, order("user-1", eventTimestamp=ago(minutes=4)))
    Conversion.objects.update(reason="")
    handed_over()
    digest(key, order("user-1", eventTimestamp=ago(minutes=5)))

    assert repeats() == [True, False]


def test_an_order_of_which_one_purchase_was_handed_over_counts_once_when_its_events_move(key: NewKey) -> None:
    digest(
        key,
        identify("ada", "pc", eventTimestamp=ago(minutes=60)),
        click("pc", eventTimestamp=ago(minutes=50)),
        order(ABSENT, anonymousId="pc", eventTimestamp=ago(minutes=10)),
        order(ABSENT, anonymousId="pc", eventTimestamp=ago(minutes=9)),
    )
    handed_over()
    Conversion.objects.filter(repeats_order=True).update(reason="repeat_order")
    digest(key, identify("bob", "pc", eventTimestamp=ago(minutes=20)))

    first, second = Conversion.objects.order_by("event_at")
    assert (first.moved_to, second.moved_to) == (second.person, None)
    assert repeats() == [False, True]


def test_an_event_that_comes_back_belongs_to_the_player_of_its_conversion(key: NewKey) -> None:
    digest(
        key,
        identify("ada", "pc", eventTimestamp=ago(minutes=60)),
        click("pc", eventTimestamp=ago(minutes=50)),
        order(ABSENT, anonymousId="pc", eventTimestamp=ago(minutes=10)),
    )
    handed_over()
    digest(key, identify("bob", "pc", eventTimestamp=ago(minutes=20)))
    assert Conversion.objects.get().moved_to is not None
    digest(key, identify("ada", "pc", eventTimestamp=ago(minutes=15)))

    assert Conversion.objects.get().moved_to is None


def test_test_traffic_and_refunds_take_no_order(key: NewKey) -> None:
    refund = {"value": -9.99, "currency": "USD", "order_id": "T-1"}
    digest(
        key,
        order("user-1", test=True, eventTimestamp=ago(minutes=9)),
        purchase("user-1", properties=refund, eventTimestamp=ago(minutes=8)),
        order("user-1", eventTimestamp=ago(minutes=5)),
    )

    assert repeats() == [False, False, False]
