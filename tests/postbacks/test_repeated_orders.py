"""Purchases of one order at fan-out: which one a postback sends, and which one totals count."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from audience.digest import merge, orders
from audience.games.keys import NewKey
from audience.models import Conversion, Person, Reason
from postbacks.delivery import sending
from postbacks.models import Delivery
from postbacks.outbox import fan_out, reasons
from postbacks.preview import dry_run
from postbacks.reporting import audit
from postbacks.sandbox.server import Sandbox
from tests import factories
from tests.audience import immutable
from tests.audience.concurrency import in_thread, own_connection, wait_for_locks
from tests.postbacks.test_goal_fan_out import happened, told

pytestmark = pytest.mark.django_db

ORDER = {"value": 9.99, "currency": "USD", "order_id": "T-1"}


@pytest.fixture
def player(game: Any) -> Person:
    return factories.person(game, anonymous="anon-1", user="user-1")


def bought(of: Person, **given: Any) -> Conversion:
    return happened(of, trigger="purchase", **{"properties": ORDER, **given})


def repeated(conversion: Conversion) -> bool:
    conversion.refresh_from_db()
    return conversion.repeats_order


def test_of_one_order_the_earliest_is_sent(game: Any, player: Person) -> None:
    factories.config(game)
    last, first, middle = bought(player, minutes_ago=1), bought(player, minutes_ago=9), bought(player, minutes_ago=5)
    fan_out.fan_out_due()

    assert [told(one) for one in (first, middle, last)] == [
        ("waiting", ""),
        ("skipped", "repeat_order"),
        ("skipped", "repeat_order"),
    ]
    assert [repeated(one) for one in (first, middle, last)] == [False, True, True]


@pytest.mark.parametrize("state", ["waiting", "held", "delivered", "failed", "cancelled"])
def test_a_purchase_that_was_handed_over_stays_the_one_that_counts(game: Any, player: Person, state: str) -> None:
    config = factories.config(game)
    later = bought(player, minutes_ago=1)
    fan_out.fan_out_due()
    Delivery.objects.update(state=state)
    earlier = bought(player, minutes_ago=9)
    fan_out.fan_out_due()

    assert told(later, config) == (state, "")
    assert told(earlier, config) == ("skipped", "repeat_order")


def test_a_purchase_that_was_handed_over_for_the_player_of_before_stays_the_one_that_counts(
    game: Any, player: Person
) -> None:
    factories.config(game)
    sent = bought(player, minutes_ago=9)
    fan_out.fan_out_due()
    now = factories.person(game, anonymous="anon-2", user="user-2")
    Conversion.objects.update(moved_to=now)
    moved, other = bought(now), bought(now, properties={**ORDER, "order_id": "T-2"})
    fan_out.fan_out_due()

    assert [told(one) for one in (sent, moved, other)] == [
        ("waiting", ""),
        ("skipped", "repeat_order"),
        ("waiting", ""),
    ]
    assert [repeated(one) for one in (sent, moved, other)] == [False, True, False]
    assert "orders_counted_once" not in audit.run().violations


def test_two_counted_purchases_of_an_order_are_a_violation(game: Any, player: Person) -> None:
    first, second = bought(player, minutes_ago=9), bought(player)
    first_id = min(str(first.pk), str(second.pk))
    (finding,) = [finding for finding in audit.run().findings if finding.count]
    assert (finding.name, finding.examples) == ("orders_counted_once", [first_id])
    Conversion.objects.update(repeats_order=True)
    assert audit.run().violations == ["orders_counted_once"]
    Conversion.objects.filter(pk=first.pk).update(repeats_order=False)
    assert audit.run().violations == []


def test_a_purchase_that_cannot_be_sent_takes_no_order(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[{"event": "purchase", "server_only": True}])
    client, server = bought(player, minutes_ago=9, from_server=False), bought(player, from_server=True)
    fan_out.fan_out_due()

    assert told(client) == ("skipped", "not_from_server")
    assert told(server) == ("waiting", "")
    assert [repeated(client), repeated(server)] == [True, False]


def test_each_postback_decides_for_itself(game: Any, player: Person) -> None:
    every = factories.config(game)
    server = factories.config(
        game, triggers=[], goals=[{"event": "purchase", "server_only": True}], pixel_id="CSANDBOX0AFTERCLICK2"
    )
    first, second = bought(player, minutes_ago=9, from_server=False), bought(player, from_server=True)
    fan_out.fan_out_due()

    assert [told(first, every), told(second, every)] == [("waiting", ""), ("skipped", "repeat_order")]
    assert [told(first, server), told(second, server)] == [("skipped", "not_from_server"), ("waiting", "")]
    assert [repeated(first), repeated(second)] == [False, True]


def test_a_goal_may_send_every_event_of_an_order_and_totals_count_it_once(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[{"event": "purchase", "repeat_orders": True}])
    first, second = bought(player, minutes_ago=9), bought(player)
    fan_out.fan_out_due()

    assert [told(first), told(second)] == [("waiting", ""), ("waiting", "")]
    assert list(Conversion.objects.counted()) == [first]


def test_other_players_orders_and_events_are_no_repeats(game: Any, player: Person) -> None:
    factories.config(game, goals=[{"event": "refill"}])
    other = factories.person(game, anonymous="anon-2")
    purchases = [
        bought(player, minutes_ago=9),
        bought(other),
        bought(player, properties={**ORDER, "order_id": "T-2"}),
        bought(player, properties={"value": 1, "currency": "USD"}),
        bought(player, properties={"value": 1, "currency": "USD"}),
        happened(player, trigger="refill", properties=ORDER, order_id=""),
        bought(player, properties={**ORDER, "order_id": "undefined"}),
        bought(player, properties={**ORDER, "order_id": "undefined"}),
    ]
    fan_out.fan_out_due()

    assert [told(one) for one in purchases] == [("waiting", "")] * len(purchases)


def test_a_refund_is_not_the_first_purchase_of_a_player(game: Any, player: Person) -> None:
    factories.config(game, triggers=[], goals=[{"event": "purchase", "once": True}])
    refund = bought(player, minutes_ago=9, properties={"value": -5, "currency": "USD"}, reason="refund")
    first, second = bought(player, minutes_ago=5), bought(player, properties={**ORDER, "order_id": "T-2"})
    fan_out.fan_out_due()

    assert [told(purchase) for purchase in (refund, first, second)] == [
        ("skipped", "refund"),
        ("waiting", ""),
        ("skipped", "repeat"),
    ]


def become_one(*players: Person) -> None:
    """As the digest of an alias does."""
    with transaction.atomic():
        orders.choose_purchases(person_ids=[merge.merge(person_ids=[player.pk for player in players])])


def test_an_order_of_two_players_who_become_one_before_it_is_sent_is_sent_once(
    game: Any, player: Person, sandbox: Sandbox
) -> None:
    factories.config(game)
    other = factories.person(game, anonymous="anon-2")
    later, first, single = bought(player, minutes_ago=1), bought(other, minutes_ago=9), bought(other, properties={})
    fan_out.fan_out_due()
    become_one(player, other)
    sending.drain(network="tiktok", max_in_flight=1)

    assert [told(one) for one in (first, later, single)] == [
        ("delivered", ""),
        ("skipped", "repeat_order"),
        ("delivered", ""),
    ]
    assert len(sandbox.received("tiktok")) == 2
    assert [repeated(one) for one in (first, later)] == [False, True]


@pytest.mark.parametrize("joined_by", ["identify", "alias"])
def test_an_order_that_a_guest_and_a_server_reported_is_sent_once_when_the_guest_signs_up(
    game: Any, key: NewKey, sandbox: Sandbox, joined_by: str
) -> None:
    factories.config(game)
    immutable.digest(
        key,
        immutable.click("phone", eventTimestamp=immutable.ago(minutes=30)),
        immutable.click(immutable.ABSENT, userId="ada", eventTimestamp=immutable.ago(minutes=30)),
        immutable.purchase(
            immutable.ABSENT, anonymousId="phone", properties=ORDER, eventTimestamp=immutable.ago(minutes=9)
        ),
        immutable.purchase("ada", properties=ORDER, eventTimestamp=immutable.ago(minutes=8)),
    )
    fan_out.fan_out_due()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"waiting"}
    joined = immutable.identify("ada", "phone") if joined_by == "identify" else immutable.alias("phone", "ada")
    immutable.digest(key, joined)
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)

    guest, server = Conversion.objects.order_by("event_at")
    assert [told(one) for one in (guest, server)] == [("delivered", ""), ("skipped", "repeat_order")]
    assert [repeated(one) for one in (guest, server)] == [False, True]
    assert len(sandbox.received("tiktok")) == 1


@pytest.mark.parametrize("state", ["delivered", "waiting"])
def test_of_the_purchases_of_players_who_become_one_that_which_the_network_may_have_counts(
    game: Any, player: Person, sandbox: Sandbox, state: str
) -> None:
    factories.config(game)
    other = factories.person(game, anonymous="anon-2")
    sent, first = bought(player, minutes_ago=1), bought(other, minutes_ago=9)
    fan_out.fan_out_due()
    attempted = {"attempts_made": 1, "attempts_counted": 1, "next_attempt_at": timezone.now() + timedelta(hours=1)}
    Delivery.objects.filter(conversion=sent).update(state=state, **attempted)
    become_one(player, other)
    sending.drain(network="tiktok", max_in_flight=1)

    assert [told(one) for one in (sent, first)] == [(state, ""), ("skipped", "repeat_order")]
    assert sandbox.received("tiktok") == []
    assert [repeated(one) for one in (sent, first)] == [False, True]


def test_a_goal_that_sends_every_event_of_an_order_sends_those_of_players_who_become_one(
    game: Any, player: Person, sandbox: Sandbox
) -> None:
    factories.config(game, triggers=[], goals=[{"event": "purchase", "repeat_orders": True}])
    other = factories.person(game, anonymous="anon-2")
    rows = [bought(player), bought(other, minutes_ago=9)]
    fan_out.fan_out_due()
    become_one(player, other)
    sending.drain(network="tiktok", max_in_flight=1)

    assert [told(one) for one in rows] == [("delivered", "")] * 2
    assert list(Conversion.objects.counted()) == rows[1:]


def test_an_order_that_another_postback_sends_is_sent_too(game: Any, player: Person, sandbox: Sandbox) -> None:
    first = factories.config(game)
    server = [{"event": "purchase", "server_only": True}]
    second = factories.config(game, triggers=[], goals=server, pixel_id="CSANDBOX0AFTERCLICK2")
    client, from_server = bought(player, minutes_ago=9, from_server=False), bought(player, from_server=True)
    fan_out.fan_out_due()
    sending.drain(network="tiktok", max_in_flight=1)

    assert [told(client, first), told(from_server, first)] == [("delivered", ""), ("skipped", "repeat_order")]
    assert [told(client, second), told(from_server, second)] == [("skipped", "not_from_server"), ("delivered", "")]


def test_a_dry_run_counts_an_order_once(game: Any, player: Person) -> None:
    config = factories.config(game)
    bought(player, minutes_ago=9)
    bought(player)

    result = dry_run.run(proposed=config, current=None)
    assert (result.sent, [(row.reason, row.count) for row in result.reasons]) == (1, [("repeat_order", 1)])


def test_the_texts_name_the_remedy() -> None:
    assert "“Every event of an order”" in reasons.TEXTS[Reason.REPEAT_ORDER].remedy


@pytest.mark.django_db(transaction=True)
def test_of_two_fan_outs_at_once_one_sends_the_order(game: Any, player: Person) -> None:
    factories.config(game)
    purchases = [bought(player, minutes_ago=9), bought(player)]
    with own_connection() as other:
        other.cursor().execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"orders of game {game.pk}"])
        # Each has claimed one of the two.
        threads = [in_thread(lambda: fan_out.fan_out_due(limit=1)) for _ in purchases]
        wait_for_locks(2)
        other.rollback()
        for thread in threads:
            thread.join(20)

    assert sorted(told(purchase) for purchase in purchases) == [("skipped", "repeat_order"), ("waiting", "")]
    assert sorted(repeated(purchase) for purchase in purchases) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_a_fan_out_does_not_wait_for_a_locked_purchase_of_the_order(game: Any, player: Person) -> None:
    factories.config(game)
    locked, later = bought(player, minutes_ago=9), bought(player)
    with own_connection() as other:
        other.cursor().execute("SELECT FROM audience_conversion WHERE id = %s FOR NO KEY UPDATE", [locked.pk])
        fan_out.fan_out_due()

    assert told(later) == ("waiting", "")
    assert [repeated(locked), repeated(later)] == [False, False]
    fan_out.fan_out_due()
    assert told(locked) == ("skipped", "repeat_order")
    assert [repeated(locked), repeated(later)] == [True, False]
