"""Goals in the fan-out: which conversions a postback sends, the reasons for the others, and the bodies."""

import threading
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from django.db import connection, transaction
from django.utils import timezone

from audience.database import clock
from audience.models import Conversion, Person
from postbacks.configs import hold
from postbacks.delivery import sending
from postbacks.models import Delivery, PostbackConfig
from postbacks.outbox import conversion_reasons, fan_out
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.postbacks.facts import schema
from tests.queries import queries_of

pytestmark = pytest.mark.django_db

TUTORIAL = {"event": "tutorial_done", "once": True}
BIG = {"event": "purchase", "sent_as": "Subscribe", "condition": {"property": "value", "op": "gt", "value": "10"}}
FIRST_BIG = {**BIG, "once": True}


@pytest.fixture
def player(game: Any) -> Person:
    return factories.person(game, anonymous="anon-1", user="user-1")


def happened(of: Person, *, minutes_ago: float = 1, click: bool = True, **given: Any) -> Conversion:
    """A conversion of a player who clicked a TikTok ad, or who did not."""
    touch = (of.touches.first() or factories.touch(of)) if click else None
    at = timezone.now() - timedelta(minutes=minutes_ago)
    return factories.conversion(of, touch=touch, event_at=at, **{"trigger": "tutorial_done", **given})


def told(conversion: Conversion, config: PostbackConfig | None = None) -> tuple[str, str]:
    """(state, reason) of its delivery, which its own reason agrees with."""
    rows = conversion.deliveries.filter(config=config) if config else conversion.deliveries.all()
    row = rows.get()
    conversion.refresh_from_db()
    assert config is not None or conversion.reason == row.reason
    return row.state, row.reason


# Conditions ---------------------------------------------------------------------------------------


def test_a_condition_accepts_events_that_meet_it_and_gives_the_others_a_reason(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[BIG])
    small = happened(player, trigger="purchase", properties={"value": "9.99"})
    big = happened(player, trigger="purchase", properties={"value": "10.01"})
    other = happened(player, trigger="game_launch")
    fan_out.fan_out_due()
    assert told(small) == ("skipped", "filtered")
    assert told(big) == ("waiting", "")
    assert told(other) == ("skipped", "config_disabled")
    assert [big.deliveries.get().sent_as, small.deliveries.get().sent_as] == ["Subscribe", ""]


@pytest.mark.parametrize(
    ("properties", "outcome"),
    [
        ({"value": "12,50", "currency": "EUR"}, ("waiting", "")),
        ({"revenue": 12.5, "currency": "EUR"}, ("waiting", "")),
        ({"price": 6, "quantity": 2, "currency": "EUR"}, ("waiting", "")),
        ({"value": 10.004, "currency": "EUR"}, ("skipped", "filtered")),
        ({"value": 500, "currency": "GEM"}, ("waiting", "")),
    ],
    ids=str,
)
def test_a_condition_on_the_value_compares_the_amount_that_is_sent_if_there_is_one(
    game: Any, player: Person, properties: dict[str, Any], outcome: tuple[str, str]
) -> None:
    factories.config(game, triggers=[], goals=[BIG])
    bought = happened(player, trigger="purchase", properties=properties)
    fan_out.fan_out_due()
    assert told(bought) == outcome


def test_a_negative_amount_is_not_sent_as_a_purchase_whatever_the_name_of_the_event(game: Any, player: Person) -> None:
    goals = [{"event": "order_paid", "sent_as": "Purchase"}, {"event": "order_refunded", "sent_as": "order_refunded"}]
    factories.config(game, triggers=[], goals=goals)
    negative, paid = {"value": -9.99, "currency": "USD"}, {"value": 9.99, "currency": "USD"}
    rows = [
        happened(player, trigger="order_paid", properties=negative),
        happened(player, trigger="order_paid", properties=paid),
        happened(player, trigger="order_refunded", properties=negative),
    ]
    fan_out.fan_out_due()
    assert [told(row) for row in rows] == [("skipped", "refund"), ("waiting", ""), ("waiting", "")]
    assert set(Conversion.objects.counted()) == set(rows[1:])


def test_the_ticked_box_matches_events_that_no_goal_matched_under_their_usual_name(game: Any, player: Person) -> None:
    factories.config(game, triggers=["purchase"], goals=[BIG])
    small = happened(player, trigger="purchase", properties={"value": 1})
    fan_out.fan_out_due()
    assert told(small) == ("waiting", "")
    assert small.deliveries.get().sent_as == ""


def test_an_unmet_condition_is_recorded_before_missing_consent(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[BIG])
    small = happened(player, trigger="purchase", properties={"value": 1}, consent_level="none")
    fan_out.fan_out_due()
    assert told(small) == ("skipped", "filtered")


# Once per player ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(9, 5, 7), (5, 9, 7), (7, 5, 9)])
def test_the_earliest_event_counts_once_in_every_order_of_arrival(
    game: Any, player: Person, order: tuple[int, ...]
) -> None:
    factories.config(game, triggers=[], goals=[TUTORIAL])
    done = {minutes: happened(player, minutes_ago=minutes) for minutes in order}
    while fan_out.fan_out_due(limit=1):
        pass
    assert {minutes: told(one) for minutes, one in done.items()} == {
        9: ("waiting", ""),
        7: ("skipped", "repeat"),
        5: ("skipped", "repeat"),
    }


@pytest.mark.parametrize("state", ["waiting", "held", "delivered", "failed", "cancelled"])
def test_a_conversion_that_was_fanned_out_remains_the_one_that_counts(game: Any, player: Person, state: str) -> None:
    config = factories.config(game, triggers=[], goals=[TUTORIAL])
    later = happened(player, minutes_ago=1)
    fan_out.fan_out_due()
    Delivery.objects.update(state=state)
    earlier = happened(player, minutes_ago=9)
    fan_out.fan_out_due()
    assert told(later) == (state, "")
    assert told(earlier, config) == ("skipped", "repeat")


def test_a_skipped_conversion_gives_way_to_an_earlier_one(game: Any, player: Person) -> None:
    config = factories.config(game, triggers=[], goals=[TUTORIAL], enabled=False)
    later = happened(player, minutes_ago=1)
    fan_out.fan_out_due()
    assert told(later) == ("skipped", "config_disabled")
    PostbackConfig.objects.filter(pk=config.pk).update(enabled=True)
    earlier = happened(player, minutes_ago=9)
    fan_out.fan_out_due()
    assert told(earlier) == ("waiting", "")


def test_the_first_without_a_click_is_still_the_first(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[TUTORIAL])
    organic = happened(player, minutes_ago=9, click=False)
    later = happened(player)
    fan_out.fan_out_due()
    assert (organic.deliveries.count(), Conversion.objects.get(pk=organic.pk).reason) == (0, "no_click")
    assert told(later) == ("skipped", "repeat")


def test_only_those_that_meet_the_condition_are_counted(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[FIRST_BIG])
    values = [(9, 5), (8, 20), (7, 30)]
    small, first, second = [
        happened(player, trigger="purchase", minutes_ago=minutes, properties={"value": value})
        for minutes, value in values
    ]
    fan_out.fan_out_due()
    assert [told(one) for one in (small, first, second)] == [
        ("skipped", "filtered"),
        ("waiting", ""),
        ("skipped", "repeat"),
    ]


def test_test_traffic_other_events_and_other_players_do_not_count_for_once_per_player(
    game: Any, player: Person
) -> None:
    factories.config(game, triggers=[], goals=[TUTORIAL, {"event": "level_up", "once": True}])
    other = factories.person(game, anonymous="anon-2")
    happened(player, minutes_ago=9, test=True, reason="test_traffic")
    happened(player, minutes_ago=9, reason="erased")
    theirs = happened(other, minutes_ago=9)
    level = happened(player, minutes_ago=9, trigger="level_up")
    done = happened(player)
    fan_out.fan_out_due()
    assert [told(one) for one in (theirs, level, done)] == [("waiting", "")] * 3


def test_once_per_player_is_counted_per_postback(game: Any, player: Person) -> None:
    once = factories.config(game, triggers=[], goals=[TUTORIAL])
    always = factories.config(game, triggers=[], goals=[{"event": "tutorial_done"}], pixel_id="CSANDBOX0AFTERCLICK2")
    happened(player, minutes_ago=9)
    second = happened(player)
    fan_out.fan_out_due()
    assert [told(second, once), told(second, always)] == [("skipped", "repeat"), ("waiting", "")]
    second.refresh_from_db()
    assert second.reason == ""


def test_counting_once_costs_no_more_queries_for_forty_players(game: Any) -> None:
    factories.config(game, triggers=[], goals=[TUTORIAL])

    def fan_out_for(players: int) -> int:
        for number in range(players):
            one = factories.person(game, anonymous=f"a-{players}-{number}")
            happened(one, minutes_ago=5)
            happened(one, minutes_ago=4)
        return queries_of(fan_out.fan_out_due)

    assert fan_out_for(2) == fan_out_for(40)
    assert Delivery.objects.filter(state="waiting").count() == 42
    assert Delivery.objects.filter(state="skipped", reason="repeat").count() == 42


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_fan_outs_count_one_conversion_once() -> None:
    game = factories.game()
    factories.config(game, triggers=[], goals=[TUTORIAL])
    player = factories.person(game)
    later = happened(player, minutes_ago=1)
    counts: list[int] = []

    def work() -> None:
        counts.append(fan_out.fan_out_due())
        connection.close()

    thread = threading.Thread(target=work)
    with transaction.atomic():
        assert fan_out.fan_out_due() == 1
        # The earlier one arrives, and another worker decides it, while the first has not committed.
        arrive = threading.Thread(target=lambda: (happened(player, minutes_ago=9), connection.close()))
        arrive.start()
        arrive.join()
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(20)
    assert counts == [1]
    assert told(later) == ("waiting", "")
    assert sorted(Delivery.objects.values_list("state", "reason")) == [("skipped", "repeat"), ("waiting", "")]


# On hold ------------------------------------------------------------------------------------------


def test_a_postback_on_hold_gets_held_rows_that_keep_their_deadline(game: Any, player: Person) -> None:
    config = factories.config(game)
    hold.hold(config=config, access="token", message="Revoked.")
    bought = happened(player, trigger="purchase")
    disallowed = happened(player, trigger="purchase", consent_level="none")
    fan_out.fan_out_due()
    row = bought.deliveries.get()
    assert (row.state, row.reason, row.next_attempt_at, row.finished_at) == ("held", "", None, None)
    assert row.dead_after == bought.event_at + config.kind.max_age
    assert told(disallowed) == ("skipped", "consent")
    bought.refresh_from_db()
    assert bought.reason == ""
    assert hold.release(config=config) == 1
    row.refresh_from_db()
    assert (row.state, row.next_attempt_at) == ("waiting", bought.event_at)


@pytest.mark.django_db(transaction=True)
def test_a_release_at_the_moment_of_the_fan_out_leaves_nothing_held() -> None:
    game = factories.game()
    config = factories.config(game, held_at=timezone.now(), held_for="token")
    player = factories.person(game)
    happened(player, trigger="purchase")

    def work() -> None:
        fan_out.fan_out_due()
        connection.close()

    thread = threading.Thread(target=work)
    with transaction.atomic():
        hold.release(config=config)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(20)
    row = Delivery.objects.get()
    assert (row.state, row.next_attempt_at is not None) == ("waiting", True)


# What is left on the conversion -------------------------------------------------------------------


def test_a_late_arrival_removes_the_reason_of_the_conversion(game: Any, player: Person) -> None:
    bought = happened(player, trigger="purchase", reason="consent", fanned_out_at=clock.now())
    conversion_reasons.clear_reasons(conversion_ids=[bought.pk])
    bought.refresh_from_db()
    assert bought.reason == ""


@pytest.mark.parametrize("reason", ["erased", "repeat_launch"])
def test_a_late_arrival_leaves_the_reasons_that_are_not_the_postbacks(game: Any, player: Person, reason: str) -> None:
    bought = happened(player, trigger="game_launch", reason=reason, fanned_out_at=clock.now())
    conversion_reasons.clear_reasons(conversion_ids=[bought.pk])
    bought.refresh_from_db()
    assert bought.reason == reason


# Over the socket ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "sent_as", "expected"),
    [
        ("tiktok", "", "tutorial_done"),
        ("tiktok", "StartTrial", "StartTrial"),
        ("reddit", "", {"tracking_type": "CUSTOM", "custom_event_name": "tutorial_done"}),
        ("reddit", "LEAD", {"tracking_type": "LEAD"}),
        ("reddit", "Tutorial", {"tracking_type": "CUSTOM", "custom_event_name": "Tutorial"}),
    ],
)
def test_the_network_accepts_a_goal_under_the_name_that_it_sets(
    sandbox: Sandbox, game: Any, network: str, sent_as: str, expected: Any
) -> None:
    factories.config(game, network=network, triggers=[], goals=[{**TUTORIAL, "sent_as": sent_as}])
    player = factories.person(game, anonymous="anon-1")
    factories.touch(player, network=network)
    done = happened(player)
    fan_out.fan_out_due()
    sending.drain(network=network, max_in_flight=1)
    assert told(done) == ("delivered", "")
    (call,) = sandbox.received(network)
    jsonschema.validate(call["body"], schema(network))
    body = call["body"]
    assert (body["data"][0]["event"] if network == "tiktok" else body["data"]["events"][0]["type"]) == expected
